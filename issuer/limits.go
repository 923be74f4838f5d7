package issuer

import (
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// Limits are what the bank allows, and says so in /v1/info. DefaultLimits
// returns those of a bank that sets none; a zero field means no limit unless it
// says otherwise.
type Limits struct {
	// HoldTime is how long a merchant's check keeps coins for him; 60 seconds
	// if zero.
	HoldTime time.Duration
	// OpenHolds is how many holds a merchant may have at once.
	OpenHolds int
	// HoldsPerCoin is how often a merchant may hold one coin within an hour.
	HoldsPerCoin int
	// Strikes is how many wrong authorisations under one hold suspend a
	// merchant; 3 if zero.
	Strikes int
	// WithdrawalsPerDay is how much an account may withdraw between two
	// midnights, UTC, in minor units.
	WithdrawalsPerDay coin.Amount
	// Withdrawal is the most that one withdrawal may be worth, in minor units.
	Withdrawal coin.Amount
	// RestoreOutputs is how many outputs one request may ask after.
	RestoreOutputs int
}

// DefaultLimits are good for a bank of any size.
func DefaultLimits() Limits {
	return Limits{HoldTime: time.Minute, OpenHolds: 64, HoldsPerCoin: 3, Strikes: 3, RestoreOutputs: coin.MaxOutputs}
}

// Names of limits, as /v1/info and LimitError have them.
const (
	LimitWithdrawalsPerDay = "withdrawals_per_day"
	LimitWithdrawal        = "withdrawal"
	LimitTokens            = "tokens"
	LimitStatement         = "statement"
	LimitOpenHolds         = "open_holds"
	LimitHoldsPerCoin      = "holds_per_coin"
)

// withdrawal returns what a withdrawal counts toward, or a *LimitError for one
// that no day has room for.
func (l *Limits) withdrawal(account string, total coin.Amount, now time.Time) ([]ledger.Quota, error) {
	if l.Withdrawal != 0 && total > l.Withdrawal {
		return nil, &LimitError{Name: LimitWithdrawal, Max: int64(l.Withdrawal)}
	}
	if l.WithdrawalsPerDay == 0 {
		return nil, nil
	}
	if total > l.WithdrawalsPerDay {
		return nil, &LimitError{Name: LimitWithdrawalsPerDay, Max: int64(l.WithdrawalsPerDay)}
	}
	return []ledger.Quota{{Name: withdrawn(account, now), Amount: int64(total), Max: int64(l.WithdrawalsPerDay)}}, nil
}

// withdrawn counts what an account withdraws on a day, UTC.
func withdrawn(account string, at time.Time) string {
	return "withdrawn/" + account + "/" + at.UTC().Format(time.DateOnly)
}

// dayAfter is the next midnight, UTC.
func dayAfter(at time.Time) time.Time {
	y, m, d := at.UTC().Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
}
