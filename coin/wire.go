package coin

import (
	"crypto/ed25519"
	"fmt"
	"time"
)

// MaxSpendJSON bounds a spend on the wire, in bytes: a spend of MaxCoins
// coins and MaxOutputs outputs in each list under 4096-bit keys fits.
const MaxSpendJSON = 1 << 20

// SpendJSON is a spend with its authorisation as it goes over the wire. Bytes
// are base64url without padding, coins in their text form, the time RFC 3339
// in UTC. Nothing depends on the order of its members: what is signed is the
// frame.
type SpendJSON struct {
	Version      int          `json:"v"` // 1
	Purpose      Purpose      `json:"purpose"`
	Bank         string       `json:"bank"`
	Offer        string       `json:"offer,omitempty"` // digest, absent for an exchange
	Amount       Amount       `json:"amount"`
	Currency     string       `json:"currency"`
	Coins        []string     `json:"coins"`
	ToIssuer     []OutputJSON `json:"to_issuer,omitempty"`
	ToAcquirer   []OutputJSON `json:"to_acquirer,omitempty"`
	Group        string       `json:"group,omitempty"` // absent without bound coins
	IssuedAt     string       `json:"issued_at"`
	Bearer       []string     `json:"bearer,omitempty"`
	Presentation string       `json:"presentation,omitempty"`
	Stead        *SteadJSON   `json:"stead,omitempty"` // of a recover
}

// OutputJSON is an output on the wire.
type OutputJSON struct {
	KeyID   string `json:"kid"`
	Blinded string `json:"blinded"`
}

// NewSpendJSON returns the wire form, or the error of Spend.Check or of an
// authorisation that does not fit the coins in number.
func NewSpendJSON(s *Spend, a *Authorisation) (*SpendJSON, error) {
	j, err := NewShownJSON(s)
	if err != nil {
		return nil, err
	}
	if err := a.check(s); err != nil {
		return nil, err
	}
	for _, sig := range a.Bearer {
		j.Bearer = append(j.Bearer, encode64(sig))
	}
	j.Presentation, j.Stead = encode64(a.Presentation), newSteadJSON(a.Stead)
	return j, nil
}

// NewShownJSON returns the wire form of a spend that nobody has authorised yet,
// or the error of Spend.Check.
func NewShownJSON(s *Spend) (*SpendJSON, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	at, err := instant(time.Unix(s.IssuedAt, 0)).MarshalText()
	if err != nil {
		return nil, err
	}
	j := &SpendJSON{
		Version: 1, Purpose: s.Purpose, Bank: s.Bank, Offer: optional(s.OfferDigest), Amount: s.Amount,
		Currency: s.Currency, ToIssuer: NewOutputsJSON(s.ToIssuer), ToAcquirer: NewOutputsJSON(s.ToAcquirer),
		Group: optional(s.Group), IssuedAt: string(at),
	}
	for i := range s.Coins {
		text, err := s.Coins[i].Text()
		if err != nil {
			return nil, fmt.Errorf("coin %d: %w", i, err)
		}
		j.Coins = append(j.Coins, text)
	}
	return j, nil
}

// NewOutputsJSON returns outputs in wire form.
func NewOutputsJSON(outputs []Output) []OutputJSON {
	var out []OutputJSON
	for i := range outputs {
		out = append(out, OutputJSON{KeyID: outputs[i].KeyID.String(), Blinded: encode64(outputs[i].Blinded)})
	}
	return out
}

// ParseOutputsJSON reads outputs from the wire: ErrTooLarge, ErrMalformed, or
// ErrOutput for lengths that no key has and for one output twice.
func ParseOutputsJSON(in []OutputJSON) ([]Output, error) {
	if len(in) > MaxOutputs {
		return nil, fmt.Errorf("%w: %d outputs", ErrTooLarge, len(in))
	}
	var out []Output
	for i := range in {
		kid, err := ParseKeyID(in[i].KeyID)
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", i, err)
		}
		blinded, err := decode64(in[i].Blinded, 512)
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", i, err)
		}
		out = append(out, Output{KeyID: kid, Blinded: blinded})
	}
	if err := checkOutputs(out); err != nil {
		return nil, err
	}
	return out, nil
}

// Parse reads the wire form and checks it as Spend.Check does; it verifies no
// signature. Every refusal is one of that method's, ErrMalformed, ErrTooLarge,
// or ErrOwner, ErrBinding and ErrHolding for an authorisation that does not fit
// the coins in number.
func (j *SpendJSON) Parse() (*Spend, *Authorisation, error) {
	if len(j.Bearer) > MaxCoins {
		return nil, nil, fmt.Errorf("%w: %d signatures", ErrTooLarge, len(j.Bearer))
	}
	s, err := j.spend()
	if err != nil {
		return nil, nil, err
	}
	a, err := j.authorisation()
	if err != nil {
		return nil, nil, err
	}
	if err := s.Check(); err != nil {
		return nil, nil, err
	}
	if err := a.check(s); err != nil {
		return nil, nil, err
	}
	return s, a, nil
}

// ParseShown is Parse for a spend that nobody has authorised: what a payer shows
// before he pays, and a bank is asked to hold. An authorisation beside it is
// ErrMalformed: who sees the one has no business with the other.
func (j *SpendJSON) ParseShown() (*Spend, error) {
	if len(j.Bearer) != 0 || j.Presentation != "" || j.Stead != nil {
		return nil, fmt.Errorf("%w: coins are shown without their owners' authorisation", ErrMalformed)
	}
	s, err := j.spend()
	if err != nil {
		return nil, err
	}
	return s, s.Check()
}

// spend reads all but the authorisation, and checks none of it.
func (j *SpendJSON) spend() (*Spend, error) {
	if j.Version != 1 {
		return nil, fmt.Errorf("%w: spend of version %d", ErrMalformed, j.Version)
	}
	if len(j.Coins) > MaxCoins {
		return nil, fmt.Errorf("%w: %d coins", ErrTooLarge, len(j.Coins))
	}
	s := &Spend{Purpose: j.Purpose, Bank: j.Bank, Amount: j.Amount, Currency: j.Currency}
	var at instant
	if err := at.UnmarshalText([]byte(j.IssuedAt)); err != nil {
		return nil, fmt.Errorf("issued_at: %w", err)
	}
	s.IssuedAt = time.Time(at).Unix()
	var err error
	if s.OfferDigest, err = parseOptional(j.Offer); err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	if s.Group, err = parseOptional(j.Group); err != nil {
		return nil, fmt.Errorf("group: %w", err)
	}
	for i, text := range j.Coins {
		c, err := ParseCoin(text)
		if err != nil {
			return nil, fmt.Errorf("coin %d: %w", i, err)
		}
		s.Coins = append(s.Coins, *c)
	}
	if s.ToIssuer, err = ParseOutputsJSON(j.ToIssuer); err != nil {
		return nil, fmt.Errorf("to_issuer: %w", err)
	}
	if s.ToAcquirer, err = ParseOutputsJSON(j.ToAcquirer); err != nil {
		return nil, fmt.Errorf("to_acquirer: %w", err)
	}
	return s, nil
}

func (j *SpendJSON) authorisation() (*Authorisation, error) {
	a := &Authorisation{}
	for i, text := range j.Bearer {
		sig, err := decode64(text, ed25519.SignatureSize)
		if err != nil || len(sig) != ed25519.SignatureSize {
			return nil, fmt.Errorf("%w: signature %d is not %d bytes", ErrMalformed, i, ed25519.SignatureSize)
		}
		a.Bearer = append(a.Bearer, sig)
	}
	presentation, err := decode64(j.Presentation, MaxPresentation)
	if err != nil {
		return nil, fmt.Errorf("presentation: %w", err)
	}
	if len(presentation) > 0 {
		a.Presentation = presentation
	}
	if a.Stead, err = j.Stead.parse(); err != nil {
		return nil, fmt.Errorf("stead: %w", err)
	}
	return a, nil
}

// EncodeSpend returns the wire form as JSON, at most MaxSpendJSON bytes.
func EncodeSpend(s *Spend, a *Authorisation) ([]byte, error) {
	j, err := NewSpendJSON(s, a)
	if err != nil {
		return nil, err
	}
	return encodeSpend(j)
}

// EncodeShown is EncodeSpend for a spend that nobody has authorised yet.
func EncodeShown(s *Spend) ([]byte, error) {
	j, err := NewShownJSON(s)
	if err != nil {
		return nil, err
	}
	return encodeSpend(j)
}

func encodeSpend(j *SpendJSON) ([]byte, error) {
	data, err := marshal(j)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSpendJSON {
		return nil, fmt.Errorf("%w: spend of %d bytes", ErrTooLarge, len(data))
	}
	return data, nil
}

// DecodeSpend reads JSON of at most MaxSpendJSON bytes under the rules of
// strictjson, then does as SpendJSON.Parse.
func DecodeSpend(data []byte) (*Spend, *Authorisation, error) {
	var j SpendJSON
	if err := unmarshal(data, MaxSpendJSON, &j); err != nil {
		return nil, nil, err
	}
	return j.Parse()
}

// DecodeShown is DecodeSpend for a spend that nobody has authorised: see
// SpendJSON.ParseShown.
func DecodeShown(data []byte) (*Spend, error) {
	var j SpendJSON
	if err := unmarshal(data, MaxSpendJSON, &j); err != nil {
		return nil, err
	}
	return j.ParseShown()
}

// optional writes 32 bytes as base64url and zero as nothing.
func optional(h [32]byte) string {
	if h == [32]byte{} {
		return ""
	}
	return encode64(h[:])
}

// parseOptional reads what optional writes; 32 zero bytes written out are a
// second form of nothing and refused.
func parseOptional(s string) ([32]byte, error) {
	if s == "" {
		return [32]byte{}, nil
	}
	var h hash32
	if err := h.UnmarshalText([]byte(s)); err != nil {
		return [32]byte{}, err
	}
	if h == (hash32{}) {
		return [32]byte{}, fmt.Errorf("%w: all zero", ErrMalformed)
	}
	return h, nil
}
