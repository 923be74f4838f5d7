package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// refusals shows that a thief, a double spender, a forger and a fake TPM get
// nothing, each with the reason that the program gives.
func (s *stage) refusals() error {
	for _, r := range []func() error{s.copiedWallet, s.doubleSpend, s.flippedCoin, s.unknownCA} {
		if err := r(); err != nil {
			return err
		}
	}
	return nil
}

// refused runs f, which must be refused with a reason that contains want.
func (s *stage) refused(what, want string, f func() error) error {
	err := f()
	if err == nil {
		return fmt.Errorf("%s was not refused", what)
	}
	r := reason(err)
	if !strings.Contains(r, want) {
		return fmt.Errorf("%s was refused for another reason: %s", what, r)
	}
	s.say("%s: %s", what, r)
	return nil
}

// copiedWallet: the purse file on a second machine with its own, genuine TPM.
func (s *stage) copiedWallet() error {
	thief, err := s.box.TPM(s.ctx, "thief-laptop", s.ca)
	if err != nil {
		return err
	}
	if err := s.copyPurse("alice-copy", "thief"); err != nil {
		return err
	}
	link, err := s.box.Offer(s.ctx, book, s.bookURL, "5.00", "thief")
	if err != nil {
		return err
	}
	return s.refused("a copied wallet on another machine", "another TPM", func() error {
		_, err := s.specie("thief", "--tpm", thief, "pay", "--yes", link, "--kind", "bound")
		return err
	})
}

// doubleSpend: an old copy of Alice's purse, on her own machine, spends the
// coins that the café has deposited already.
func (s *stage) doubleSpend() error {
	link, err := s.box.Offer(s.ctx, book, s.bookURL, "12.34", "a novel")
	if err != nil {
		return err
	}
	return s.refused("the same coins at a second merchant", "double-spend", func() error {
		_, err := s.specie("alice-copy", "--tpm", s.aliceTPM, "pay", "--yes", link, "--kind", "bound")
		return err
	})
}

// flippedCoin: one byte of a bank signature is changed on the way.
func (s *stage) flippedCoin() error {
	link, err := s.box.Offer(s.ctx, cafe, s.cafeURL, "0.01", "chewing gum")
	if err != nil {
		return err
	}
	file := s.box.Path("run", "payment-flipped.json")
	if _, err := s.specie(alice, "pay", "--yes", link, "--kind", "bearer", "--save", file); err != nil {
		return err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	bad, err := flipSignature(raw)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, bad, 0o600); err != nil {
		return err
	}
	err = s.refused("a coin with one flipped byte", "signature", func() error {
		_, err := s.specie(cafe, "merchant", "accept", file)
		return err
	})
	if err != nil {
		return err
	}
	// Nothing is lost: the purse still has the true bytes.
	_, err = s.specie(alice, "--tpm", s.aliceTPM, "resume")
	return err
}

// flipSignature changes the last byte of the first coin: it is the last byte
// of the bank's signature.
func flipSignature(payment []byte) ([]byte, error) {
	text := string(payment)
	i := strings.Index(text, "specie1")
	if i < 0 {
		return nil, errors.New("no coin in the payment")
	}
	end := i + strings.IndexByte(text[i:], '"')
	// Not the last character: its low bits are padding.
	at := end - 3
	c := byte('A')
	if text[at] == c {
		c = 'B'
	}
	return []byte(text[:at] + string(c) + text[at+1:]), nil
}

// unknownCA: a TPM whose endorsement key is certified by nobody the group
// manager knows.
func (s *stage) unknownCA() error {
	ca, err := s.box.CA(s.ctx, "unknown-ca")
	if err != nil {
		return err
	}
	fake, err := s.box.TPM(s.ctx, "fake-laptop", ca)
	if err != nil {
		return err
	}
	if _, err := s.box.OpenHolder(s.ctx, "mallory", ""); err != nil {
		return err
	}
	return s.refused("a TPM from an unknown maker", "ek-chain", func() error {
		_, err := s.specie("mallory", "--tpm", fake, "enroll", "--no-pin", "--group", s.box.GroupURL, "--name", "Mallory")
		return err
	})
}
