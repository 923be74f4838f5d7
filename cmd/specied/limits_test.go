package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/issuer"
)

func TestLimitsAreReadFromTheConfiguration(t *testing.T) {
	tests := []struct {
		name, text string
		want       func(*issuer.Limits)
		refused    string
	}{
		{"none", "listen: x", func(*issuer.Limits) {}, ""},
		{"all", "limits: {hold_time: 90s, open_holds: 0, holds_per_coin: 5, strikes: 7, withdrawals_per_day: '500.00', withdrawal: '20.5', restore_outputs: 10}",
			func(l *issuer.Limits) {
				l.HoldTime, l.OpenHolds, l.HoldsPerCoin, l.Strikes = 90*time.Second, 0, 5, 7
				l.WithdrawalsPerDay, l.Withdrawal, l.RestoreOutputs = 50000, 2050, 10
			}, ""},
		{"a hold of no time", "limits: {hold_time: 0s}", nil, "hold_time"},
		{"a hold of a day", "limits: {hold_time: 24h}", nil, "hold_time"},
		{"no strike at all", "limits: {strikes: 0}", nil, "strikes"},
		{"fewer holds than none", "limits: {open_holds: -1}", nil, "open_holds"},
		{"more outputs than a request has", "limits: {restore_outputs: 100000}", nil, "restore_outputs"},
		{"a third of a cent", "limits: {withdrawal: '0.333'}", nil, "withdrawal"},
		{"a limit that there is not", "limits: {gold: 1}", nil, "gold"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "issuer.yaml")
			check(t, os.WriteFile(file, []byte(tt.text+"\n"), 0o600))
			var cfg issuerConfig
			_, err := loadYAML(file, &cfg)
			var got *issuer.Limits
			if err == nil {
				got, err = cfg.Limits.limits(2)
			}
			if tt.refused != "" {
				if !errors.Is(err, errConfig) || !strings.Contains(err.Error(), tt.refused) {
					t.Fatalf("got %v", err)
				}
				return
			}
			check(t, err)
			want := issuer.DefaultLimits()
			if tt.want(&want); *got != want {
				t.Errorf("limits %+v, want %+v", *got, want)
			}
		})
	}
}

func TestARateHasBothItsNumbers(t *testing.T) {
	for _, c := range []rateConfig{{PerSecond: 1}, {Burst: 1}, {PerSecond: -1, Burst: 1}, {PerSecond: 1, Burst: -1}} {
		if _, err := c.rate(); !errors.Is(err, errConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []rateConfig{{}, {PerSecond: 0.5, Burst: 3}} {
		if got, err := c.rate(); err != nil || got.Burst != c.Burst {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
}

func TestTheBackOfficeIsReachedOneWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	check(t, os.WriteFile(file, []byte("spt_x\n"), 0o600))
	loose := filepath.Join(t.TempDir(), "loose")
	check(t, os.WriteFile(loose, []byte("spt_x\n"), 0o644))
	for name, o := range map[string]officeFlags{
		"a socket with a token":               {Socket: "x", TokenFile: file},
		"a socket with a certificate":         {Socket: "x", ClientCertificate: file},
		"an address without TLS":              {Admin: "http://127.0.0.1:1", ClientCertificate: file, TokenFile: file},
		"an address without a certificate":    {Admin: "https://127.0.0.1:1", TokenFile: file},
		"an address without a token":          {Admin: "https://127.0.0.1:1", ClientCertificate: file},
		"a token that others can read":        {Admin: "https://127.0.0.1:1", ClientCertificate: file, TokenFile: loose},
		"a certificate that is none":          {Admin: "https://127.0.0.1:1", ClientCertificate: file, TokenFile: file},
		"an address with somebody's password": {Admin: "https://me:secret@127.0.0.1:1", ClientCertificate: file, TokenFile: file},
	} {
		if _, err := o.api(); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, _, err := accountPath("reserve"); err == nil {
		t.Error("an id without a kind was taken")
	}
	check(t, newTokenFileRefuses(t))
}

// newTokenFileRefuses makes sure that no file is left where no token was made.
func newTokenFileRefuses(t *testing.T) error {
	path := filepath.Join(t.TempDir(), "new.token")
	refusal := errors.New("refused")
	if err := newTokenFile(path, func(io.Writer) error { return refusal }); !errors.Is(err, refusal) {
		return err
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return errors.New("a file was left behind")
	}
	return nil
}
