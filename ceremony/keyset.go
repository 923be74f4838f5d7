package ceremony

import (
	"bytes"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

// succession is a keyset to be signed: the first of a bank and currency, or
// the one after previous.
type succession struct {
	bank     string
	currency string
	exponent int
	sequence uint64
	master   *certified
	previous *coin.Keyset // nil for the first
}

// readPrevious reads the keyset that the new one follows.
func (n *succession) readPrevious(d *desk) error {
	jws, err := d.read("previous")
	if err != nil {
		return err
	}
	if n.previous, err = parseKeyset(d, "previous", jws, n.master.root); err != nil {
		return err
	}
	if n.previous.Bank != n.bank || n.previous.Seq+1 != n.sequence {
		return fmt.Errorf("%w: previous is keyset %d of %s, the plan is for keyset %d of %s",
			ErrInput, n.previous.Seq, n.previous.Bank, n.sequence, n.bank)
	}
	return nil
}

// parseKeyset reads a keyset that was signed before now.
func parseKeyset(d *desk, field string, jws []byte, root *trust.Root) (*coin.Keyset, error) {
	set, err := coin.ParseKeyset(root, bytes.TrimSpace(jws), d.at)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, field, err)
	}
	return set, d.began(field, set.IssuedAt)
}

// draft is the keyset with the previous one's keys: all whose coins the bank
// still owes for.
func (n *succession) draft(at time.Time) *coin.Keyset {
	set := &coin.Keyset{Bank: n.bank, Currency: n.currency, Exponent: n.exponent, Seq: n.sequence, IssuedAt: at}
	if n.previous == nil {
		return set
	}
	set.Prev, set.Crit = n.previous.Digest, n.previous.Crit
	set.RevokedSigners = append(set.RevokedSigners, n.previous.RevokedSigners...)
	for _, d := range n.previous.Denominations {
		if at.Before(d.LegalUntil) {
			set.Denominations = append(set.Denominations, d)
		}
	}
	return set
}

// publish signs the keyset and reads it back as a stranger would, so that
// nothing is published that nobody accepts.
func (n *succession) publish(b *bench, s *signatory, set *coin.Keyset) error {
	_, err := b.output("keyset", func() ([]byte, error) {
		payload, err := set.Marshal()
		if err != nil {
			return nil, err
		}
		jws, err := s.sign(trust.TypKeyset, payload, b.at)
		if err != nil {
			return nil, err
		}
		read, err := coin.ParseKeyset(s.root, jws, b.at)
		if err == nil && n.previous != nil {
			err = read.CheckSuccessor(n.previous)
		}
		if err != nil {
			return nil, fmt.Errorf("ceremony: the new keyset: %w", err)
		}
		return jws, nil
	})
	return err
}
