package opening

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/successor"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxCase bounds a case file, in bytes: two spends and a few words.
const MaxCase = 2*coin.MaxSpendJSON + 1024

// Spend is a spend with its owners' consent.
type Spend struct {
	*coin.Spend
	Authorisation *coin.Authorisation
}

// Case is what a bank files when a bound coin comes twice.
type Case struct {
	Bank   string
	CoinID [32]byte
	// Spends has the recorded spend first, the refused one second.
	Spends [2]Spend
}

type caseJSON struct {
	Version int               `json:"v"`
	Bank    string            `json:"bank"`
	CoinID  base64url         `json:"coin_id"`
	Spends  []*coin.SpendJSON `json:"spends"`
}

// ParseCase reads a case file of at most MaxCase bytes. It verifies nothing
// but the form; see Verify.
func ParseCase(data []byte) (*Case, error) {
	var j caseJSON
	if err := strictjson.Unmarshal(data, MaxCase, &j); err != nil {
		return nil, fmt.Errorf("%w: case: %v", ErrMalformed, err)
	}
	return j.parse()
}

func (j *caseJSON) parse() (*Case, error) {
	if j.Version != 1 || len(j.CoinID) != 32 || len(j.Spends) != 2 || j.Spends[0] == nil || j.Spends[1] == nil {
		return nil, fmt.Errorf("%w: not a case of version 1 with two spends of a coin", ErrMalformed)
	}
	c := &Case{Bank: j.Bank, CoinID: [32]byte(j.CoinID)}
	for i, sj := range j.Spends {
		s, a, err := sj.Parse()
		if err != nil {
			return nil, fmt.Errorf("spend %d: %w", i+1, err)
		}
		if s.Bank != c.Bank {
			return nil, fmt.Errorf("spend %d: %w", i+1, coin.ErrBank)
		}
		c.Spends[i] = Spend{Spend: s, Authorisation: a}
	}
	return c, nil
}

func (c *Case) json() (*caseJSON, error) {
	j := &caseJSON{Version: 1, Bank: c.Bank, CoinID: c.CoinID[:]}
	for i, s := range c.Spends {
		sj, err := coin.NewSpendJSON(s.Spend, s.Authorisation)
		if err != nil {
			return nil, fmt.Errorf("spend %d: %w", i+1, err)
		}
		j.Spends = append(j.Spends, sj)
	}
	return j, nil
}

// Marshal returns the case file.
func (c *Case) Marshal() ([]byte, error) {
	j, err := c.json()
	if err != nil {
		return nil, err
	}
	out, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("opening: case: %w", err)
	}
	return out, nil
}

// Digest names the case: both frames and both presentations, whatever the
// file looks like.
func (c *Case) Digest() [32]byte {
	return frame.Digest([]byte("specie/case/1"), []byte(c.Bank), c.CoinID[:],
		c.Spends[0].Frame(), c.Spends[0].Authorisation.Presentation,
		c.Spends[1].Frame(), c.Spends[1].Authorisation.Presentation)
}

// Verify says whether the case is one: the coin is a bound coin of the bank
// and stands in both spends, its owner authorised both, as a member of that
// group, and they are two payments and not one sent twice (same offer and
// coins, which a bank must answer as it did before), nor one of them a part of
// the other taken back (coin.TakenBack). The first may be a recover
// of coins whose TPM was said to be gone; what the manager signed about that is
// judged at the time of the spend.
//
// Errors: ErrNoCase, and those of [coin.ConflictProof.Verify].
func (c *Case) Verify(p *Papers) error {
	if p.Keyset == nil {
		return fmt.Errorf("%w: a case is judged by its bank's keyset", coin.ErrBank)
	}
	first, second := c.Spends[0], c.Spends[1]
	if first.Op() == second.Op() {
		return fmt.Errorf("%w: both are the same payment", ErrNoCase)
	}
	if coin.TakenBack(first.Spend, second.Spend) {
		return fmt.Errorf("%w: one takes back a part of the other", ErrNoCase)
	}
	for i, s := range c.Spends {
		if err := boundCoin(s.Spend, c.CoinID); err != nil {
			return fmt.Errorf("spend %d: %w", i+1, err)
		}
	}
	// Who asks back a coin that his lost TPM had spent has spent it once; and
	// his presentation, which makes no claim, is not what opens to that TPM.
	if second.Purpose == coin.Recover {
		return fmt.Errorf("%w: the refused one is a recover", ErrNoCase)
	}
	v, err := p.groupVerifier(c)
	if err != nil {
		return err
	}
	for i, s := range c.Spends {
		other := c.Spends[1-i]
		proof := coin.ConflictProof{CoinID: c.CoinID, Spend: s.Spend, Authorisation: s.Authorisation}
		// The first may have been a recover: see issuer.Bank.Recover.
		v := coin.WithSuccessors(coin.NewPresentationVerifier(v), &successor.Verifier{
			Root: p.root, Doc: p.Group,
		})
		if err := proof.Verify(other.Spend, p.Keyset, v); err != nil {
			return fmt.Errorf("spend %d: %w", i+1, err)
		}
	}
	return nil
}

// boundCoin refuses a coin that is not in the spend, or that no TPM owns:
// then a presentation in the same spend says nothing about it.
func boundCoin(s *coin.Spend, id [32]byte) error {
	at := slices.Index(s.CoinIDs(), id)
	if at < 0 {
		return fmt.Errorf("%w: the coin is not in it", ErrNoCase)
	}
	if s.Coins[at].Kind != coin.Bound {
		return fmt.Errorf("%w: it is a %s coin", ErrNoCase, s.Coins[at].Kind)
	}
	return nil
}

// Value is what the coin is worth by its bank's keyset, as "1.28 EUR"; empty if
// the keyset doesn't have it.
func (c *Case) Value(k *coin.Keyset) string {
	for _, spent := range c.Spends[0].Coins {
		if spent.ID() != c.CoinID {
			continue
		}
		if d, err := k.Find(spent.KeyID); err == nil {
			return d.Value.Format(k.Exponent) + " " + k.Currency
		}
	}
	return ""
}

// Subject is what a warrant to open this case is about.
func (c *Case) Subject() warrant.Subject { return warrant.Case(c.Digest()) }

// item is the presentation that gets opened: the refused spend's. Both are
// the same member's, having proven one tag of one coin.
func (c *Case) item() (group.Item, error) {
	s := c.Spends[1]
	claims, err := coin.Claims(s.BoundClaims())
	if err != nil {
		return group.Item{}, err
	}
	return group.Item{Presentation: s.Authorisation.Presentation, Message: s.Frame(), Claims: claims}, nil
}
