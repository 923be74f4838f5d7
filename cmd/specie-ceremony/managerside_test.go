package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/trust"
)

// registerFile is what the manager publishes of his register.
const registerFile = "register.json"

// atManagers opens the manager's token and reads what he published last.
func atManagers(ctx context.Context, do func(s *stage, r *warrant.Register) error) error {
	s, err := newStage(ctx)
	if err != nil {
		return err
	}
	defer s.module.Close()
	if err := s.readGroup(); err != nil {
		return err
	}
	b, err := os.ReadFile("group.jws")
	if err != nil {
		return err
	}
	if s.document, err = groupdoc.Parse(s.root, b, s.now); err != nil {
		return err
	}
	r := &warrant.Register{Group: s.document.ID}
	if b, err = os.ReadFile(registerFile); err == nil {
		r, err = warrant.ParseRegister(b)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return do(s, r)
}

// keep publishes a register with its head.
func (s *stage) keep(r *warrant.Register) error {
	contents := s.document.Contents
	contents.Seq, contents.IssuedAt, contents.Warrants = contents.Seq+1, s.now, groupdoc.WarrantHead{}
	if n := len(r.Entries); n > 0 {
		contents.Warrants = r.Entries[n-1].Head()
	}
	b, err := r.Marshal()
	if err != nil {
		return err
	}
	if err := os.WriteFile(registerFile, b, 0o644); err != nil {
		return err
	}
	return s.publish(&contents)
}

func enterWarrant(ctx context.Context, paths []string) error {
	return atManagers(ctx, func(s *stage, r *warrant.Register) error {
		signatures, err := readDocuments(paths)
		if err != nil {
			return err
		}
		w, err := warrant.Parse(s.root, s.document.Supervision, signatures, s.now)
		if err != nil {
			return err
		}
		var last warrant.Entry
		if n := len(r.Entries); n > 0 {
			last = r.Entries[n-1]
		}
		e, err := warrant.Next(last, w, s.now)
		if err != nil {
			return err
		}
		r.Entries = append(r.Entries, e)
		return s.keep(r)
	})
}

// rewriteRegister drops the first entry and numbers the others anew.
func rewriteRegister(ctx context.Context) error {
	return atManagers(ctx, func(s *stage, r *warrant.Register) error {
		out := &warrant.Register{Group: r.Group}
		var last warrant.Entry
		for _, e := range r.Entries[1:] {
			e.Seq, e.Prev = last.Seq+1, last.Head().Head
			out.Entries, last = append(out.Entries, e), e
		}
		return s.keep(out)
	})
}

// findPayments looks for the traced member's among the payments of case.json,
// which are Eva's, and one of Ada's.
func findPayments(path string) error {
	root, err := os.ReadFile("root.pem")
	if err != nil {
		return err
	}
	pinned, err := trust.ParseRoot(root)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	token, err := opening.ParseToken(pinned, b, time.Now())
	if err != nil {
		return err
	}
	c, err := readCase("case.json")
	if err != nil {
		return err
	}
	ada, err := os.ReadFile("ada.presentation")
	if err != nil {
		return err
	}
	for i, raw := range [][]byte{c.Spends[0].Authorisation.Presentation, c.Spends[1].Authorisation.Presentation, ada} {
		p, err := group.ParsePresentation(raw)
		if err != nil {
			return err
		}
		fmt.Printf("payment %d: %v\n", i+1, token.Matches(p))
	}
	return nil
}
