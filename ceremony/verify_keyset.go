package ceremony

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

func (p *mintPlan) verify(c *check) {
	c.hardware()
	p.verifyKeyset(c)
}

func (p *rotatePlan) verify(c *check) {
	c.hardware()
	p.verifyKeyset(c)
	if p.Signing != nil {
		c.certificate(newCertificate{
			name: trust.Name{Role: trust.RoleSigning, ID: p.Bank}, key: p.Signing.Key, valid: p.Signing.Valid, output: "signing.chain",
		})
	}
}

func (p *mintPlan) verifyKeyset(c *check) {
	set := c.keyset(p.Bank, p.Sequence)
	if set == nil {
		return
	}
	c.claim("every planned key is in the keyset, as planned, and is the one in the token", func() (string, error) {
		if set.Currency != p.Currency || set.Exponent != p.Exponent {
			return "", fmt.Errorf("%w: it is in %s with %d decimals", coin.ErrCurrency, set.Currency, set.Exponent)
		}
		planned, err := p.planned(c)
		if err != nil {
			return "", err
		}
		for i := range planned {
			if err := sameDenomination(set, &planned[i]); err != nil {
				return "", fmt.Errorf("value %d: %w", planned[i].Value, err)
			}
		}
		return fmt.Sprintf("%d keys", len(planned)), nil
	})
	c.claim("nothing else in the keyset changed", func() (string, error) {
		n := &succession{bank: p.Bank, currency: p.Currency, exponent: p.Exponent, sequence: p.Sequence}
		if err := c.previous(n, p.Previous); err != nil {
			return "", err
		}
		want := n.draft(set.IssuedAt)
		planned, err := p.planned(c)
		if err != nil {
			return "", err
		}
		want.Denominations = append(want.Denominations, planned...)
		return n.describe(), sameKeyset(set, want)
	})
}

// planned are the denominations of the plan with the keys of the transcript.
func (p *mintPlan) planned(c *check) ([]coin.Denomination, error) {
	var out []coin.Denomination
	for i := range p.Series {
		row := &p.Series[i]
		for _, v := range row.Values {
			key, err := c.key(p.Token.Token, row.label(v))
			if err != nil {
				return nil, err
			}
			pub, err := coin.ParseKey(key.SPKI)
			if err != nil {
				return nil, err
			}
			d, err := row.denomination(pub, v)
			if err != nil {
				return nil, err
			}
			out = append(out, *d)
		}
	}
	return out, nil
}

func (p *revokePlan) verifyKeys(c *check) {
	set := c.keyset(p.Bank, p.Sequence)
	if set == nil {
		return
	}
	c.claim("what was to be revoked is revoked, and what was lost is lost", func() (string, error) {
		revoke, err1 := keyIDs("revoke", p.Revoke)
		lost, err2 := keyIDs("lost", p.Lost)
		if err := errors.Join(err1, err2); err != nil {
			return "", err
		}
		for _, kid := range slices.Concat(revoke, lost) {
			d, err := set.Find(kid)
			if err != nil {
				return "", fmt.Errorf("%s: %w", kid, err)
			}
			if slices.Contains(revoke, kid) && !d.Revoked || slices.Contains(lost, kid) && !d.Lost {
				return "", fmt.Errorf("%w: %s is not", coin.ErrKeyset, kid)
			}
		}
		return fmt.Sprintf("%d revoked, %d lost", len(revoke), len(lost)), nil
	})
	if len(p.RevokeSigners) > 0 {
		c.claim("the signing keys that were to be revoked are this bank's, and are revoked", func() (string, error) {
			signers, err := p.revokedSigners(c)
			if err != nil {
				return "", err
			}
			for _, id := range signers {
				if !slices.Contains(set.RevokedSigners, id) {
					return "", fmt.Errorf("%w: signing key %x is not revoked", coin.ErrKeyset, id)
				}
			}
			return fmt.Sprintf("%x", signers), nil
		})
	}
	c.claim("nothing else in the keyset changed", func() (string, error) {
		n := &succession{bank: p.Bank, currency: set.Currency, exponent: set.Exponent, sequence: p.Sequence}
		if err := c.previous(n, p.Previous); err != nil {
			return "", err
		}
		signers, err := p.revokedSigners(c)
		if err != nil {
			return "", err
		}
		want := n.draft(set.IssuedAt)
		if err := p.change(want, signers); err != nil {
			return "", err
		}
		return n.describe(), sameKeyset(set, want)
	})
}

// revokedSigners are the keys of the certificates that the plan revokes.
func (p *revokePlan) revokedSigners(c *check) ([][32]byte, error) {
	var out [][32]byte
	for i := range p.RevokeSigners {
		data, err := c.input(revokedSigner(i))
		if err != nil {
			return nil, err
		}
		cert, err := readSigner(c.Root, p.Bank, data)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInput, revokedSigner(i), err)
		}
		out = append(out, coin.SignerKey(cert))
	}
	return out, nil
}

// keyset claims that the output is a keyset of that bank and number, signed at
// the ceremony by the key that closed it, and returns it.
func (c *check) keyset(bank string, sequence uint64) (set *coin.Keyset) {
	c.look("keyset", "the keyset is signed by the bank's master key", func(data []byte) (string, error) {
		doc, err := c.Root.Verify(data, trust.TypKeyset, trust.RoleBank, c.began)
		if err != nil {
			return "", err
		}
		if err := c.issuedBy(doc.Chain); err != nil {
			return "", err
		}
		k, err := coin.ParseKeyset(c.Root, data, c.began)
		if err != nil {
			return "", err
		}
		if k.Bank != bank || k.Seq != sequence || !k.IssuedAt.Equal(c.began) {
			return "", fmt.Errorf("%w: keyset %d of %s, issued %s", coin.ErrKeyset, k.Seq, k.Bank, k.IssuedAt.Format(instantLayout))
		}
		set = k
		return fmt.Sprintf("keyset %d of %s, %s", k.Seq, k.Bank, k.IssuedAt.Format(instantLayout)), nil
	})
	return set
}

// previous reads the keyset before, if there is one.
func (c *check) previous(n *succession, path string) error {
	if path == "" {
		return nil
	}
	data, err := c.input("previous")
	if err != nil {
		return err
	}
	n.previous, err = coin.ParseKeyset(c.Root, bytes.TrimSpace(data), c.began)
	return err
}

func (n *succession) describe() string {
	if n.previous == nil {
		return "it is the first"
	}
	return fmt.Sprintf("against keyset %d", n.previous.Seq)
}

// sameDenomination finds a planned denomination in the keyset.
func sameDenomination(set *coin.Keyset, want *coin.Denomination) error {
	d, err := set.Find(want.KeyID)
	if err != nil {
		return err
	}
	if d.Value != want.Value || d.Kind != want.Kind || !d.IssueFrom.Equal(want.IssueFrom) || !d.IssueUntil.Equal(want.IssueUntil) ||
		!d.SpendUntil.Equal(want.SpendUntil) || !d.LegalUntil.Equal(want.LegalUntil) || !d.DepositUntil.Equal(want.DepositUntil) ||
		d.Revoked || d.Lost {
		return fmt.Errorf("%w: its value, kind, dates or flags are not the plan's", coin.ErrKeyset)
	}
	return nil
}

// sameKeyset compares what was signed with what the plan comes to, byte for
// byte.
func sameKeyset(set, want *coin.Keyset) error {
	payload, err := want.Marshal()
	if err != nil {
		return err
	}
	if sha256.Sum256(payload) != set.Digest {
		return fmt.Errorf("%w: not what the plan comes to", coin.ErrKeyset)
	}
	return nil
}
