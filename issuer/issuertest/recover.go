package issuertest

import (
	"context"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/successor"
	"github.com/speciecash/specie/issuer"
)

// EpochEnds is when the house's epoch at Now ends, and the next begins, which
// ends a day later.
func (h *House) EpochEnds() time.Time { return h.Contents.Current.Ends }

// Succession is the manager's word that heir is who m was, and that m could
// sign until then.
func (h *House) Succession(t testing.TB, m, heir *Member, until time.Time) []byte {
	t.Helper()
	s := &enrol.Succession{
		Group: h.Contents.ID, Old: m.Join.F.Bytes(), New: heir.Join.F.Bytes(), At: Now, GoodUntil: until,
	}
	return must(enrol.SignSuccession(s, h.Manager.Key, h.Manager.Chain))(t)
}

// GroupsAt takes the house's members as they are at a clock's time, and whoever
// succeeds one.
func (h *House) GroupsAt(t testing.TB, clock func() time.Time) issuer.Groups {
	t.Helper()
	return timedGroups{h, h.Document(t), clock}
}

type timedGroups struct {
	house *House
	doc   *groupdoc.Document
	now   func() time.Time
}

// Verifier implements issuer.Groups.
func (g timedGroups) Verifier(_ context.Context, id [32]byte) (coin.PresentationVerifier, error) {
	if id != g.doc.GroupID() {
		return nil, coin.ErrBinding
	}
	v, err := g.doc.Verifier(g.now())
	if err != nil {
		return nil, err
	}
	return coin.WithSuccessors(coin.NewPresentationVerifier(v), &successor.Verifier{Root: g.house.Root, Doc: g.doc}), nil
}

// held is what a purse keeps of a bound coin in case its TPM breaks.
type held struct {
	holding *coin.Holding
	blind   group.ClaimBlind
}

// PrepareHeld is PrepareBound, and keeps what it takes to recover the coins.
func (p *Purse) PrepareHeld(t testing.TB, m *Member, values ...coin.Amount) *Batch {
	t.Helper()
	first := p.next.Load() + 1
	b := p.PrepareBound(t, m, values...)
	var blinds []group.ClaimBlind
	var claims []group.Claim
	for i, planchet := range b.Planchets {
		c := planchet.Unsigned()
		owner := must(c.BoundClaim())(t)
		blind := must(coin.HoldingBlind(p.seed, BankID, c.KeyID, first+uint64(i)))(t)
		claim := must(group.CoinClaim(owner.Nonce, owner.Tag))(t)
		blinds, claims = append(blinds, blind), append(claims, must(claim.Blind(blind))(t))
	}
	claims = must(coin.HoldingClaims(claims, m.BlankClaim))(t)
	pres, k, err := m.PresentOpen(t.Context(), m.Key, coin.HoldingMessage(), claims)
	holding := coin.NewHolding(must(pres, err)(t), k, claims)
	for i, planchet := range b.Planchets {
		p.held[planchet.ID()] = held{holding, blinds[i]}
	}
	return b
}

// AuthoriseRecover authorises a recover as the member to whom the successions
// lead.
func (p *Purse) AuthoriseRecover(t testing.TB, heir *Member, successions [][]byte, s coin.Spend) (*coin.Spend, *coin.Authorisation) {
	t.Helper()
	s.Purpose, s.Bank, s.Currency, s.Group = coin.Recover, BankID, Currency, p.house.Document(t).GroupID()
	if s.IssuedAt == 0 {
		s.IssuedAt = Now.Unix()
	}
	spend := must(coin.NewSpend(s))(t)
	pres, k, err := heir.PresentOpen(t.Context(), heir.Key, spend.Frame(), nil)
	a := &coin.Authorisation{Bearer: must(spend.SignBearer(p.OwnerKey))(t), Presentation: must(pres, err)(t).Bytes()}
	a.Stead = &coin.Stead{Successions: successions, Key: [32]byte(k.Bytes())}
	at := map[*coin.Holding]int{}
	for i := range spend.Coins {
		c := &spend.Coins[i]
		owner, err := c.BoundClaim()
		if err != nil {
			continue
		}
		kept := p.held[c.ID()]
		place, known := at[kept.holding]
		if !known {
			place = len(a.Stead.Holdings)
			at[kept.holding] = place
			a.Stead.Holdings = append(a.Stead.Holdings, *kept.holding)
		}
		claim := must(kept.holding.Find(owner, kept.blind))(t)
		a.Stead.Held = append(a.Stead.Held, coin.Held{Holding: place, Claim: claim, Blind: kept.blind})
	}
	return spend, a
}
