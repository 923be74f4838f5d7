package issuer

import (
	"context"

	"github.com/speciecash/specie/coin"
)

// Recover makes bound coins good that nobody can spend any more, because their
// TPM broke or was cleared. The member authorises it who, by the group manager's
// word, is the person whose they were; what he keeps from the time when the
// coins were made shows that they were his (coin.VerifyRecover). The verifier of
// their group must be a coin.Successors.
//
// What the coins are worth comes back as in Recoup, and goes to an account only
// with claims that it withdrew them.
//
// Refusals: those of coin.VerifyRecover, *coin.TooEarlyError among them,
// coin.ErrClaim, *VoidError and *DoubleSpendError. Exchange, void, recoup and
// recover of the same coins are one op; one that is recorded gets the recorded
// answer.
func (b *Bank) Recover(ctx context.Context, s *coin.Spend, a *coin.Authorisation, claims []coin.Claim) (*Signed, error) {
	if s.Purpose != coin.Recover {
		return nil, coin.ErrPurpose
	}
	return b.repay(ctx, s, a, claims, coin.VerifyRecover)
}
