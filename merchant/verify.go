package merchant

import (
	"context"
	"errors"
	"slices"

	"github.com/speciecash/specie/evidence"
)

// Claim is one of the things that a payment must be.
type Claim struct {
	evidence.Claim
	// Code is why it fails, as it goes over the wire.
	Code string `json:"code,omitempty"`
}

// claim is what a payment is verified for, and the codes of its refusal.
type claim struct {
	name  string
	codes []string
}

// claims are in the order in which they are verified. A refusal of another code is of
// the form.
func claims() []claim {
	return []claim{
		{"form", nil},
		{"offer", []string{"foreign-offer", "offer-expired"}},
		{"sums", []string{"wrong-amount", "wrong-currency", "wrong-bank", "duplicate-coin"}},
		{"coins", []string{"unknown-key", "key-expired", "key-not-yet", "key-revoked", "coin-signature"}},
		{"owners", []string{"owner-signature"}},
		{"binding", []string{"binding", "expelled"}},
	}
}

// VerifyPayment is Check for scripts: what of a payment holds, claim by claim; those
// after the first that fails were not come to. The error is nil if it was verified,
// whatever came of it. Whether the coins are spent already, only the bank can say.
func (t *Till) VerifyPayment(ctx context.Context, spend []byte) (list []Claim, good bool, err error) {
	checked, err := t.Check(ctx, spend)
	var r *Refusal
	if err != nil && (!errors.As(err, &r) || r.Code == codeUnavailable) {
		return nil, false, err
	}
	all := claims()
	failed := len(all)
	if r != nil {
		failed = max(0, slices.IndexFunc(all, func(c claim) bool { return slices.Contains(c.codes, r.Code) }))
	}
	for i, c := range all {
		x := Claim{Claim: evidence.Claim{Name: c.name, Status: evidence.Proven}}
		switch {
		case i == failed:
			x.Status, x.Code, x.Says = evidence.Fails, r.Code, r.Error()
		case i > failed:
			x.Status, x.Says = evidence.Absent, "not come to"
		case c.name == "binding" && checked != nil && checked.Bound == 0:
			x.Status, x.Says = evidence.Absent, "no coin of it is bound"
		}
		list = append(list, x)
	}
	return list, r == nil, nil
}

// VerifyPapers says what a file of evidence proves, under the root that the till
// pins.
func (t *Till) VerifyPapers(f *evidence.File) *evidence.Report {
	return evidence.Verify(f, t.root, nil)
}
