package coin

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"math/bits"
	"time"
)

// Kind says what a coin's owner is. It is an open enumeration: a key of a
// kind that this version does not know is kept in the keyset and refused for
// use.
type Kind string

// The kinds of this version.
const (
	Bearer Kind = "bearer" // owned by an Ed25519 key
	Bound  Kind = "bound"  // owned by a member's TPM
)

// Known reports whether this version can issue and spend coins of the kind.
func (k Kind) Known() bool { return k == Bearer || k == Bound }

// check returns ErrMalformed unless the kind is 1 to 16 of [a-z].
func (k Kind) check() error {
	if len(k) < 1 || len(k) > 16 {
		return fmt.Errorf("%w: a kind has 1 to 16 characters", ErrMalformed)
	}
	for i := 0; i < len(k); i++ {
		if k[i] < 'a' || k[i] > 'z' {
			return fmt.Errorf("%w: a kind has characters a-z only", ErrMalformed)
		}
	}
	return nil
}

// Denomination is one key of a bank and what it is good for.
type Denomination struct {
	KeyID     KeyID
	Value     Amount // a power of two, in minor units
	Kind      Kind
	PublicKey *rsa.PublicKey

	// The instants, UTC, whole seconds. Coins are issued from IssueFrom until
	// before IssueUntil, spent until before SpendUntil, and owed by law until
	// LegalUntil. DepositUntil is zero or lies between the last two.
	IssueFrom, IssueUntil, SpendUntil, DepositUntil, LegalUntil time.Time

	Revoked bool // nothing is issued or spent under the key any more
	Lost    bool // the private key is gone; coins are still good
}

// CheckIssue says whether the bank signs under this key at the given time:
// nil, ErrUnknownKind, ErrRevoked, ErrLost, ErrKeyNotYet or ErrKeyExpired.
func (d *Denomination) CheckIssue(at time.Time) error {
	if err := d.usable(at); err != nil {
		return err
	}
	if d.Lost {
		return ErrLost
	}
	if !at.Before(d.IssueUntil) {
		return fmt.Errorf("%w: issued until %s", ErrKeyExpired, d.IssueUntil.Format(instantLayout))
	}
	return nil
}

// CheckSpend says whether coins under this key are accepted at the given
// time: nil, ErrUnknownKind, ErrRevoked, ErrKeyNotYet or ErrKeyExpired.
func (d *Denomination) CheckSpend(at time.Time) error {
	if err := d.usable(at); err != nil {
		return err
	}
	if !at.Before(d.SpendUntil) {
		return fmt.Errorf("%w: spent until %s", ErrKeyExpired, d.SpendUntil.Format(instantLayout))
	}
	return nil
}

// CheckRecoup says whether coins under this key are made good at the given
// time: nil, ErrUnknownKind, ErrNotRevoked, or ErrKeyExpired after LegalUntil.
func (d *Denomination) CheckRecoup(at time.Time) error {
	switch {
	case !d.Kind.Known():
		return ErrUnknownKind
	case !d.Revoked && !d.Lost:
		return ErrNotRevoked
	case !at.Before(d.LegalUntil):
		return fmt.Errorf("%w: owed until %s", ErrKeyExpired, d.LegalUntil.Format(instantLayout))
	}
	return nil
}

// CheckRecover says whether bound coins under this key are recovered at the
// given time, with the bank's signature or without: nil, ErrUnknownKind,
// ErrRevoked for a signature that proves nothing any more, ErrKeyNotYet, or
// ErrKeyExpired after LegalUntil. Whoever lost his TPM may have to wait for
// longer than the coin could have been spent.
func (d *Denomination) CheckRecover(at time.Time, signed bool) error {
	if err := d.usable(at); err != nil && (signed || !errors.Is(err, ErrRevoked)) {
		return err
	}
	if !at.Before(d.LegalUntil) {
		return fmt.Errorf("%w: owed until %s", ErrKeyExpired, d.LegalUntil.Format(instantLayout))
	}
	return nil
}

func (d *Denomination) usable(at time.Time) error {
	switch {
	case !d.Kind.Known():
		return ErrUnknownKind
	case d.Revoked:
		return ErrRevoked
	case at.Before(d.IssueFrom):
		return fmt.Errorf("%w: issued from %s", ErrKeyNotYet, d.IssueFrom.Format(instantLayout))
	}
	return nil
}

// check refuses a denomination that no keyset may hold.
func (d *Denomination) check() error {
	if d.Value <= 0 || d.Value > MaxAmount || bits.OnesCount64(uint64(d.Value)) != 1 {
		return fmt.Errorf("%w: value %d is not a power of two", ErrKeyset, d.Value)
	}
	if err := d.Kind.check(); err != nil {
		return err
	}
	kid, err := NewKeyID(d.PublicKey)
	if err != nil {
		return err
	}
	if kid != d.KeyID {
		return fmt.Errorf("%w: key id is not the key's", ErrKeyset)
	}
	if !d.IssueFrom.Before(d.IssueUntil) || d.SpendUntil.Before(d.IssueUntil) || !d.SpendUntil.Before(d.LegalUntil) {
		return fmt.Errorf("%w: instants out of order", ErrKeyset)
	}
	if !d.DepositUntil.IsZero() && (!d.SpendUntil.Before(d.DepositUntil) || !d.DepositUntil.Before(d.LegalUntil)) {
		return fmt.Errorf("%w: deposit_until out of order", ErrKeyset)
	}
	return nil
}
