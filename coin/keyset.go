package coin

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// Bounds of a keyset.
const (
	MaxKeyset        = 2 << 20 // bytes of payload
	MaxDenominations = 1024
	maxCrit          = 32
)

// MaxAhead is how far the clock of whoever signs a keyset may run ahead of its
// reader's. A keyset leaves out keys that are past legal_until when it is
// signed: signed by a clock that is years ahead, it would take money away.
const MaxAhead = 24 * time.Hour

// Keyset is all keys of one bank and currency, as the bank's master key
// signed it. It is not modified after ParseKeyset.
type Keyset struct {
	Bank     string
	Currency string
	Exponent int      // decimals of the currency
	Seq      uint64   // 1 for the first, one more each time
	Prev     [32]byte // Digest of the keyset before, zero for the first
	IssuedAt time.Time
	// Crit names the fields that a reader must understand or refuse the
	// keyset. Other unknown fields are ignored.
	Crit          []string
	Denominations []Denomination
	// RevokedSigners are online signing keys of the bank that were stolen or
	// lost: SignerKey of each, in any order. Nothing under them is believed
	// any more. Marshal puts the field into crit if there is one.
	RevokedSigners [][32]byte

	Digest [32]byte // SHA-256 of the signed payload, set by ParseKeyset
}

type keysetJSON struct {
	Version        int                `json:"v"`
	Bank           string             `json:"bank"`
	Currency       string             `json:"currency"`
	Exponent       int                `json:"exponent"`
	Seq            uint64             `json:"seq"`
	Prev           hash32             `json:"prev"`
	IssuedAt       instant            `json:"issued_at"`
	Crit           []string           `json:"crit"`
	Denominations  []denominationJSON `json:"denominations"`
	RevokedSigners []hash32           `json:"revoked_signers,omitempty"`
}

type denominationJSON struct {
	KeyID        KeyID    `json:"kid"`
	Value        Amount   `json:"value"`
	Kind         Kind     `json:"kind"`
	SPKI         bytes64  `json:"spki"`
	IssueFrom    instant  `json:"issue_from"`
	IssueUntil   instant  `json:"issue_until"`
	SpendUntil   instant  `json:"spend_until"`
	DepositUntil *instant `json:"deposit_until,omitempty"`
	LegalUntil   instant  `json:"legal_until"`
	Revoked      bool     `json:"revoked"`
	Lost         bool     `json:"lost"`
}

// understood are the fields, of keyset and denomination, that Crit may name.
func understood(field string) bool {
	switch field {
	case "v", "bank", "currency", "exponent", "seq", "prev", "issued_at", "crit", "denominations",
		"kid", "value", "kind", "spki", "issue_from", "issue_until", "spend_until", "deposit_until",
		"legal_until", "revoked", "lost", fieldRevokedSigners:
		return true
	}
	return false
}

// Check refuses a keyset that contradicts itself: ErrKeyset, ErrMalformed,
// ErrTooLarge or ErrCritical.
func (k *Keyset) Check() error {
	if err := checkBank(k.Bank); err != nil {
		return err
	}
	if err := checkCurrency(k.Currency); err != nil {
		return err
	}
	if k.Exponent < 0 || k.Exponent > MaxExponent {
		return fmt.Errorf("%w: exponent %d", ErrKeyset, k.Exponent)
	}
	if k.Seq == 0 || k.Seq > uint64(MaxAmount) || (k.Seq == 1) != (k.Prev == [32]byte{}) {
		return fmt.Errorf("%w: seq starts at 1, and only the first has no predecessor", ErrKeyset)
	}
	if len(k.Denominations) > MaxDenominations || len(k.Crit) > maxCrit {
		return fmt.Errorf("%w: %d denominations, %d critical fields", ErrTooLarge, len(k.Denominations), len(k.Crit))
	}
	for _, field := range k.Crit {
		if !understood(field) {
			return ErrCritical
		}
	}
	if err := k.checkSigners(); err != nil {
		return err
	}
	seen := make(map[KeyID]bool, len(k.Denominations))
	for i := range k.Denominations {
		d := &k.Denominations[i]
		if err := d.check(); err != nil {
			return fmt.Errorf("denomination %d: %w", i, err)
		}
		if seen[d.KeyID] {
			return fmt.Errorf("%w: denomination %d repeats a key", ErrKeyset, i)
		}
		seen[d.KeyID] = true
	}
	return nil
}

// Marshal returns the payload to be signed as trust.TypKeyset by the bank's
// master key, at most MaxKeyset bytes, or the error of Check.
func (k *Keyset) Marshal() ([]byte, error) {
	signed := *k
	signed.Crit = k.withCrit()
	if err := signed.Check(); err != nil {
		return nil, err
	}
	j := keysetJSON{
		Version: 1, Bank: k.Bank, Currency: k.Currency, Exponent: k.Exponent, Seq: k.Seq, Prev: k.Prev,
		IssuedAt: instant(k.IssuedAt), Crit: signed.Crit, Denominations: []denominationJSON{},
	}
	for _, key := range k.RevokedSigners {
		j.RevokedSigners = append(j.RevokedSigners, key)
	}
	for i := range k.Denominations {
		d := &k.Denominations[i]
		spki, err := MarshalKey(d.PublicKey)
		if err != nil {
			return nil, err
		}
		dj := denominationJSON{
			KeyID: d.KeyID, Value: d.Value, Kind: d.Kind, SPKI: spki,
			IssueFrom: instant(d.IssueFrom), IssueUntil: instant(d.IssueUntil),
			SpendUntil: instant(d.SpendUntil), LegalUntil: instant(d.LegalUntil),
			Revoked: d.Revoked, Lost: d.Lost,
		}
		if !d.DepositUntil.IsZero() {
			at := instant(d.DepositUntil)
			dj.DepositUntil = &at
		}
		j.Denominations = append(j.Denominations, dj)
	}
	payload, err := marshal(j)
	if err != nil {
		return nil, err
	}
	if len(payload) > MaxKeyset {
		return nil, fmt.Errorf("%w: keyset of %d bytes", ErrTooLarge, len(payload))
	}
	return payload, nil
}

// ParseKeyset reads and verifies a signed keyset: signed by a bank's master
// key under the root, certificates valid at the given time, the signer's id
// equal to Bank, every key id recomputed from its key, issued no later than
// MaxAhead after that time. It returns the errors of trust.Root.Verify,
// ErrBank, ErrFuture, or those of Check.
//
// A reader that knows an earlier keyset calls CheckSuccessor next.
func ParseKeyset(root *trust.Root, jws []byte, at time.Time) (*Keyset, error) {
	doc, err := root.Verify(jws, trust.TypKeyset, trust.RoleBank, at)
	if err != nil {
		return nil, fmt.Errorf("coin: keyset: %w", err)
	}
	k, err := parseKeysetPayload(doc.Payload)
	if err != nil {
		return nil, err
	}
	if doc.Signer.ID != k.Bank {
		return nil, fmt.Errorf("%w: keyset of %s signed by %s", ErrBank, k.Bank, doc.Signer)
	}
	if k.IssuedAt.After(at.Add(MaxAhead)) {
		return nil, fmt.Errorf("%w: issued %s, and it is %s", ErrFuture,
			k.IssuedAt.UTC().Format("2006-01-02 15:04:05 UTC"), at.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return k, nil
}

func parseKeysetPayload(payload []byte) (*Keyset, error) {
	if len(payload) > MaxKeyset {
		return nil, fmt.Errorf("%w: keyset of %d bytes", ErrTooLarge, len(payload))
	}
	var j keysetJSON
	if err := strictjson.UnmarshalOpen(payload, MaxKeyset, &j); err != nil {
		return nil, fmt.Errorf("%w: keyset: %v", ErrMalformed, err)
	}
	if j.Version != 1 {
		return nil, fmt.Errorf("%w: keyset of version %d", ErrMalformed, j.Version)
	}
	k := &Keyset{
		Bank: j.Bank, Currency: j.Currency, Exponent: j.Exponent, Seq: j.Seq, Prev: j.Prev,
		IssuedAt: time.Time(j.IssuedAt), Crit: j.Crit, Digest: sha256.Sum256(payload),
	}
	if len(j.Denominations) > MaxDenominations {
		return nil, fmt.Errorf("%w: %d denominations", ErrTooLarge, len(j.Denominations))
	}
	for _, key := range j.RevokedSigners {
		k.RevokedSigners = append(k.RevokedSigners, key)
	}
	for i := range j.Denominations {
		d, err := j.Denominations[i].denomination()
		if err != nil {
			return nil, fmt.Errorf("denomination %d: %w", i, err)
		}
		k.Denominations = append(k.Denominations, *d)
	}
	if err := k.Check(); err != nil {
		return nil, err
	}
	return k, nil
}

func (j *denominationJSON) denomination() (*Denomination, error) {
	pub, err := ParseKey(j.SPKI)
	if err != nil {
		return nil, err
	}
	d := &Denomination{
		KeyID: j.KeyID, Value: j.Value, Kind: j.Kind, PublicKey: pub,
		IssueFrom: time.Time(j.IssueFrom), IssueUntil: time.Time(j.IssueUntil),
		SpendUntil: time.Time(j.SpendUntil), LegalUntil: time.Time(j.LegalUntil),
		Revoked: j.Revoked, Lost: j.Lost,
	}
	if j.DepositUntil != nil {
		d.DepositUntil = time.Time(*j.DepositUntil)
	}
	return d, nil
}

// Find returns the key with that id, not to be modified, or ErrUnknownKey.
func (k *Keyset) Find(kid KeyID) (*Denomination, error) {
	for i := range k.Denominations {
		if k.Denominations[i].KeyID == kid {
			return &k.Denominations[i], nil
		}
	}
	return nil, ErrUnknownKey
}

// ForIssue returns the keys of a kind that sign at the given time, largest
// value first, and of one value the one spendable longest first.
func (k *Keyset) ForIssue(kind Kind, at time.Time) []Denomination {
	var out []Denomination
	for _, d := range k.Denominations {
		if d.Kind == kind && d.CheckIssue(at) == nil {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, preferred)
	return out
}

// preferred orders denominations for issuing.
func preferred(a, b Denomination) int {
	return cmp.Or(cmp.Compare(b.Value, a.Value), b.SpendUntil.Compare(a.SpendUntil), bytes.Compare(a.KeyID[:], b.KeyID[:]))
}
