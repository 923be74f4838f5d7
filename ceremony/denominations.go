package ceremony

import (
	"context"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"math/bits"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

// Bounds on small keys (2048 bits): NIST SP 800-57 part 1 lets 112 bits of
// strength stand until the end of 2030, and a short time of issue keeps the
// worth of factoring one key low.
const (
	smallKeyBits   = 2048
	smallKeyIssues = 90 * 24 * time.Hour
)

// smallKeyEnds is the first instant at which no coin under a small key may be
// spent any more.
func smallKeyEnds() time.Time { return time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC) }

// mintPlan makes denomination keys and the keyset with them.
type mintPlan struct {
	common   `yaml:",inline"`
	Bank     string `yaml:"bank"`
	Currency string `yaml:"currency"`
	Exponent int    `yaml:"exponent"`
	// Sequence is the new keyset's number. The first is 1 and has no
	// Previous; every other follows the keyset in the file Previous and keeps
	// its keys.
	Sequence uint64    `yaml:"sequence"`
	Previous string    `yaml:"previous,omitempty"`
	Token    uri       `yaml:"token"`
	Root     string    `yaml:"root"`
	Master   authority `yaml:"master"`
	Series   []series  `yaml:"series"`
	Output   struct {
		record `yaml:",inline"`
		Keyset string `yaml:"keyset"`
	} `yaml:"output"`
}

// series is a row of keys that differ in value only. Their labels are
// "<key>-<value>".
type series struct {
	Key        string    `yaml:"key"`
	Kind       coin.Kind `yaml:"kind"`
	Bits       int       `yaml:"bits"`
	Values     []int64   `yaml:"values"`
	IssueFrom  instant   `yaml:"issue_from"`
	IssueUntil instant   `yaml:"issue_until"`
	SpendUntil instant   `yaml:"spend_until"`
	LegalUntil instant   `yaml:"legal_until"`
}

func (s *series) label(value int64) string { return fmt.Sprintf("%s-%d", s.Key, value) }

func (p *mintPlan) validate() error {
	if err := first(checkID("bank", p.Bank), p.Token.checkToken("token"), p.Master.validate("master")); err != nil {
		return err
	}
	if (p.Sequence == 1) != (p.Previous == "") || p.Sequence == 0 {
		return fmt.Errorf("%w: the keyset of sequence 1 has no previous one, every other has", ErrPlan)
	}
	if len(p.Series) == 0 {
		return fmt.Errorf("%w: no series", ErrPlan)
	}
	keys := 0
	for i := range p.Series {
		if err := p.Series[i].validate(); err != nil {
			return fmt.Errorf("series %d: %w", i+1, err)
		}
		if keys += len(p.Series[i].Values); keys > coin.MaxDenominations {
			return fmt.Errorf("%w: more than %d keys", ErrPlan, coin.MaxDenominations)
		}
	}
	// Currency and exponent are judged by the package that knows them.
	probe := coin.Keyset{Bank: p.Bank, Currency: p.Currency, Exponent: p.Exponent, Seq: 1}
	if err := probe.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrPlan, err)
	}
	return nil
}

func (s *series) validate() error {
	if err := checkLabel("key", s.Key); err != nil {
		return err
	}
	if !s.Kind.Known() {
		return fmt.Errorf("%w: kind is %s or %s", ErrPlan, coin.Bearer, coin.Bound)
	}
	switch s.Bits {
	case 2048, 3072, 4096:
	default:
		return fmt.Errorf("%w: bits is 2048, 3072 or 4096", ErrPlan)
	}
	if len(s.Values) == 0 {
		return fmt.Errorf("%w: no values", ErrPlan)
	}
	for _, v := range s.Values {
		if v <= 0 || coin.Amount(v) > coin.MaxAmount || bits.OnesCount64(uint64(v)) != 1 {
			return fmt.Errorf("%w: value %d is not a power of two", ErrPlan, v)
		}
	}
	if s.IssueFrom.IsZero() || !s.IssueFrom.Before(s.IssueUntil.Time) || s.SpendUntil.Before(s.IssueUntil.Time) ||
		!s.SpendUntil.Before(s.LegalUntil.Time) {
		return fmt.Errorf("%w: issue_from < issue_until <= spend_until < legal_until does not hold", ErrPlan)
	}
	if s.Bits == smallKeyBits {
		if s.IssueUntil.Sub(s.IssueFrom.Time) > smallKeyIssues {
			return fmt.Errorf("%w: a key of %d bits issues for 90 days at most; plan 3072", ErrWeak, s.Bits)
		}
		if s.SpendUntil.After(smallKeyEnds()) {
			return fmt.Errorf("%w: coins under a key of %d bits are spent before 2031; plan 3072", ErrWeak, s.Bits)
		}
	}
	return nil
}

// denomination is what the keyset says of a key of the series.
func (s *series) denomination(pub *rsa.PublicKey, value int64) (*coin.Denomination, error) {
	kid, err := coin.NewKeyID(pub)
	if err != nil {
		return nil, err
	}
	return &coin.Denomination{
		KeyID: kid, Value: coin.Amount(value), Kind: s.Kind, PublicKey: pub,
		IssueFrom: s.IssueFrom.Time, IssueUntil: s.IssueUntil.Time,
		SpendUntil: s.SpendUntil.Time, LegalUntil: s.LegalUntil.Time,
	}, nil
}

func (p *mintPlan) transcript() string { return p.Output.Transcript }

func (p *mintPlan) inputs() []input {
	in := []input{{"root", p.Root, maxCertificate}, p.Master.input("master")}
	if p.Previous != "" {
		in = append(in, input{"previous", p.Previous, trust.MaxJWS})
	}
	return in
}

func (p *mintPlan) outputs() []product { return []product{{"keyset", p.Output.Keyset, false}} }

func (p *mintPlan) tokens() []named { return []named{p.Master.named("master"), {"token", p.Token}} }

func (p *mintPlan) made() []newKey {
	var out []newKey
	for i := range p.Series {
		s := &p.Series[i]
		for _, v := range s.Values {
			out = append(out, newKey{p.Token.WithObject(s.label(v)), rsaKind(s.Bits)})
		}
	}
	return out
}

func (p *mintPlan) prepare(d *desk) (act, error) {
	n, err := p.succession(d)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, b *bench) (*signatory, error) {
		s, err := b.signatory(ctx, n.master)
		if err != nil {
			return nil, err
		}
		return s, p.mint(ctx, b, s, n)
	}, nil
}

func (p *mintPlan) succession(d *desk) (*succession, error) {
	master, err := p.Master.asMaster(d, p.Bank)
	if err != nil {
		return nil, err
	}
	n := &succession{bank: p.Bank, currency: p.Currency, exponent: p.Exponent, sequence: p.Sequence, master: master}
	if p.Previous == "" {
		return n, nil
	}
	if err := n.readPrevious(d); err != nil {
		return nil, err
	}
	if n.currency != n.previous.Currency || n.exponent != n.previous.Exponent {
		return nil, fmt.Errorf("%w: previous is in %s with %d decimals", ErrInput, n.previous.Currency, n.previous.Exponent)
	}
	return n, nil
}

// mint makes the keys one after the other (some tokens do it no faster in
// parallel, and none says so), and signs the keyset.
func (p *mintPlan) mint(ctx context.Context, b *bench, s *signatory, n *succession) error {
	set := n.draft(b.at)
	for i := range p.Series {
		row := &p.Series[i]
		for _, v := range row.Values {
			key, err := b.newRSA(ctx, p.Token.WithObject(row.label(v)), row.Bits)
			if err != nil {
				return err
			}
			d, err := row.denomination(key.Public(), v)
			if err != nil {
				return err
			}
			set.Denominations = append(set.Denominations, *d)
		}
	}
	return n.publish(b, s, set)
}

// rotatePlan makes the next keyset, and with it a new online signing key if
// one is due: one approval for both.
type rotatePlan struct {
	mintPlan `yaml:",inline"`
	Signing  *struct {
		Key   uri      `yaml:"key"`
		Valid validity `yaml:"valid"`
		Chain string   `yaml:"chain"` // output
	} `yaml:"signing,omitempty"`
}

func (p *rotatePlan) validate() error {
	if err := p.mintPlan.validate(); err != nil {
		return err
	}
	if p.Previous == "" {
		return fmt.Errorf("%w: a rotation has a previous keyset", ErrPlan)
	}
	if p.Signing == nil {
		return nil
	}
	return first(p.Signing.Key.checkNewKey("signing.key"), p.Signing.Valid.validate("signing.valid"))
}

func (p *rotatePlan) outputs() []product {
	out := p.mintPlan.outputs()
	if p.Signing != nil {
		out = append(out, product{"signing.chain", p.Signing.Chain, false})
	}
	return out
}

func (p *rotatePlan) tokens() []named {
	all := p.mintPlan.tokens()
	if p.Signing != nil {
		all = append(all, named{"signing.key", p.Signing.Key})
	}
	return all
}

func (p *rotatePlan) made() []newKey {
	all := p.mintPlan.made()
	if p.Signing != nil {
		all = append(all, newKey{p.Signing.Key.URI, kindP256})
	}
	return all
}

func (p *rotatePlan) prepare(d *desk) (act, error) {
	n, err := p.succession(d)
	if err != nil {
		return nil, err
	}
	if p.Signing != nil {
		if err := n.master.covers(p.Signing.Valid); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, b *bench) (*signatory, error) {
		s, err := b.signatory(ctx, n.master)
		if err != nil {
			return nil, err
		}
		if err := p.mint(ctx, b, s, n); err != nil || p.Signing == nil {
			return s, err
		}
		c := newCertificate{
			by: n.master, name: trust.Name{Role: trust.RoleSigning, ID: p.Bank}, curve: elliptic.P256(),
			key: p.Signing.Key, valid: p.Signing.Valid, output: "signing.chain",
		}
		return s, c.make(ctx, b, s)
	}, nil
}
