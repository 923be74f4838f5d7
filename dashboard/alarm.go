package dashboard

import (
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
)

// alarm is something that wants a person, with what he is to do.
type alarm struct {
	// Grade is "now" for what loses money or stops the bank, "soon" for what will,
	// "note" for what is good to know.
	Grade string
	What  string
	Do    string
	Docs  string // page and section under docs/
}

// Grades, from the worst.
const (
	gradeNow  = "now"
	gradeSoon = "soon"
	gradeNote = "note"
)

const (
	twoWeeks  = 14 * 24 * time.Hour
	auditWeek = 8 * 24 * time.Hour
	// backlog is how many calls may wait for the ledger's writer.
	backlog = 500
)

// alarms reads what is wrong out of the figures, the worst first.
func alarms(f *issuerclient.Figures, tokens []token, c currency) []alarm {
	var out []alarm
	say := func(grade, docs, do, what string, args ...any) {
		out = append(out, alarm{grade, fmt.Sprintf(what, args...), do, docs})
	}
	keyAlarms(f, c, say)
	if !f.Balanced && !slices.ContainsFunc(f.Keys, func(k issuerclient.KeyFigures) bool { return k.Leaked }) {
		say(gradeNow, "operator.md", `Stop issuing with "specied drain on", then find out why with "specied audit".`, "The books do not balance.")
	}
	if f.Fence != nil && !f.Reconciling {
		say(gradeNow, "restoring.md", `The bank refuses everything until you begin: read the page, then "specied reconcile begin".`,
			"The ledger may lack what was recorded last: %s.", *f.Fence)
	}
	if f.Reconciling {
		say(gradeSoon, "restoring.md", `Tills hand in their receipts meanwhile; nothing is issued. End it with "specied reconcile finish" when they have.`,
			"A reconciliation is open after the ledger was restored.")
	}
	if !f.Token.Answers {
		why := "it does not answer"
		if f.Token.Error != nil {
			why = *f.Token.Error
		}
		say(gradeNow, "hsm.md", "Nothing is lost: clients repeat. Start the signer again, or look into its log why the token refuses.",
			"The token can't sign: %s.", why)
	}
	for _, t := range tokens {
		if t.away {
			say(gradeNow, "hsm.md", "The signer opens them again by itself once the token is there; its log says what the module answers.",
				"Token %s has lost its sessions.", t.Name)
		}
	}
	if a := f.AuditLast; a != nil && !a.Sound {
		say(gradeNow, "operator.md#the-audit", `Read the report with "specied audit", and stop the bank until it is understood.`,
			"The last audit did not find the ledger sound.")
	}
	if f.ReceiptsUntil.Sub(f.At) < twoWeeks {
		say(gradeSoon, "ceremonies.md", "Hold the ceremony for the next signing certificate; without it no deposit gets a receipt.",
			"The certificate that receipts are signed under runs out %s.", ago(f.ReceiptsUntil, f.At))
	}
	if f.Suspended > 0 {
		say(gradeSoon, "operator.md#suspension", `See why below, or with "specied strikes"; reinstate those who were wronged with "specied reinstate".`,
			"Suspended: %s.", plural(int64(f.Suspended), "account"))
	}
	if f.Draining {
		say(gradeSoon, "operator.md#draining", `Coins are taken back, none are issued. End it with "specied drain off", if that is not meant.`,
			"The bank drains: it redeems only.")
	}
	if f.Waiting > backlog {
		say(gradeSoon, "scaling.md", "The disk or the database is too slow for what is asked; see the page for what helps.",
			"%s for the ledger's writer.", plural(int64(f.Waiting), "call")+" wait")
	}
	notes(f, say)
	slices.SortStableFunc(out, func(a, b alarm) int {
		grades := []string{gradeNow, gradeSoon, gradeNote}
		return slices.Index(grades, a.Grade) - slices.Index(grades, b.Grade)
	})
	return out
}

// teller takes an alarm.
type teller func(grade, docs, do, what string, args ...any)

func keyAlarms(f *issuerclient.Figures, c currency, say teller) {
	ending := map[string]bool{} // by kind, once
	for i := range f.Keys {
		k := &f.Keys[i]
		name := keyName(k, c)
		if k.Leaked {
			do := `Somebody else signs with it. Stop issuing with "specied drain on" and hold the ceremony that revokes it.`
			if f.Reconciling || f.Fence != nil {
				do = "The ledger was restored: what the backup lacked looks the same. Reconcile first, then look again."
			}
			say(gradeNow, "ceremonies.md", do, "More was redeemed than was ever issued under %s: %s issued, %s redeemed.",
				name, c.money(int64(k.Issued)), c.money(int64(k.Redeemed)))
		}
		if k.Missing {
			say(gradeNow, "ceremonies.md", "What was promised under it can't be signed. Restore it from its backup, or declare it lost in the next keyset.",
				"The token lacks %s.", name)
		}
		if (k.Revoked || k.Lost) && k.Balance > 0 {
			say(gradeSoon, "protocol.md", "Holders get it back by recoup: tell them to run their wallet.",
				"%s is revoked or lost, and %s under it are out.", name, c.money(k.Balance))
		}
		if k.IssueUntil != nil && k.IssueUntil.After(f.At) && k.IssueUntil.Sub(f.At) < twoWeeks && !succeeded(f, k) && !ending[k.Kind] {
			ending[k.Kind] = true
			say(gradeSoon, "ceremonies.md", "Hold the ceremony for the next keyset; holders can't withdraw after that.",
				"Keys of %s coins issue until %s, and no others follow.", k.Kind, date(*k.IssueUntil))
		}
		if k.SpendUntil != nil && k.Balance > 0 && k.SpendUntil.After(f.At) && k.SpendUntil.Sub(f.At) < twoWeeks && !ending["spend "+k.Kind] {
			ending["spend "+k.Kind] = true
			say(gradeNote, "protocol.md", "Wallets exchange them by themselves when they are run; remind people of it.",
				"%s coins that are out can be spent until %s.", k.Kind, date(*k.SpendUntil))
		}
	}
}

// succeeded says whether another key of the same coin issues beyond two weeks.
func succeeded(f *issuerclient.Figures, k *issuerclient.KeyFigures) bool {
	for i := range f.Keys {
		n := &f.Keys[i]
		if n.Kind == k.Kind && n.Value == k.Value && !n.Revoked && !n.Lost && n.IssueUntil != nil &&
			n.IssueUntil.Sub(f.At) >= twoWeeks && !n.IssueFrom.After(*k.IssueUntil) {
			return true
		}
	}
	return false
}

func notes(f *issuerclient.Figures, say teller) {
	switch a := f.AuditLast; {
	case f.AuditRunning:
	case a == nil:
		say(gradeNote, "operator.md#the-audit", `Have one run every week by a timer: "specied audit".`, "No audit has ended since the bank was started.")
	case f.At.Sub(a.At) > auditWeek:
		say(gradeNote, "operator.md#the-audit", `Have one run every week by a timer: "specied audit".`, "The last audit ended %s.", ago(a.At, f.At))
	}
	if f.BackupAt == nil {
		say(gradeNote, "restoring.md", `Make one with "specied backup", every day, and keep it elsewhere.`, "No backup was made since the bank was started.")
	} else if f.At.Sub(*f.BackupAt) > 36*time.Hour {
		say(gradeNote, "restoring.md", `Make one with "specied backup", every day, and keep it elsewhere.`, "The last backup was made %s.", ago(*f.BackupAt, f.At))
	}
	if s := f.Store; s != nil && s.Standbys != nil && *s.Standbys == "" {
		say(gradeNote, "scaling.md", "If its disk is lost, so is what came after the last backup. Give it a synchronous standby.",
			"The database server answers before a second machine has what was written.")
	}
}

// keyName names a key to a person.
func keyName(k *issuerclient.KeyFigures, c currency) string {
	if k.Kind == "" {
		return "a key that the keyset has forgotten (" + short(k.Kid) + ")"
	}
	return fmt.Sprintf("the %s key of %s (%s)", k.Kind, c.money(int64(k.Value)), short(k.Kid))
}

func short(kid string) string { return kid[:min(len(kid), 8)] }
