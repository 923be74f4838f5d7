package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/trust"
)

// What the manager publishes.
const (
	registerFile = "published/register.json"
	documentFile = "published/group.jws"
)

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
	b, err := os.ReadFile(documentFile)
	if err != nil {
		return err
	}
	if s.document, err = groupdoc.Parse(s.root, b, s.now); err != nil {
		return err
	}
	if b, err = os.ReadFile(registerFile); err != nil {
		return err
	}
	r, err := warrant.ParseRegister(b)
	if err != nil {
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

// playDaemons does the work of a command of specied's, whose grammar the real
// one has checked before: positional arguments are files, --out and the like
// say where results go.
func playDaemons(ctx context.Context, args []string) error {
	flags, files := flagsOf(args)
	switch command := files[0]; command {
	case "case":
		return copyFile("bank/case.json", flags["out"][0])
	case "identify":
		return identify(ctx, files[1], flags["out"][0])
	case "transcript":
		return handOut(ctx, files[1], flags["warrant"], flags["out"][0])
	case "trace":
		return findPayments(files[1])
	case "warrant":
		if files[1] == "enter" {
			return enterWarrant(ctx, files[2:])
		}
		return errors.Join(copyFile(registerFile, flags["register"][0]), copyFile(documentFile, flags["document"][0]))
	default:
		return fmt.Errorf("nobody plays %q", command)
	}
}

// flagsOf takes "--name value" out of arguments.
func flagsOf(args []string) (flags map[string][]string, rest []string) {
	flags = make(map[string][]string)
	for i := 0; i < len(args); i++ {
		name, ok := strings.CutPrefix(args[i], "--")
		if !ok || name == "" {
			if args[i] != "--" {
				rest = append(rest, args[i])
			}
			continue
		}
		flags[name] = append(flags[name], args[i+1])
		i++
	}
	return flags, rest
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return paper.Write(to, b, paper.Public)
}

// members are what the manager would state of his two.
var members = []string{"statement-eva.jws", "statement-ada.jws"}

// identify names a member as the manager does: on an opening whose warrant
// stands in his register.
func identify(ctx context.Context, file, out string) error {
	return atManagers(ctx, func(s *stage, r *warrant.Register) error {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		tag, entry, err := opening.TagFor(s.root, s.document.GroupID(), b, nil, s.now)
		if err != nil {
			return err
		}
		if !slices.Contains(r.Entries, entry) {
			return warrant.ErrUnregistered
		}
		return s.handOut(out, func(m *enrol.Member) bool { return m.Tag == tag })
	})
}

// handOut gives a member's join away, on a warrant that is about him.
func handOut(ctx context.Context, id string, signatures []string, out string) error {
	return atManagers(ctx, func(s *stage, r *warrant.Register) error {
		docs, err := readDocuments(signatures)
		if err != nil {
			return err
		}
		_, e, err := warrant.Prove(s.root, s.document, docs, r)
		if err != nil {
			return err
		}
		return s.handOut(out, func(m *enrol.Member) bool {
			j, err := group.ParseJoin(m.Join)
			return err == nil && m.Member.String() == id && e.Allows(warrant.MembershipOf(m.Member, j).Subject(), warrant.Trace, warrant.Expel) == nil
		})
	})
}

func (s *stage) handOut(out string, is func(m *enrol.Member) bool) error {
	for _, path := range members {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m, err := enrol.ParseStatement(s.root, s.document.Parameters(), b, s.now)
		if err != nil {
			return err
		}
		if is(m) {
			return paper.Write(out, b, paper.Public)
		}
	}
	return errors.New("no such member")
}
