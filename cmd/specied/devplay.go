package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/speciecash/specie/devbox"
)

// dashboard is the page of the box's bank.
func (c *devCmd) dashboard(a *app, box *devbox.Box) (*boardPage, error) {
	page := dashboardCmd{
		officeFlags: officeFlags{Socket: box.IssuerSocket()}, Listen: freeOr(c.Dashboard), SignerMetrics: box.SignerMetrics,
	}
	return page.open(a)
}

// The customer and the market of play. The customer is no one else's: Alice's
// purse is for who plays with the box.
const (
	customer = "robin"
	market   = "market"
	// atFirst is how many payments come quickly, so that the first look sees some.
	atFirst = 6
	// allowance is what the customer withdraws at a time, in major units.
	allowance = "40.00"
)

// play has a customer withdraw and pay, with refunds and exchanges among it,
// until ctx ends. What fails is tried again at the next turn: the person may have
// stopped the bank.
func (c *devCmd) play(ctx context.Context, a *app, box *devbox.Box) {
	p := &player{box: box}
	for turn := 0; ctx.Err() == nil; turn++ {
		if err := p.turn(ctx, turn); err != nil && ctx.Err() == nil {
			a.log.Debug("play", "turn", turn, "error", err)
		}
		wait := c.Every
		if turn < atFirst {
			wait = 200 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

type player struct {
	box           *devbox.Box
	account, till string
	withdrawn     int
	left          int // in the purse, minor units
}

func (p *player) turn(ctx context.Context, n int) (err error) {
	if p.account == "" {
		if p.account, err = p.box.OpenHolder(ctx, customer, ""); err != nil {
			return err
		}
	}
	if p.till == "" {
		if p.till, err = p.box.OpenTill(ctx, market); err != nil {
			return err
		}
	}
	amount := 100 + rand.IntN(1200)
	if p.left < amount {
		return p.withdraw(ctx)
	}
	order := fmt.Sprintf("M-%d", n)
	offer, err := p.box.Offer(ctx, market, p.till, fmt.Sprintf("%d.%02d", amount/100, amount%100), order)
	if err != nil {
		return err
	}
	if _, err := p.box.Run(ctx, "specie", "--home", p.box.Home(customer), "pay", "--yes", offer); err != nil {
		p.left = 0 // nobody knows: withdraw anew
		return err
	}
	p.left -= amount
	switch n % 7 {
	case 3:
		err = p.refund(ctx, order)
	case 5:
		_, err = p.box.Run(ctx, "specie", "--home", p.box.Home(customer), "exchange", "--kind", "bearer")
	}
	return err
}

// refund has the market give a little of the newest payment back.
func (p *player) refund(ctx context.Context, order string) error {
	if _, err := p.box.Run(ctx, "specie", "--home", p.box.Home(market), "merchant", "refund", "--", order, "0.50"); err != nil {
		return err
	}
	out, err := p.box.Run(ctx, "specie", "--home", p.box.Home(customer), "--json", "history")
	if err != nil {
		return err
	}
	var newest []struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(out), &newest); err != nil || len(newest) == 0 {
		return fmt.Errorf("history: %v", err)
	}
	if _, err := p.box.Run(ctx, "specie", "--home", p.box.Home(customer), "refund", newest[0].ID); err != nil {
		return err
	}
	p.left += 50
	return nil
}

// withdraw has the bank's cashier credit the account, and the purse draw on it.
func (p *player) withdraw(ctx context.Context) error {
	reference := fmt.Sprintf("wages %d", p.withdrawn)
	if _, err := p.box.Run(ctx, "specied", "fund", allowance, "--socket", p.box.IssuerSocket(), "--account", p.account, "--reference", reference); err != nil {
		return err
	}
	p.withdrawn++
	_, err := p.box.Run(ctx, "specie", "--home", p.box.Home(customer), "withdraw", allowance)
	if err == nil {
		p.left += 4000
	}
	return err
}
