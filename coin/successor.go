package coin

import (
	"fmt"
	"slices"
)

// CheckSuccessor says whether a reader that knows previous may go on to k.
// It returns nil for the same keyset too.
//
// ErrRollback: k is older, so somebody serves a state in which a key was not
// yet revoked. ErrFork: k has the same number and other content, or is the
// next one and names another predecessor. ErrBank, ErrCurrency: k is about
// something else. ErrKeyset: k takes back what previous promised to those
// who hold coins: a key's value, kind or dates, a revocation (of a signer's key
// too), or the key itself before its legal_until.
//
// Across a gap in the numbers the hash chain can't be followed; the master
// key's signature, the order of the numbers and the promises still hold.
func (k *Keyset) CheckSuccessor(previous *Keyset) error {
	switch {
	case k.Bank != previous.Bank:
		return fmt.Errorf("%w: keyset of %s after one of %s", ErrBank, k.Bank, previous.Bank)
	case k.Currency != previous.Currency || k.Exponent != previous.Exponent:
		return fmt.Errorf("%w: the keyset's currency changed", ErrCurrency)
	case k.Seq < previous.Seq:
		return fmt.Errorf("%w: %d after %d", ErrRollback, k.Seq, previous.Seq)
	case k.Seq == previous.Seq && k.Digest != previous.Digest:
		return fmt.Errorf("%w: two keysets have number %d", ErrFork, k.Seq)
	case k.Seq == previous.Seq:
		return nil
	case k.Seq == previous.Seq+1 && k.Prev != previous.Digest:
		return fmt.Errorf("%w: number %d names another predecessor", ErrFork, k.Seq)
	case k.IssuedAt.Before(previous.IssuedAt):
		return fmt.Errorf("%w: issued before its predecessor", ErrKeyset)
	}
	for _, key := range previous.RevokedSigners {
		if !slices.Contains(k.RevokedSigners, key) {
			return fmt.Errorf("%w: signer %s revoked no more", ErrKeyset, encode64(key[:]))
		}
	}
	for i := range previous.Denominations {
		old := &previous.Denominations[i]
		if err := k.keeps(old); err != nil {
			return fmt.Errorf("key %s: %w", old.KeyID, err)
		}
	}
	return nil
}

// keeps checks the promises made about one key. Dates of spending may move
// later, never earlier: what must end early is revoked, in the open.
func (k *Keyset) keeps(old *Denomination) error {
	d, err := k.Find(old.KeyID)
	if err != nil {
		if k.IssuedAt.Before(old.LegalUntil) {
			return fmt.Errorf("%w: gone before its legal_until", ErrKeyset)
		}
		return nil
	}
	if d.Value != old.Value || d.Kind != old.Kind || !d.IssueFrom.Equal(old.IssueFrom) || !d.IssueUntil.Equal(old.IssueUntil) {
		return fmt.Errorf("%w: value, kind or time of issue changed", ErrKeyset)
	}
	if d.SpendUntil.Before(old.SpendUntil) || d.LegalUntil.Before(old.LegalUntil) ||
		(!old.DepositUntil.IsZero() && d.DepositUntil.Before(old.DepositUntil)) {
		return fmt.Errorf("%w: coins would end earlier", ErrKeyset)
	}
	if (old.Revoked && !d.Revoked) || (old.Lost && !d.Lost) {
		return fmt.Errorf("%w: revoked or lost no more", ErrKeyset)
	}
	return nil
}
