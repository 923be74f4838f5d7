package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
)

var errAhead = errors.New("--ahead is a time such as 30d or 12h")

// parseAhead reads days, or what Go calls a duration.
func parseAhead(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, errAhead
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, errAhead
	}
	return d, nil
}

// noteExpiring says on the side which coins can't be spent much longer.
func (a *app) noteExpiring(w *wallet.Wallet) {
	lots, err := w.Expiring(a.ctx, a.ahead)
	if err != nil {
		return
	}
	for _, e := range lots {
		what := `exchange them: "specie exchange --expiring"`
		if e.Kind == coin.Bound {
			what = `exchange them: "specie exchange --expiring --kind bound"`
		}
		if !e.Later {
			what = "spend them before; the bank has no newer ones yet"
		}
		a.out.Note("%s, worth %s %s, can be spent until %s; %s", cli.Count(e.Coins, string(e.Kind)+" coin"),
			e.Worth.Format(e.Exponent), e.Currency, cli.When(e.Until), what)
	}
}
