package coin

import (
	"bytes"
	"fmt"
	"log/slog"
	"time"

	"github.com/speciecash/specie/frame"
)

// Claim proves that the bank issued a coin, without the bank's signature: it
// opens an output of one of the bank's operations. A blinded message opens to
// one coin only (see BlindSecret), also for somebody who has the bank's private
// key, so claims can't come to more than what was issued and not spent.
//
// It prints as [redacted]: it links the coin with the operation.
type Claim struct {
	Op     [32]byte // the withdrawal, exchange, deposit, recoup or recover that the coin is of
	Index  int      // its place among that operation's outputs, from 0
	Secret BlindSecret
}

// String returns [redacted].
func (Claim) String() string { return redacted }

// GoString returns [redacted].
func (Claim) GoString() string { return redacted }

// Format prints [redacted] whatever the verb.
func (Claim) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue returns [redacted].
func (Claim) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON refuses: see NewClaimsJSON.
func (Claim) MarshalJSON() ([]byte, error) { return nil, errSecret }

// opens says whether the coin, of key d, is the one in an operation's outputs:
// nil or ErrClaim.
func (c *Claim) opens(outputs []Output, of *Coin, d *Denomination) error {
	if c.Index < 0 || c.Index >= len(outputs) {
		return fmt.Errorf("%w: the operation has %d outputs", ErrClaim, len(outputs))
	}
	output := &outputs[c.Index]
	if output.KeyID != of.KeyID {
		return fmt.Errorf("%w: the output is of another key", ErrClaim)
	}
	b, err := c.Secret.blind(d, of.Prepared())
	if err != nil {
		return err
	}
	if !bytes.Equal(b.message, output.Blinded) {
		return fmt.Errorf("%w: the output is of another coin", ErrClaim)
	}
	return nil
}

// VerifyRecoup says whether a recoup is good at the given time, but for what
// only the bank knows: whether a coin was spent before, and whose account
// Amount goes to. It makes the checks of Verify, except that for coins without
// a signature it checks these, after the owners' consent:
//
//   - their key is revoked or lost, and before its legal_until (ErrNotRevoked,
//     ErrKeyExpired);
//   - there is one claim for each of them, in the order of the coins, and at
//     least one (ErrClaim);
//   - each claim opens the output that it names to that coin (ErrClaim).
//
// outputs returns the outputs of an operation that the bank has carried out,
// or ErrClaim if there is none; any error of it is returned.
func VerifyRecoup(s *Spend, a *Authorisation, claims []Claim, k *Keyset, verifier PresentationVerifier, at time.Time,
	outputs func(op [32]byte) ([]Output, error)) error {
	if s.Purpose != Recoup {
		return ErrPurpose
	}
	if err := verify(s, a, k, verifier, at); err != nil {
		return err
	}
	return VerifyClaims(s, claims, k, outputs)
}

// VerifyClaims makes those checks of VerifyRecoup that are about claims,
// whatever the date. A Recover may have none.
func VerifyClaims(s *Spend, claims []Claim, k *Keyset, outputs func(op [32]byte) ([]Output, error)) error {
	if unsigned := s.unsigned(); len(claims) != unsigned || unsigned == 0 && s.Purpose != Recover {
		return fmt.Errorf("%w: %d claims for %d coins without a signature", ErrClaim, len(claims), unsigned)
	}
	for i := range s.Coins {
		c := &s.Coins[i]
		if c.Signed() {
			continue
		}
		claim := &claims[0]
		claims = claims[1:]
		d, err := k.Find(c.KeyID)
		if err != nil {
			return fmt.Errorf("coin %d: %w", i, err)
		}
		issued, err := outputs(claim.Op)
		if err == nil {
			err = claim.opens(issued, c, d)
		}
		if err != nil {
			return fmt.Errorf("coin %d: %w", i, err)
		}
	}
	return nil
}

func (s *Spend) unsigned() (n int) {
	for i := range s.Coins {
		if !s.Coins[i].Signed() {
			n++
		}
	}
	return n
}

// WithdrawalOp returns the idempotency key of a withdrawal: the frame digest
// of account, kid1, blinded1, kid2, …
func WithdrawalOp(account string, outputs []Output) [32]byte {
	parts := make([][]byte, 0, 1+2*len(outputs))
	parts = append(parts, []byte(account))
	for i := range outputs {
		parts = append(parts, outputs[i].KeyID[:], outputs[i].Blinded)
	}
	return frame.Digest(parts...)
}

// MaxClaimsJSON bounds MaxCoins claims on the wire, in bytes.
const MaxClaimsJSON = 64 << 10

// ClaimJSON is a claim on the wire, bytes as base64url.
type ClaimJSON struct {
	Op     string `json:"op"`
	Index  int    `json:"index"`
	Secret string `json:"secret"`
}

// NewClaimsJSON returns claims in wire form.
func NewClaimsJSON(claims []Claim) []ClaimJSON {
	out := make([]ClaimJSON, len(claims))
	for i := range claims {
		c := &claims[i]
		out[i] = ClaimJSON{Op: encode64(c.Op[:]), Index: c.Index, Secret: encode64(c.Secret[:])}
	}
	return out
}

// ParseClaimsJSON reads claims from the wire: ErrTooLarge or ErrMalformed.
func ParseClaimsJSON(in []ClaimJSON) ([]Claim, error) {
	if len(in) > MaxCoins {
		return nil, fmt.Errorf("%w: %d claims", ErrTooLarge, len(in))
	}
	out := make([]Claim, len(in))
	for i := range in {
		var op, secret hash32
		if err := op.UnmarshalText([]byte(in[i].Op)); err != nil {
			return nil, fmt.Errorf("claim %d: op: %w", i, err)
		}
		if err := secret.UnmarshalText([]byte(in[i].Secret)); err != nil {
			return nil, fmt.Errorf("claim %d: secret: %w", i, err)
		}
		if in[i].Index < 0 || in[i].Index >= MaxOutputs {
			return nil, fmt.Errorf("%w: claim %d: an operation has %d outputs at most", ErrMalformed, i, MaxOutputs)
		}
		out[i] = Claim{Op: op, Index: in[i].Index, Secret: BlindSecret(secret)}
	}
	return out, nil
}
