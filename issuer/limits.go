package issuer

import (
	"time"

	"github.com/speciecash/specie/coin"
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
