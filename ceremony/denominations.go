package ceremony

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"math/bits"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
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

// denominationsPlan makes denomination keys and the keyset.
type denominationsPlan struct {
	head     `yaml:",inline"`
	Bank     string    `yaml:"bank"`
	Currency string    `yaml:"currency"`
	Exponent int       `yaml:"exponent"`
	Token    tokenRef  `yaml:"token"`
	Root     string    `yaml:"root"`
	Master   authority `yaml:"master"`
	// Sequence is the new keyset's number. The first is 1 and has no
	// Previous; every other follows the keyset in the file Previous, keeps its
	// keys, and may revoke some or declare them lost, by key id.
	Sequence uint64   `yaml:"sequence"`
	Previous string   `yaml:"previous,omitempty"`
	Revoke   []string `yaml:"revoke,omitempty"`
	Lost     []string `yaml:"lost,omitempty"`
	Series   []series `yaml:"series"`
	Output   struct {
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

func (p *denominationsPlan) validate() error {
	if err := first(checkID("bank", p.Bank), p.Token.validate("token"), p.Master.validate("master"),
		checkPaths(map[string]string{"root": p.Root}, p.outputs()...)); err != nil {
		return err
	}
	if (p.Sequence == 1) != (p.Previous == "") || p.Sequence == 0 {
		return fmt.Errorf("%w: the keyset of sequence 1 has no previous one, every other has", ErrPlan)
	}
	if len(p.Series) == 0 && len(p.Revoke)+len(p.Lost) == 0 {
		return fmt.Errorf("%w: no series, and nothing to revoke or declare lost", ErrPlan)
	}
	labels := make(map[string]bool)
	for i := range p.Series {
		s := &p.Series[i]
		if err := s.validate(); err != nil {
			return fmt.Errorf("series %d: %w", i+1, err)
		}
		for _, v := range s.Values {
			if labels[s.label(v)] {
				return fmt.Errorf("%w: series %d: label %s stands twice", ErrPlan, i+1, s.label(v))
			}
			labels[s.label(v)] = true
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

func (p *denominationsPlan) outputs() []string { return []string{p.Output.Keyset} }

// minting is a denominations plan with its inputs.
type minting struct {
	*denominationsPlan
	master   *certified
	previous *coin.Keyset // nil for the first
	revoke   map[coin.KeyID]bool
	lost     map[coin.KeyID]bool
}

func (p *denominationsPlan) prepare(d *desk) (act, error) {
	m := &minting{denominationsPlan: p}
	var err error
	if m.master, err = p.Master.asMaster(d, p.Root, p.Bank); err != nil {
		return nil, err
	}
	if p.Previous != "" {
		if err := m.readPrevious(d); err != nil {
			return nil, err
		}
	}
	if m.revoke, err = m.keyIDs("revoke", p.Revoke); err != nil {
		return nil, err
	}
	if m.lost, err = m.keyIDs("lost", p.Lost); err != nil {
		return nil, err
	}
	return m.perform, nil
}

func (m *minting) readPrevious(d *desk) error {
	jws, err := d.read(m.Previous, trust.MaxJWS)
	if err != nil {
		return err
	}
	if m.previous, err = coin.ParseKeyset(m.master.root, bytes.TrimSpace(jws), d.at); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInput, m.Previous, err)
	}
	if m.previous.Bank != m.Bank || m.previous.Seq+1 != m.Sequence {
		return fmt.Errorf("%w: %s is keyset %d of %s, the plan is for keyset %d of %s",
			ErrInput, m.Previous, m.previous.Seq, m.previous.Bank, m.Sequence, m.Bank)
	}
	return nil
}

// keyIDs reads a list of keys that the previous keyset has.
func (m *minting) keyIDs(field string, list []string) (map[coin.KeyID]bool, error) {
	out := make(map[coin.KeyID]bool)
	for _, text := range list {
		kid, err := coin.ParseKeyID(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: not a key id", ErrPlan, field)
		}
		if m.previous == nil {
			return nil, fmt.Errorf("%w: %s: the first keyset has nothing to change", ErrPlan, field)
		}
		if _, err := m.previous.Find(kid); err != nil {
			return nil, fmt.Errorf("%w: %s: %s: %w", ErrInput, field, kid, err)
		}
		out[kid] = true
	}
	return out, nil
}

func (m *minting) perform(ctx context.Context, b *bench) error {
	signer, err := m.master.signer(ctx, b)
	if err != nil {
		return err
	}
	set := m.successor(b.at)
	if err := m.generate(ctx, b, set); err != nil {
		return err
	}
	payload, err := set.Marshal()
	if err != nil {
		return err
	}
	jws, err := trust.Sign(trust.TypKeyset, payload, signer, []*x509.Certificate{m.master.cert})
	if err != nil {
		return err
	}
	// Read back as a stranger would, so that nothing is published that nobody
	// accepts.
	read, err := coin.ParseKeyset(m.master.root, jws, b.at)
	if err != nil {
		return fmt.Errorf("ceremony: the new keyset: %w", err)
	}
	if m.previous != nil {
		if err := read.CheckSuccessor(m.previous); err != nil {
			return fmt.Errorf("ceremony: the new keyset: %w", err)
		}
	}
	return b.write(m.Output.Keyset, jws, false)
}

// successor is the keyset with the previous one's keys: all whose coins the
// bank still owes for.
func (m *minting) successor(at time.Time) *coin.Keyset {
	set := &coin.Keyset{Bank: m.Bank, Currency: m.Currency, Exponent: m.Exponent, Seq: m.Sequence, IssuedAt: at}
	if m.previous == nil {
		return set
	}
	set.Prev, set.Crit = m.previous.Digest, m.previous.Crit
	for _, d := range m.previous.Denominations {
		if !at.Before(d.LegalUntil) {
			continue
		}
		d.Revoked = d.Revoked || m.revoke[d.KeyID]
		d.Lost = d.Lost || m.lost[d.KeyID]
		set.Denominations = append(set.Denominations, d)
	}
	return set
}

// generate makes the keys one after the other: some tokens do it no faster in
// parallel, and none says so.
func (m *minting) generate(ctx context.Context, b *bench, set *coin.Keyset) error {
	t, err := b.token(ctx, &m.Token)
	if err != nil {
		return err
	}
	// Listing audits what is there, and finds a taken label before the first
	// key is made.
	there, err := t.RSAKeys(ctx)
	if err != nil {
		return err
	}
	taken := make(map[string]bool)
	for _, key := range there {
		taken[key.Label()] = true
	}
	total := 0
	for i := range m.Series {
		total += len(m.Series[i].Values)
		for _, v := range m.Series[i].Values {
			if label := m.Series[i].label(v); taken[label] {
				return duplicate(label, t)
			}
		}
	}
	for i := range m.Series {
		for _, v := range m.Series[i].Values {
			d, err := b.newDenomination(ctx, t, &m.Series[i], v)
			if err != nil {
				return err
			}
			set.Denominations = append(set.Denominations, *d)
			if b.progress != nil {
				b.progress(len(b.result.Keys), total)
			}
		}
	}
	return nil
}

// newDenomination generates one key; package hsm audits it and tries it with
// a number that is no coin.
func (b *bench) newDenomination(ctx context.Context, t *hsm.Token, s *series, value int64) (*coin.Denomination, error) {
	label := s.label(value)
	key, err := t.GenerateRSA(ctx, label, s.Bits)
	if err != nil {
		return nil, err
	}
	pub := key.Public()
	kid, err := coin.NewKeyID(pub)
	if err != nil {
		return nil, err
	}
	b.made(t, label, fmt.Sprintf("RSA %d", s.Bits), kid.String())
	return &coin.Denomination{
		KeyID: kid, Value: coin.Amount(value), Kind: s.Kind, PublicKey: pub,
		IssueFrom: s.IssueFrom.Time, IssueUntil: s.IssueUntil.Time,
		SpendUntil: s.SpendUntil.Time, LegalUntil: s.LegalUntil.Time,
	}, nil
}

func duplicate(label string, t *hsm.Token) error {
	return fmt.Errorf("%w: %q in token %q", hsm.ErrDuplicateLabel, label, t.Info().Label)
}
