package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
)

// keysetView shows a keyset.
type keysetView coin.Keyset

type denominationView struct {
	KeyID      string    `json:"kid"`
	Value      string    `json:"value"`
	Kind       coin.Kind `json:"kind"`
	Bits       int       `json:"bits"`
	IssueFrom  time.Time `json:"issue_from"`
	IssueUntil time.Time `json:"issue_until"`
	SpendUntil time.Time `json:"spend_until"`
	LegalUntil time.Time `json:"legal_until"`
	State      string    `json:"state"` // "good", "revoked", "lost"
}

func (v *keysetView) rows() []denominationView {
	var out []denominationView
	for _, d := range v.Denominations {
		row := denominationView{
			KeyID: d.KeyID.String(), Value: d.Value.Format(v.Exponent), Kind: d.Kind, Bits: d.PublicKey.N.BitLen(),
			IssueFrom: d.IssueFrom, IssueUntil: d.IssueUntil, SpendUntil: d.SpendUntil, LegalUntil: d.LegalUntil, State: "good",
		}
		switch {
		case d.Revoked:
			row.State = "revoked"
		case d.Lost:
			row.State = "lost"
		}
		out = append(out, row)
	}
	return out
}

// MarshalJSON implements json.Marshaler.
func (v *keysetView) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"bank": v.Bank, "currency": v.Currency, "exponent": v.Exponent, "seq": v.Seq,
		"issued_at": v.IssuedAt, "digest": hexDigest(v.Digest), "denominations": v.rows(),
		"revoked_signers": v.revokedSigners(),
	})
}

// revokedSigners are the signing keys that are not trusted any more, as hex.
func (v *keysetView) revokedSigners() []string {
	out := []string{}
	for _, s := range v.RevokedSigners {
		out = append(out, hexDigest(s))
	}
	return out
}

func (v *keysetView) text(w io.Writer) {
	fmt.Fprintf(w, "keyset %d of %s in %s, issued %s\n", v.Seq, v.Bank, v.Currency, when(v.IssuedAt))
	if v.Seq > 1 {
		fmt.Fprintf(w, "  follows\t%s\n", groups(hexDigest(v.Prev)))
	}
	for _, s := range v.revokedSigners() {
		fmt.Fprintf(w, "  revoked\tsigning key %s\n", s)
	}
	fmt.Fprintf(w, "  compare\t%s\n\n", groups(hexDigest(v.Digest)))
	fmt.Fprintf(w, "value\tkind\tbits\tissued from\tuntil\tspent until\towed until\tstate\tkid\n")
	for _, d := range v.rows() {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n",
			d.Value, d.Kind, d.Bits, day(d.IssueFrom), day(d.IssueUntil), day(d.SpendUntil), day(d.LegalUntil), d.State, d.KeyID)
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// groupView shows a group document.
type groupView groupdoc.Document

// MarshalJSON implements json.Marshaler.
func (v *groupView) MarshalJSON() ([]byte, error) {
	id := (*groupdoc.Document)(v).GroupID()
	return json.Marshal(map[string]any{
		"group": v.ID, "group_id": hexDigest(id), "issued_at": v.IssuedAt, "digest": hexDigest(v.Digest),
		"epoch":    map[string]any{"number": v.Current.Number, "starts": v.Current.Starts, "ends": v.Current.Ends},
		"opened":   map[string]any{"k": v.Supervision.Key.K, "n": v.Supervision.Key.N, "supervisors": v.Supervision.Supervisors},
		"warrants": map[string]any{"entries": v.Warrants.Size, "head": hexDigest(v.Warrants.Head)},
		"leaked":   len(v.Leaked), "platforms": v.platforms(),
	})
}

func (v *groupView) text(w io.Writer) {
	id := (*groupdoc.Document)(v).GroupID()
	fmt.Fprintf(w, "group %s, issued %s\n", v.ID, when(v.IssuedAt))
	fmt.Fprintf(w, "  group id\t%x\n", id)
	fmt.Fprintf(w, "  epoch\t%d, %s to %s\n", v.Current.Number, when(v.Current.Starts), when(v.Current.Ends))
	fmt.Fprintf(w, "  opened by\t%d of %d: %s\n", v.Supervision.Key.K, v.Supervision.Key.N, supervisors(v.Supervision))
	fmt.Fprintf(w, "  warrants\t%d entered\n", v.Warrants.Size)
	fmt.Fprintf(w, "  leaked keys\t%d\n", len(v.Leaked))
	for _, s := range v.platforms() {
		fmt.Fprintf(w, "  platform\t%s\n", clean(s.Name))
	}
	fmt.Fprintf(w, "  compare\t%s\n", groups(hexDigest(v.Digest)))
}

// platforms are the states of machines in which members' TPMs sign; nil where
// the group has no rule about them.
func (v *groupView) platforms() []stateView {
	if v.Platform == nil {
		return nil
	}
	return stateViews(v.Platform)
}

func supervisors(s *groupdoc.Supervision) string {
	var ids []string
	for _, o := range s.Supervisors {
		ids = append(ids, o.ID)
	}
	return strings.Join(ids, ", ")
}

// supervisionView shows one supervisor's signature over a group's keys.
type supervisionView struct {
	signer string
	s      *groupdoc.Supervision
}

// MarshalJSON implements json.Marshaler.
func (v *supervisionView) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"group": v.s.Group, "k": v.s.Key.K, "n": v.s.Key.N, "supervisors": v.s.Supervisors,
		"signed_by": v.signer, "digest": hexDigest(v.s.Digest),
	})
}

func (v *supervisionView) text(w io.Writer) {
	fmt.Fprintf(w, "supervision of group %s: %d of %d open\n", v.s.Group, v.s.Key.K, v.s.Key.N)
	for _, o := range v.s.Supervisors {
		fmt.Fprintf(w, "  supervisor %d\t%s\n", o.Index, o.ID)
	}
	fmt.Fprintf(w, "  signed by\t%s, one of %d signatures that are needed\n", v.signer, v.s.Key.N)
	fmt.Fprintf(w, "  compare\t%s\n", groups(hexDigest(v.s.Digest)))
}

// receiptView shows a bank's receipt for a deposit.
type receiptView coin.DepositReceipt

// MarshalJSON implements json.Marshaler.
func (v *receiptView) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"bank": v.Bank, "op": hexDigest(v.Op), "offer": hexDigest(v.OfferDigest), "spend": hexDigest(v.SpendDigest),
		"amount": v.Amount, "currency": v.Currency, "payee": hexDigest(v.Payee), "at": v.At,
	})
}

func (v *receiptView) text(w io.Writer) {
	fmt.Fprintf(w, "deposit receipt of %s, %s\n", v.Bank, when(v.At))
	fmt.Fprintf(w, "  amount\t%d in minor units of %s\n", v.Amount, v.Currency)
	fmt.Fprintf(w, "  op\t%x\n  offer\t%x\n  spend\t%x\n  payee\t%x\n", v.Op, v.OfferDigest, v.SpendDigest, v.Payee)
}

// cardView shows a supervisor's card.
type cardView officer.Card

func (v *cardView) text(w io.Writer) {
	fmt.Fprintf(w, "card of supervisor %s\n  recipient\t%s\n", v.ID, v.Recipient)
}

// dealingView shows what is public in a dealing.
type dealingView officer.DealingInfo

func (v *dealingView) text(w io.Writer) {
	fmt.Fprintf(w, "dealing by %s for group %s: %d of %d open\n", v.Dealer, v.Group, v.Threshold, len(v.Officers))
	for i, o := range v.Officers {
		fmt.Fprintf(w, "  supervisor %d\t%s\t%s\n", i+1, o.ID, o.Recipient)
	}
}
