package coin_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/groupdoc/successor"
	"github.com/speciecash/specie/opening/openingtest"
)

// parish is a real group: Ada's TPM broke in epoch 7, and she has had two more
// since, by the manager's word; Bob's is whole. It is epoch 9 now.
type parish struct {
	g                           *groupdoctest.Group
	doc                         *groupdoc.Document
	ada, adaSecond, adaThird    *openingtest.Member
	bob, bobNow                 *openingtest.Member
	firstToSecond, secondToLast []byte
	at                          time.Time
}

// theParish is made once. Nobody may write to it.
var theParish = sync.OnceValue(func() *parish {
	t := &testing.T{}
	p := &parish{g: groupdoctest.New(t, now, []byte("template"), [32]byte{1})}
	first := p.g.Document(t)
	p.ada, p.bob = p.admit(first, 7, nil), p.admit(first, 7, nil)
	// Two epochs later.
	c := p.g.Contents
	p.at = c.Next.Ends.Add(time.Hour)
	c.Seq, c.IssuedAt = 2, p.at
	c.Current = groupdoc.Epoch{Number: 9, Starts: c.Next.Ends, Ends: c.Next.Ends.Add(24 * time.Hour)}
	c.Next = groupdoc.Epoch{Number: 10, Starts: c.Current.Ends, Ends: c.Current.Ends.Add(24 * time.Hour)}
	p.doc = must(groupdoc.Parse(p.g.Root, p.g.Sign(t), p.at))
	p.adaSecond, p.adaThird = p.admit(p.doc, 9, nil), p.admit(p.doc, 9, nil)
	p.bobNow = p.admit(p.doc, 9, p.bob.Key.(*openingtest.Key))
	p.firstToSecond = p.succession(p.ada, p.adaSecond, first.Current.Ends)
	p.secondToLast = p.succession(p.adaSecond, p.adaThird, p.doc.Current.Ends)
	return p
})

// admit makes a member; key is that of his TPM, a new one if nil.
func (p *parish) admit(doc *groupdoc.Document, epoch uint64, key *openingtest.Key) *openingtest.Member {
	if key == nil {
		key = must(openingtest.NewKey())
	}
	return must(openingtest.Admit(context.Background(), doc.Parameters(), p.g.Issuer, epoch, "Ada", key, nil))
}

func tagOf(m *openingtest.Member) [33]byte { return m.Join.F.Bytes() }

func (p *parish) succession(old, new *openingtest.Member, until time.Time) []byte {
	return must(enrol.SignSuccession(&enrol.Succession{
		Group: groupdoctest.Name, Old: tagOf(old), New: tagOf(new), At: p.at, GoodUntil: until,
	}, p.g.Manager.Key, p.g.Manager.Chain))
}

func (p *parish) verifier() coin.PresentationVerifier {
	v := must(p.doc.Verifier(p.at))
	return coin.WithSuccessors(coin.NewPresentationVerifier(v), &successor.Verifier{Root: p.g.Root, Doc: p.doc})
}

// strike makes bound 8s, of numbers from first on, with their holding.
func (p *parish) strike(m *mint, owner *openingtest.Member, first uint64, n int) ([]*coin.Planchet, *coin.Holding) {
	ctx := context.Background()
	var planchets []*coin.Planchet
	var claims []group.Claim
	for i := first; i < first+uint64(n); i++ {
		nonce := must(coin.BoundNonce(seed, bankID, m.bound8.KeyID, i))
		tag := must(group.CoinTag(ctx, owner.Key, nonce))
		planchets = append(planchets, must(coin.NewPlanchet(seed, bankID, &m.bound8, i, coin.BoundOwner(nonce, tag))))
		claim := must(group.CoinClaim(nonce, tag))
		claims = append(claims, must(claim.Blind(blindOf(m, i))))
	}
	claims = must(coin.HoldingClaims(claims, owner.BlankClaim))
	pres, k, err := owner.PresentOpen(ctx, owner.Key, coin.HoldingMessage(), claims)
	return planchets, coin.NewHolding(must(pres, err), k, claims)
}

func blindOf(m *mint, index uint64) group.ClaimBlind {
	return must(coin.HoldingBlind(seed, bankID, m.bound8.KeyID, index))
}

// recovery is a recover of two bound 8s of Ada's, of the three that one holding
// is of, and of a bearer 4: 20 in all, for bearer coins.
type recovery struct {
	*parish
	*mint
	spend  coin.Spend
	heir   *openingtest.Member
	stead  coin.Stead
	places map[[32]byte]coin.Held
	claims map[[32]byte]coin.Claim
	issued map[[32]byte][]coin.Output
	keyset *coin.Keyset
	time   time.Time
}

func (p *parish) recovery(m *mint) *recovery {
	r := &recovery{
		parish: p, mint: m, heir: p.adaSecond, places: map[[32]byte]coin.Held{}, claims: map[[32]byte]coin.Claim{},
		issued: map[[32]byte][]coin.Output{}, keyset: m.keyset, time: p.at,
	}
	r.stead.Successions = [][]byte{p.firstToSecond}
	planchets, holding := p.strike(m, p.ada, 200, 3)
	r.hold(planchets[:2], 200, holding)
	s := &r.spend
	s.Coins = append(s.Coins, m.coin(m.four, 20))
	s.Purpose, s.Bank, s.Currency, s.Group, s.IssuedAt = coin.Recover, bankID, "EUR", p.doc.GroupID(), p.at.Unix()
	s.ToIssuer = []coin.Output{m.output(m.eight, 60), m.output(m.eight, 61), m.output(m.four, 60)}
	return r
}

// hold adds coins and their holding.
func (r *recovery) hold(planchets []*coin.Planchet, first uint64, h *coin.Holding) {
	for i, p := range planchets {
		c := *must(p.Finalize(r.rawSign(r.bound8.KeyID, p.Blinded())))
		blind := blindOf(r.mint, first+uint64(i))
		at := must(h.Find(must(c.BoundClaim()), blind))
		r.spend.Coins = append(r.spend.Coins, c)
		r.places[c.ID()] = coin.Held{Holding: len(r.stead.Holdings), Claim: at, Blind: blind}
		op := [32]byte{'w'}
		r.claims[c.ID()] = p.Claim(op, len(r.issued[op]))
		r.issued[op] = append(r.issued[op], p.Output())
	}
	r.stead.Holdings = append(r.stead.Holdings, *h)
}

// unsign takes the bank's signature off the bound coins.
func (r *recovery) unsign() {
	for i := range r.spend.Coins {
		if r.spend.Coins[i].Kind == coin.Bound {
			r.spend.Coins[i].Signature = nil
		}
	}
}

// sign makes the spend and its authorisation by the heir.
func (r *recovery) sign(t testing.TB) (*coin.Spend, *coin.Authorisation) {
	t.Helper()
	s := must(coin.NewSpend(r.spend))
	a := &coin.Authorisation{Bearer: must(s.SignBearer(keyOf))}
	pres, k, err := r.heir.PresentOpen(t.Context(), r.heir.Key, s.Frame(), nil)
	a.Presentation = must(pres, err).Bytes()
	stead := r.stead
	stead.Key = [32]byte(k.Bytes())
	stead.Holdings = slices.Clone(stead.Holdings)
	for i := range s.Coins {
		if at, ok := r.places[s.Coins[i].ID()]; ok {
			stead.Held = append(stead.Held, at)
		}
	}
	a.Stead = &stead
	return s, a
}

func (r *recovery) ordered(s *coin.Spend) (out []coin.Claim) {
	for i := range s.Coins {
		if c, ok := r.claims[s.Coins[i].ID()]; ok && !s.Coins[i].Signed() {
			out = append(out, c)
		}
	}
	return out
}

func (r *recovery) outputs(op [32]byte) ([]coin.Output, error) {
	if o, ok := r.issued[op]; ok {
		return o, nil
	}
	return nil, coin.ErrClaim
}

// verify is what the bank does; change is what somebody did to the request.
func (r *recovery) verify(t *testing.T, change func(s *coin.Spend, a *coin.Authorisation)) error {
	t.Helper()
	if _, err := coin.NewSpend(r.spend); err != nil {
		return err
	}
	s, a := r.sign(t)
	if change != nil {
		change(s, a)
	}
	return coin.VerifyRecover(s, a, r.ordered(s), r.keyset, r.verifier(), r.time, r.outputs)
}

// atKey changes the bound coins' key.
func (r *recovery) atKey(change func(*coin.Denomination)) {
	r.keyset = r.keysetWith(func(k *coin.Keyset) { change(&k.Denominations[3]) })
}
