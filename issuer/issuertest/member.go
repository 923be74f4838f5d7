package issuertest

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/google/go-tpm/tpm2/transport/simulator"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/opening/openingtest"
	"github.com/speciecash/specie/tpm"
)

// Member is a member of the house's group.
type Member struct {
	*group.Member
	Key  group.Key
	Join *group.Join
	// Context is what Join is a proof for.
	Context group.JoinContext
	house   *House
}

// openTPM returns the process's TPM. The caller holds building.
func (h *House) openTPM(t testing.TB) *tpm.Device {
	t.Helper()
	if h.tpm == nil {
		h.tpm = tpm.New(must(simulator.OpenSimulator())(t))
		closeToken := building.close
		building.close = func() {
			_ = h.tpm.Close()
			closeToken()
		}
	}
	return h.tpm
}

// Admit makes a group key in a TPM, Google's in-process one, of which a process
// has one, and admits its owner to the group.
func (h *House) Admit(t testing.TB) *Member {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	ctx := context.Background()
	device := h.openTPM(t)
	auth := tpm.Auth("auth value of a test")
	blob := must(device.CreateGroupKey(ctx, attest.GroupKeyTemplate(), auth))(t)
	key := must(device.LoadGroupKey(ctx, blob, auth))(t)
	t.Cleanup(func() { _ = key.Close() })
	return h.enlist(t, key, key.Point(), key.Name(), h.Contents.Current.Number)
}

// AdmitKnown admits the owner of a key whose scalar is in the test's hands: a
// TPM has room for two or three members only.
func (h *House) AdmitKnown(t testing.TB) *Member {
	t.Helper()
	return h.AdmitFor(t, h.Contents.Current.Number)
}

// AdmitFor is AdmitKnown for an epoch.
func (h *House) AdmitFor(t testing.TB, epoch uint64) *Member {
	t.Helper()
	key := must(openingtest.NewKey())(t)
	return h.enlist(t, key, key.Point(), enrol.KeyName(key.Public()), epoch)
}

// Renew is the same member, with the same key, in another epoch.
func (h *House) Renew(t testing.TB, m *Member, epoch uint64) *Member {
	t.Helper()
	key, ok := m.Key.(*openingtest.Key)
	if !ok {
		t.Fatal("not a known key")
	}
	return h.enlist(t, key, key.Point(), enrol.KeyName(key.Public()), epoch)
}

func (h *House) enlist(t testing.TB, key group.Key, point fp256bn.G1, name []byte, epoch uint64) *Member {
	t.Helper()
	ctx := context.Background()
	m := &Member{Key: key, house: h}
	params := h.Document(t).Parameters()
	jc := group.JoinContext{KeyName: name, EK: [32]byte{2}, Form: [32]byte{3}}
	if _, err := rand.Read(jc.Nonce[:]); err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		t.Fatal(err)
	}
	u := must(group.DeriveWalletSecret(secret, group.ID{}, jc.KeyName))(t)
	m.Context = jc
	m.Join = must(group.NewJoin(ctx, params, key, point, u, jc))(t)
	credential := must(h.Issuer.Issue(m.Join.F, m.Join.Uh, epoch))(t)
	m.Member = must(group.NewMember(params, m.Join.F.Bytes(), u, credential))(t)
	return m
}

// PrepareBound makes coins bound to the member's TPM, to be of the given
// values.
func (p *Purse) PrepareBound(t testing.TB, m *Member, values ...coin.Amount) *Batch {
	t.Helper()
	b := &Batch{}
	for _, value := range values {
		d := p.house.Key(t, coin.Bound, value)
		i := p.next.Add(1)
		nonce := must(coin.BoundNonce(p.seed, BankID, d.KeyID, i))(t)
		tag := must(group.CoinTag(t.Context(), m.Key, nonce))(t)
		b.add(t, must(coin.NewPlanchet(p.seed, BankID, d, i, coin.BoundOwner(nonce, tag)))(t))
	}
	return b
}

// AuthoriseBound authorises a spend in which m owns the bound coins.
func (p *Purse) AuthoriseBound(t testing.TB, m *Member, s coin.Spend) (*coin.Spend, *coin.Authorisation) {
	t.Helper()
	s.Group = p.house.Document(t).GroupID()
	spend := must(coin.NewSpend(s))(t)
	a := &coin.Authorisation{Bearer: must(spend.SignBearer(p.OwnerKey))(t)}
	presentation := must(m.Present(t.Context(), m.Key, spend.Frame(), must(coin.Claims(spend.BoundClaims()))(t)))(t)
	a.Presentation = presentation.Bytes()
	return spend, a
}
