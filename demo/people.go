package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const bob = "bob"

// friend: Alice gives Bob coins in a picture, and he exchanges them at once.
// She tries to take them back, and is too late.
func (s *stage) friend() error {
	if _, err := s.box.OpenHolder(s.ctx, bob, ""); err != nil {
		return err
	}
	picture := s.box.Path("people", "for-bob.png")
	out, err := s.specie(alice, "send", "3.00", "--qr", picture)
	if err != nil {
		return err
	}
	s.echo(out)
	pictures, err := filepath.Glob(s.box.Path("people", "for-bob*.png"))
	if err != nil {
		return err
	}
	err = s.timed("send and receive 3.00", "a QR code read from its picture, every coin verified and exchanged", func() error {
		out, err = s.specie(bob, append([]string{"receive"}, pictures...)...)
		return err
	})
	if err != nil {
		return err
	}
	s.echo(out)
	sent, err := s.newest("send")
	if err != nil {
		return err
	}
	return s.refused("Alice wants them back", "received", func() error {
		_, err := s.specie(alice, "reclaim", sent)
		return err
	})
}

// newest is Alice's id of the newest operation of a kind.
func (s *stage) newest(kind string) (string, error) {
	var ops []struct{ ID, Kind string }
	if err := s.read(&ops, "specie", "--home", s.box.Home(alice), "--json", "history"); err != nil {
		return "", err
	}
	for _, op := range ops {
		if op.Kind == kind {
			return op.ID, nil
		}
	}
	return "", fmt.Errorf("the purse knows no %s", kind)
}

// words: Bob's laptop is gone. The words on his paper are his purse.
func (s *stage) words() error {
	paper := s.box.Path("people", "bob.paper")
	if _, err := s.specie(bob, "words", "--words-file", paper); err != nil {
		return err
	}
	before, err := s.balance(bob)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(s.box.Home(bob)); err != nil {
		return err
	}
	var out string
	err = s.timed("restore of 26 words", "the bank is asked about each coin number, key by key", func() error {
		out, err = s.specie(bob, "restore", "--words-file", paper, "--bank", s.box.IssuerURL, "--root", s.box.Path("bank", "root.pem"), "--lock", "plain")
		return err
	})
	if err != nil {
		return err
	}
	s.echo(out)
	after, err := s.balance(bob)
	if err == nil && after != before {
		err = errors.New("the purse has " + after + " and had " + before)
	}
	s.say("Bob has %s again, to the cent", after)
	return err
}

// balance is what a purse can spend.
func (s *stage) balance(who string) (string, error) {
	var b struct {
		Total    int64
		Currency string
	}
	err := s.read(&b, "specie", "--home", s.box.Home(who), "--json", "balance")
	return fmt.Sprintf("%d.%02d %s", b.Total/100, b.Total%100, b.Currency), err
}
