package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/server"
)

// adminTLSConfig is the operator's listener for other machines.
type adminTLSConfig struct {
	Listen      string `yaml:"listen"`
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	ClientCA    string `yaml:"client_ca"`
}

// endpoint opens it.
func (c *adminTLSConfig) endpoint(dir base, h *server.Issuer) (server.Endpoint, error) {
	if c.Listen == "" || c.Certificate == "" || c.Key == "" || c.ClientCA == "" {
		return server.Endpoint{}, fmt.Errorf("%w: admin_tls: listen, certificate, key and client_ca are all needed", errConfig)
	}
	l, err := server.ListenStaff(c.Listen, server.StaffTLS{
		Certificate: dir.path(c.Certificate), Key: dir.path(c.Key), ClientCA: dir.path(c.ClientCA),
	})
	return server.Endpoint{Listener: l, Handler: h.Staff}, err
}

// limitsConfig is what the bank allows; what is not named stays as
// issuer.DefaultLimits has it, and zero is no limit where one can be done
// without. Amounts are decimals of the currency.
type limitsConfig struct {
	HoldTime          *time.Duration `yaml:"hold_time"`
	OpenHolds         *int           `yaml:"open_holds"`
	HoldsPerCoin      *int           `yaml:"holds_per_coin"`
	Strikes           *int           `yaml:"strikes"`
	WithdrawalsPerDay string         `yaml:"withdrawals_per_day"`
	Withdrawal        string         `yaml:"withdrawal"`
	RestoreOutputs    *int           `yaml:"restore_outputs"`
}

// limits are the bank's. exponent is the currency's.
func (c *limitsConfig) limits(exponent int) (*issuer.Limits, error) {
	l := issuer.DefaultLimits()
	if c.HoldTime != nil {
		if *c.HoldTime < time.Second || *c.HoldTime > time.Hour {
			return nil, fmt.Errorf("%w: limits: hold_time is 1s to 1h", errConfig)
		}
		l.HoldTime = *c.HoldTime
	}
	for name, n := range map[string]struct{ from, into *int }{
		"open_holds": {c.OpenHolds, &l.OpenHolds}, "holds_per_coin": {c.HoldsPerCoin, &l.HoldsPerCoin},
		"strikes": {c.Strikes, &l.Strikes}, "restore_outputs": {c.RestoreOutputs, &l.RestoreOutputs},
	} {
		if n.from == nil {
			continue
		}
		if *n.from < 0 || *n.from == 0 && name != "open_holds" && name != "holds_per_coin" {
			return nil, fmt.Errorf("%w: limits: %s is %d", errConfig, name, *n.from)
		}
		*n.into = *n.from
	}
	if l.RestoreOutputs > coin.MaxOutputs {
		return nil, fmt.Errorf("%w: limits: restore_outputs is at most %d", errConfig, coin.MaxOutputs)
	}
	for name, n := range map[string]struct {
		from string
		into *coin.Amount
	}{"withdrawals_per_day": {c.WithdrawalsPerDay, &l.WithdrawalsPerDay}, "withdrawal": {c.Withdrawal, &l.Withdrawal}} {
		if n.from == "" {
			continue
		}
		var err error
		if *n.into, err = coin.ParseAmount(n.from, exponent); err != nil {
			return nil, fmt.Errorf("%w: limits: %s %q: %w", errConfig, name, n.from, err)
		}
	}
	return &l, nil
}

// rateConfig bounds how fast one client address may ask what costs the token or
// the database; without it nobody counts.
type rateConfig struct {
	PerSecond      float64        `yaml:"per_second"`
	Burst          int            `yaml:"burst"`
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
}

// rate is what the server takes of it.
func (c *rateConfig) rate() (server.Rate, error) {
	if c.PerSecond < 0 || c.Burst < 0 || (c.PerSecond == 0) != (c.Burst == 0) {
		return server.Rate{}, fmt.Errorf("%w: rate: per_second and burst are both above zero, or neither is there", errConfig)
	}
	return server.Rate{PerSecond: c.PerSecond, Burst: c.Burst, TrustedProxies: c.TrustedProxies}, nil
}
