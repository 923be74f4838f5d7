package coin

import (
	"bytes"
	"fmt"
	"time"
)

// Verify says whether a spend is good at the given time, but for what only
// the bank knows: whether a coin was spent before. It needs no network, and
// merchant and bank run the same checks, cheapest first:
//
//   - the spend is well-formed (errors of Spend.Check);
//   - bank and currency are the keyset's (ErrBank, ErrCurrency);
//   - every coin is under a known key, of its kind, that may be spent now,
//     and every output for the issuer under one that may sign now
//     (ErrUnknownKey, ErrUnknownKind, ErrRevoked, ErrLost, ErrKeyNotYet,
//     ErrKeyExpired, ErrOutput);
//   - the coins are worth the amount and the change together (ErrAmount);
//   - the bank signed every coin (ErrCoinSignature);
//   - every owner consents (ErrOwner), and one member of the group owns all
//     bound coins (ErrBinding).
//
// verifier may be nil where no bound coins are accepted. Purpose, offer and
// the outputs for the acquirer are for the caller to check: a bank compares
// the purpose with the request, Offer.CheckSpend the rest. For a Recoup see
// VerifyRecoup, for a Recover VerifyRecover, for a Refund VerifyRefund; here they
// are ErrPurpose.
func Verify(s *Spend, a *Authorisation, k *Keyset, verifier PresentationVerifier, at time.Time) error {
	if !s.Purpose.plain() {
		return ErrPurpose
	}
	return verify(s, a, k, verifier, at)
}

// VerifyShown makes all checks of Verify but the last, the owners' consent: what
// a merchant and his bank can say of coins before they are paid with.
func VerifyShown(s *Spend, k *Keyset, at time.Time) error {
	if !s.Purpose.plain() {
		return ErrPurpose
	}
	if err := s.Check(); err != nil {
		return err
	}
	keys, err := checkKeys(s, k, at)
	if err != nil {
		return err
	}
	return verifySigned(s, keys)
}

// verify makes the checks of Verify, and for coins without a signature, which
// a Recoup has, those of their keys.
func verify(s *Spend, a *Authorisation, k *Keyset, verifier PresentationVerifier, at time.Time) error {
	keys, err := checkTerms(s, a, k, at)
	if err != nil {
		return err
	}
	if err := verifyCoins(s, a, keys); err != nil {
		return err
	}
	return a.verifyBound(s, verifier)
}

// checkTerms makes the checks that take no computing, and returns the coins' keys
// in the order of the coins.
func checkTerms(s *Spend, a *Authorisation, k *Keyset, at time.Time) ([]*Denomination, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := a.check(s); err != nil {
		return nil, err
	}
	return checkKeys(s, k, at)
}

// checkKeys compares a spend with the keyset.
func checkKeys(s *Spend, k *Keyset, at time.Time) ([]*Denomination, error) {
	if s.Bank != k.Bank {
		return nil, ErrBank
	}
	if s.Currency != k.Currency {
		return nil, ErrCurrency
	}
	return checkSums(s, k, at)
}

// verifyCoins verifies the bank's signatures where they stand, and those of the
// bearer coins' owners.
func verifyCoins(s *Spend, a *Authorisation, keys []*Denomination) error {
	if err := verifySigned(s, keys); err != nil {
		return err
	}
	return a.verifyBearer(s, func(*Coin) bool { return true })
}

// verifySigned verifies the bank's signatures where they stand.
func verifySigned(s *Spend, keys []*Denomination) error {
	for i, d := range keys {
		if !s.Coins[i].Signed() {
			continue
		}
		if err := s.Coins[i].Verify(d); err != nil {
			return fmt.Errorf("coin %d: %w", i, err)
		}
	}
	return nil
}

// checkSums looks up every key, checks its dates and adds up. It returns the
// coins' keys in the order of the coins.
func checkSums(s *Spend, k *Keyset, at time.Time) ([]*Denomination, error) {
	keys := make([]*Denomination, len(s.Coins))
	var in Amount
	for i := range s.Coins {
		d, err := k.Find(s.Coins[i].KeyID)
		switch {
		case err != nil:
		case s.Purpose == Recover && s.Coins[i].Kind == Bound:
			err = d.CheckRecover(at, s.Coins[i].Signed())
		case s.Coins[i].Signed():
			err = d.CheckSpend(at)
		default:
			err = d.CheckRecoup(at)
		}
		if err == nil && d.Kind != s.Coins[i].Kind {
			err = ErrUnknownKind
		}
		if err == nil {
			in, err = in.Add(d.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("coin %d: %w", i, err)
		}
		keys[i] = d
	}
	out, err := k.CheckOutputs(s.ToIssuer, at)
	if err != nil {
		return nil, err
	}
	if out, err = out.Add(s.Amount); err != nil {
		return nil, err
	}
	if in != out {
		return nil, fmt.Errorf("%w: coins of %d for amount and change of %d", ErrAmount, in, out)
	}
	return keys, nil
}

// CheckOutputs says whether the bank can sign all of the outputs at the given
// time, and returns what they are worth together. Every output must be as
// long as its key's modulus and between 0 and it, both excluded; ErrOutput
// otherwise, or the errors of Find, CheckIssue and Amount.Add.
func (k *Keyset) CheckOutputs(outputs []Output, at time.Time) (Amount, error) {
	if err := checkOutputs(outputs); err != nil {
		return 0, err
	}
	var sum Amount
	for i := range outputs {
		d, err := k.Find(outputs[i].KeyID)
		if err == nil {
			err = d.CheckIssue(at)
		}
		if err == nil {
			err = d.CheckBlinded(outputs[i].Blinded)
		}
		if err == nil {
			sum, err = sum.Add(d.Value)
		}
		if err != nil {
			return 0, fmt.Errorf("output %d: %w", i, err)
		}
	}
	return sum, nil
}

// CheckBlinded refuses what the bank's token must never be asked to sign under
// the key, whatever the date: ErrOutput.
func (d *Denomination) CheckBlinded(blinded []byte) error {
	size := d.PublicKey.Size()
	if len(blinded) != size {
		return fmt.Errorf("%w: %d bytes under a key of %d", ErrOutput, len(blinded), size)
	}
	if bytes.Compare(blinded, d.PublicKey.N.FillBytes(make([]byte, size))) >= 0 {
		return fmt.Errorf("%w: not below the modulus", ErrOutput)
	}
	if bytes.Equal(blinded, make([]byte, size)) {
		return fmt.Errorf("%w: zero", ErrOutput)
	}
	return nil
}
