package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// refund: the café gives a part of the second lunch back. It does not know
// whom it pays, and neither does the bank.
func (s *stage) refund() error {
	op, err := s.paymentAtTill("table 8")
	if err != nil {
		return err
	}
	out, err := s.specie(cafe, "merchant", "refund", "--", op, "2.00")
	if err != nil {
		return err
	}
	s.echo(out)
	id, err := s.lunch()
	if err != nil {
		return err
	}
	err = s.timed("refund 2.00", "the merchant's order, a debit, new coins that nobody can link to the payment", func() (err error) {
		out, err = s.specie(alice, "refund", id)
		return err
	})
	s.echo(out)
	return err
}

// paymentAtTill is the café's id of the payment for an order.
func (s *stage) paymentAtTill(order string) (string, error) {
	var payments []struct{ Op, Order string }
	if err := s.read(&payments, "specie", "--home", s.box.Home(cafe), "--json", "merchant", "takings"); err != nil {
		return "", err
	}
	for _, p := range payments {
		if p.Order == order {
			return p.Op, nil
		}
	}
	return "", fmt.Errorf("the till knows no payment for %s", order)
}

// lunch is Alice's id of the newest payment of 12.34.
func (s *stage) lunch() (string, error) {
	var ops []struct {
		ID, Kind string
		Amount   int64
	}
	if err := s.read(&ops, "specie", "--home", s.box.Home(alice), "--json", "history"); err != nil {
		return "", err
	}
	for _, op := range ops {
		if op.Kind == "pay" && op.Amount == -1234 {
			return op.ID, nil
		}
	}
	return "", errors.New("the purse knows no payment of 12.34")
}

// read runs a program and reads its JSON.
func (s *stage) read(into any, program string, args ...string) error {
	out, err := s.box.Run(s.ctx, program, args...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}

// monthEnd is what the bank's back office does: it pays the café out, and
// from then on what was paid out can't be refunded; it hands out a statement,
// makes a copy of its ledger, and recomputes all of it.
func (s *stage) monthEnd() error {
	account, err := s.merchantAccount()
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"payout", "5.00", "--account", account, "--reference", "WIRE-2026-11"},
		{"statement", account},
		{"backup", "--to", s.box.Path("run", "month-end.backup")},
		{"audit"},
	} {
		args = append(args, "--socket", s.box.IssuerSocket())
		out, err := s.box.Run(s.ctx, "specied", args...)
		if err != nil {
			return err
		}
		s.say("$ specied %s …", strings.Join(args[:1], " "))
		s.echo(out)
	}
	op, err := s.paymentAtTill("table 8")
	if err != nil {
		return err
	}
	return s.refused("a refund after the payout", "paid this out", func() error {
		_, err := s.specie(cafe, "merchant", "refund", "--", op, "1.00")
		return err
	})
}

// merchantAccount is the café's account at the bank.
func (s *stage) merchantAccount() (string, error) {
	var accounts []struct{ ID, Name string }
	if err := s.read(&accounts, "specied", "--json", "account", "list", "--kind", "merchant", "--socket", s.box.IssuerSocket()); err != nil {
		return "", err
	}
	for _, a := range accounts {
		if a.Name == cafe {
			return a.ID, nil
		}
	}
	return "", errors.New("the bank has no account of the café")
}

// papers: years later, and with nobody to ask, the file says who owed whom.
func (s *stage) papers() error {
	id, err := s.lunch()
	if err != nil {
		return err
	}
	file := s.box.Path("run", "lunch.json")
	if _, err := s.specie(alice, "receipt", "save", id, "--out", file); err != nil {
		return err
	}
	if err := s.box.Pause(); err != nil {
		return err
	}
	out, err := s.specie(alice, "receipt", "verify", file, "--root", s.box.Path("bank", "root.pem"))
	if err := errors.Join(err, s.box.Continue()); err != nil {
		return err
	}
	s.echo(out)
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	forged := s.box.Path("run", "lunch-forged.json")
	altered, err := forge(raw)
	if err != nil {
		return err
	}
	if err := os.WriteFile(forged, altered, 0o600); err != nil {
		return err
	}
	return s.refused("the same paper with one character of the bank's receipt changed", "", func() error {
		_, err := s.specie(alice, "receipt", "verify", forged, "--root", s.box.Path("bank", "root.pem"))
		return err
	})
}

// forge changes one character of the bank's receipt, within its alphabet.
func forge(raw []byte) ([]byte, error) {
	key := []byte(`"bank_receipt"`)
	at := bytes.Index(raw, key)
	if at < 0 {
		return nil, errors.New("the file has no receipt of the bank's")
	}
	out := slices.Clone(raw)
	at += len(key) + bytes.IndexByte(raw[at+len(key):], '.') + 20 // within the JWS's payload
	if out[at] == 'A' {
		out[at] = 'B'
	} else {
		out[at] = 'A'
	}
	return out, nil
}
