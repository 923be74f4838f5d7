package devbox

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/softhsm"
)

// Tokens of the box, each an HSM of its own in real life.
const (
	tokenRoot   = "central-bank-root"
	tokenMaster = "bank-master"
	tokenOnline = "bank-online"
	tokenGroup  = "group-manager"
)

// provisionTokens makes the SoftHSM tokens with random PINs.
func (b *Box) provisionTokens(ctx context.Context) (err error) {
	p, err := softhsm.Provision(b.Path("tokens"))
	if err != nil {
		return err
	}
	b.env = append(b.env, p.Env()...)
	m, err := p.Open()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := m.Close(); err == nil {
			err = cerr
		}
	}()
	b.module = p.Module
	for _, label := range []string{tokenRoot, tokenMaster, tokenOnline, tokenGroup} {
		pin := hsm.RandomPIN()
		if err := pin.Save(b.pinFile(label)); err != nil {
			return err
		}
		if _, err := p.InitToken(ctx, m, label, hsm.RandomPIN(), pin); err != nil {
			return err
		}
	}
	return nil
}

func (b *Box) pinFile(label string) string { return b.Path("tokens", label+".pin") }

// token names a token, or with object a key in it, as plans and
// configurations do.
func (b *Box) token(label, object string) string {
	u := hsm.URI{Token: label, Object: object, ModulePath: b.module, PINSource: "file:" + b.pinFile(label)}
	return u.String()
}

// at writes an instant as plans have it, some time from now.
func (b *Box) at(d time.Duration) string { return b.now.Add(d).Format(time.RFC3339) }

const day = 24 * time.Hour

// Values of the coins, in minor units: powers of two up to 40.96.
var values = []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096}

// plan is a ceremony of the box.
type plan struct {
	name string // of the files plans/NAME.yaml and plans/NAME.transcript
	text string
	told string // what it did, for people
}

// plans are the ceremonies in their order. The starts lie an hour back so that
// a clock that is a little slow agrees.
func (b *Box) plans() []plan {
	valid := func(d time.Duration) string {
		return fmt.Sprintf("{from: %s, until: %s}", b.at(-time.Hour), b.at(d))
	}
	root := fmt.Sprintf("{key: %q, certificate: ../bank/root.pem}", b.token(tokenRoot, "root"))
	master := fmt.Sprintf("{key: %q, certificate: ../bank/issuer.pem}", b.token(tokenMaster, "master"))
	out := []plan{
		{"1-root", fmt.Sprintf("ceremony: root\nkey: %q\nvalid: %s\noutput: {certificate: ../bank/root.pem",
			b.token(tokenRoot, "root"), valid(20*365*day)),
			"the central bank's root key is made in its token and certifies itself"},
		{"2-issuer", fmt.Sprintf("ceremony: issuer\nbank: %s\nkey: %q\nvalid: %s\nroot: %s\noutput: {certificate: ../bank/issuer.pem",
			Bank, b.token(tokenMaster, "master"), valid(10*365*day), root),
			"the bank's master key, certified by the root"},
		{"3-signing", fmt.Sprintf("ceremony: signing\nbank: %s\nkey: %q\nvalid: %s\nroot: ../bank/root.pem\nmaster: %s\noutput: {chain: ../bank/signing.pem",
			Bank, b.token(tokenOnline, "receipts"), valid(90*day), master),
			"the bank's online key for receipts, certified by the master"},
		{"4-denominations", b.denominations(master),
			fmt.Sprintf("%d denomination keys of two kinds, made inside the online token, audited; the master signs the keyset", 2*len(values))},
		{"5-group", fmt.Sprintf("ceremony: group\ngroup: %s\nkey: %q\nseal: %q\nvalid: %s\nroot: %s\noutput: {certificate: ../bank/group.pem, sealed: ../bank/group.sealed",
			Group, b.token(tokenGroup, "documents"), b.token(tokenGroup, "seal"), valid(365*day), root),
			"the group manager's key; his issuing secret is sealed under a key of his token"},
	}
	for _, id := range supervisors {
		out = append(out, plan{name: "6-certify-" + id, text: fmt.Sprintf(
			"ceremony: certify\nsupervisor: %s\nrequest: ../officers/%s/%s\nvalid: %s\nroot: %s\noutput: {certificate: ../officers/%s.pem",
			id, id, officer.RequestFile, valid(5*365*day), root, id)})
	}
	out = append(out, plan{name: "7-supervisors", text: fmt.Sprintf(
		"ceremony: supervisors\ngroup: %s\nsupervisors: [%s]\nthreshold: 2\nroot: ../bank/root.pem\nexchange: ../officers/exchange\noutput: {document: ../bank/supervision",
		Group, strings.Join(supervisors, ", "))})
	// What all have in common: who approves, and the chain of transcripts.
	last := ""
	for i := range out {
		p := &out[i]
		p.text += fmt.Sprintf(", transcript: %s.transcript}\nofficers: officers.yaml\n", p.name)
		if last != "" {
			p.text += fmt.Sprintf("follows: %s.transcript\n", last)
		}
		last = p.name
	}
	return out
}

func (b *Box) denominations(master string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "ceremony: denominations\nbank: %s\ncurrency: %s\nexponent: %d\ntoken: %q\nroot: ../bank/root.pem\nmaster: %s\nsequence: 1\nseries:\n",
		Bank, Currency, Exponent, b.token(tokenOnline, ""), master)
	for _, kind := range []string{"bearer", "bound"} {
		fmt.Fprintf(&s, "  - key: %s\n    kind: %s\n    bits: 2048\n    values: %s\n", kind, kind,
			strings.ReplaceAll(fmt.Sprint(values), " ", ", "))
		fmt.Fprintf(&s, "    issue_from: %s\n    issue_until: %s\n    spend_until: %s\n    legal_until: %s\n",
			b.at(-time.Hour), b.at(60*day), b.at(180*day), b.at(5*365*day))
	}
	s.WriteString("output: {keyset: ../bank/keyset.jws")
	return s.String()
}

// Tell is told what happens, a line at a time. It may be nil.
type Tell func(format string, args ...any)

func (t Tell) say(format string, args ...any) {
	if t != nil {
		t(format, args...)
	}
}

// Found plays every ceremony from the root to the supervisors' keys: each is a
// plan in plans/ that two of three officers approve, that the ceremony tool
// rehearses and runs, and whose transcript it verifies.
func (b *Box) Found(ctx context.Context, tell Tell) error {
	if err := b.provisionTokens(ctx); err != nil {
		return err
	}
	if err := b.appointOfficers(ctx); err != nil {
		return err
	}
	tell.say("officers %s approve each plan, 2 of %d; every run is rehearsed on a throw-away token and leaves a transcript",
		strings.Join(officers, ", "), len(officers))
	for _, p := range b.plans() {
		if err := os.WriteFile(b.planFile(p.name), []byte(p.text), 0o600); err != nil {
			return err
		}
		if err := b.hold(ctx, p); err != nil {
			return err
		}
		if p.told != "" {
			tell.say("%s", p.told)
		}
	}
	tell.say("supervisors %s generate their keys together, 2 of %d; no machine ever holds the secrets", strings.Join(supervisors, ", "), len(supervisors))
	return nil
}

// hold plays one ceremony, with what its kind needs before and after.
func (b *Box) hold(ctx context.Context, p plan) error {
	if id, ok := strings.CutPrefix(p.name, "6-certify-"); ok {
		if _, err := b.ceremony(ctx, "supervisor", "init", "--id", id, "--dir", b.OfficerDir(id)); err != nil {
			return err
		}
		if err := b.approveAndRun(ctx, p); err != nil {
			return err
		}
		_, err := b.ceremony(ctx, "supervisor", "accept", "--dir", b.OfficerDir(id), "--root", b.root(), b.Path("officers", id+".pem"))
		return err
	}
	if p.name == "7-supervisors" {
		return b.jointKeys(ctx, p)
	}
	return b.approveAndRun(ctx, p)
}

// appointOfficers makes the officers' keys and the roster.
func (b *Box) appointOfficers(ctx context.Context) error {
	args := []string{"officer", "roster", "--threshold", "2", "--out", b.Path("plans", "officers.yaml")}
	for _, name := range officers {
		if _, err := b.ceremony(ctx, "officer", "new", "--name", name, "--out", b.officerKey(name)); err != nil {
			return err
		}
		args = append(args, name+"="+b.officerKey(name)+".pub")
	}
	_, err := b.ceremony(ctx, args...)
	return err
}

func (b *Box) approve(ctx context.Context, p plan) error {
	for _, name := range officers[:2] {
		if _, err := b.ceremony(ctx, "approve", b.planFile(p.name), "--as", name, "--key", b.officerKey(name), "--yes"); err != nil {
			return err
		}
	}
	return nil
}

func (b *Box) approveAndRun(ctx context.Context, p plan) error {
	if err := b.approve(ctx, p); err != nil {
		return err
	}
	if _, err := b.ceremony(ctx, "run", b.planFile(p.name)); err != nil {
		return err
	}
	return b.verify(ctx, p.name)
}

// verify checks a ceremony as an auditor does: from what it left, without any
// token.
func (b *Box) verify(ctx context.Context, name string) error {
	_, err := b.ceremony(ctx, "verify", b.Path("plans", name+".transcript"), "--root", b.root(), "--officers", b.Path("plans", "officers.yaml"))
	return err
}

// jointKeys plays the supervisors' part, each in a directory of his own. After
// three rounds all have each other's cards, dealings and signatures.
func (b *Box) jointKeys(ctx context.Context, p plan) error {
	if err := os.MkdirAll(b.Path("officers", "exchange"), 0o700); err != nil {
		return err
	}
	if err := b.approve(ctx, p); err != nil {
		return err
	}
	for range 3 {
		for _, id := range supervisors {
			if _, err := b.ceremony(ctx, "run", b.planFile(p.name), "--as", id, "--dir", b.OfficerDir(id)); err != nil {
				return err
			}
		}
	}
	for _, id := range supervisors {
		if err := b.verify(ctx, p.name+"-"+id); err != nil {
			return err
		}
	}
	return nil
}

func (b *Box) ceremony(ctx context.Context, args ...string) (string, error) {
	return b.Run(ctx, "specie-ceremony", args...)
}

func (b *Box) planFile(name string) string { return b.Path("plans", name+".yaml") }

func (b *Box) officerKey(name string) string { return b.Path("officers", name+".key") }

func (b *Box) root() string { return b.Path("bank", "root.pem") }

// OfficerDir is a supervisor's own directory.
func (b *Box) OfficerDir(id string) string { return b.Path("officers", id) }

// Supervision is the supervision document as signed by one supervisor.
func (b *Box) Supervision(id string) string { return b.Path("bank", "supervision-"+id+".jws") }
