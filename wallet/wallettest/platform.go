package wallettest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/tpm"
)

// Approver is a policy key: with its first approval, which comes before the
// first member, the town's group manager makes it his rule that members' TPMs
// sign on approved platforms only.
type Approver struct {
	town *Town
	key  *ecdsa.PrivateKey
	rule groupdoc.Platform
}

// NewApprover makes a policy key; nothing is approved yet.
func (w *Town) NewApprover(t testing.TB) *Approver {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	public, err := attest.PolicyKey(&key.PublicKey)
	must(t, err)
	return &Approver{town: w, key: key, rule: groupdoc.Platform{Key: public}}
}

// Approve approves the state that a TPM is in now, as its PCRs say.
func (a *Approver) Approve(t testing.TB, name, tcti string, pcrs ...int) {
	t.Helper()
	d, err := tpm.Open(t.Context(), tcti)
	must(t, err)
	values, err := d.PCRs(t.Context(), pcrs)
	must(t, err)
	must(t, d.Close())
	p := groupdoc.PlatformPolicy{Name: name, PCRs: pcrs, Digest: tpm.PCRDigest(values), Values: values, Signature: make([]byte, 64)}
	policy, err := attest.PCRPolicyDigest(p.PCRs, p.Digest)
	must(t, err)
	approved := attest.ApprovedHash(policy)
	r, s, err := ecdsa.Sign(rand.Reader, a.key, approved[:])
	must(t, err)
	r.FillBytes(p.Signature[:32])
	s.FillBytes(p.Signature[32:])
	a.rule.Policies = append(slices.Clip(a.rule.Policies), p)
	must(t, a.Publish(t))
}

// Publish puts the rule as it is now into the manager's document.
func (a *Approver) Publish(t testing.TB) error {
	t.Helper()
	next, rule := a.town.Group.Config.Policy, a.rule
	next.Platform = &rule
	return a.town.Group.Reload(t.Context(), next)
}
