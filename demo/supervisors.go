package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/speciecash/specie/devbox"
)

// ceremony runs an officer's tool under the box's root.
func (s *stage) ceremony(args ...string) (string, error) {
	return s.box.Run(s.ctx, "specie-ceremony", append(args, "--root", s.box.Path("bank", "root.pem"))...)
}

// file is a path for a paper of the demo's.
func (s *stage) file(name string) string { return s.box.Path("run", name) }

// fetchCase gets the bank's case of Alice's coin.
func (s *stage) fetchCase() error {
	admin := s.box.IssuerSocket()
	list, err := s.box.Run(s.ctx, "specied", "--json", "case", "--socket", admin)
	if err != nil {
		return err
	}
	var cases struct{ Cases []struct{ ID string } }
	if err := json.Unmarshal([]byte(list), &cases); err != nil {
		return err
	}
	if len(cases.Cases) != 1 {
		return fmt.Errorf("%d cases instead of one", len(cases.Cases))
	}
	_, err = s.box.Run(s.ctx, "specied", "case", "--socket", admin, "--out", s.file("case.json"), "--", cases.Cases[0].ID)
	return err
}

// caseFlags are the bank's case and the keyset that it is judged by.
func (s *stage) caseFlags() []string {
	return []string{"--case", s.file("case.json"), "--keyset", s.box.Path("bank", "keyset.jws")}
}

// signWarrant lets two supervisors sign a warrant, each after his tool has
// verified what it is about, and returns the flags that name their signatures.
func (s *stage) signWarrant(scope, reason string, about ...string) ([]string, error) {
	document := s.file(scope + "-group.jws")
	if err := s.box.SaveGroupDocument(s.ctx, document); err != nil {
		return nil, err
	}
	draft := s.file(scope + "-warrant.json")
	_, err := s.ceremony(append([]string{"warrant", "draft", "--scope", scope, "--group-document", document,
		"--reference", "2 BvR 173/26", "--reason", reason, "--out", draft}, about...)...)
	if err != nil {
		return nil, err
	}
	var flags []string
	for _, id := range devbox.Supervisors()[:2] {
		signed := s.file(scope + "-warrant-" + id + ".jws")
		_, err := s.ceremony(append([]string{"warrant", "sign", draft, "--dir", s.box.OfficerDir(id), "--group-document", document,
			"--out", signed, "--yes"}, about...)...)
		if err != nil {
			return nil, err
		}
		flags = append(flags, "--warrant", signed)
	}
	return flags, nil
}

// enterWarrant has the manager enter the warrant in the public register, and
// returns the flags that name it with the register and the new group document.
func (s *stage) enterWarrant(scope string, warrant []string) ([]string, error) {
	enter := []string{"warrant", "enter", "--socket", s.box.GroupSocket()}
	for i := 1; i < len(warrant); i += 2 {
		enter = append(enter, warrant[i])
	}
	if _, err := s.box.Run(s.ctx, "specied", enter...); err != nil {
		return nil, err
	}
	register, document := s.file(scope+"-register.json"), s.file(scope+"-entered.jws")
	_, err := s.box.Run(s.ctx, "specied", "warrant", "save", "--url", s.box.GroupURL, "--root", s.box.Path("bank", "root.pem"),
		"--register", register, "--document", document)
	return append([]string{"--group-document", document, "--register", register}, warrant...), err
}

// parts lets the first two supervisors run a command on their own machines,
// and returns the parts that they give.
func (s *stage) parts(what string, flags []string) ([]string, error) {
	var parts []string
	for _, id := range devbox.Supervisors()[:2] {
		part := s.file(what + "-" + id + ".json")
		if _, err := s.ceremony(append([]string{what, "partial", "--dir", s.box.OfficerDir(id), "--out", part}, flags...)...); err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func (s *stage) opening() error {
	if err := s.fetchCase(); err != nil {
		return err
	}
	supervisors := devbox.Supervisors()
	s.say("the bank hands the supervisors a case: one bound coin, two authorised payments")
	warrant, err := s.signWarrant("open", "one coin spent twice", s.caseFlags()...)
	if err != nil {
		return err
	}
	lawful, err := s.enterWarrant("open", warrant)
	if err != nil {
		return err
	}
	s.say("%s and %s signed a warrant; it stands in the public register, and the group's document counts it", supervisors[0], supervisors[1])
	flags := append(s.caseFlags(), lawful...)
	parts, err := s.parts("opening", flags)
	if err != nil {
		return err
	}
	combine := append([]string{"opening", "combine", "--out", s.file("opening.json")}, flags...)
	if _, err = s.ceremony(append(combine, parts[0])...); err == nil {
		return errors.New("one supervisor alone could open")
	}
	s.say("%s alone can't open: %s", supervisors[0], reason(err))
	if _, err := s.ceremony(append(combine, parts...)...); err != nil {
		return err
	}
	if _, err := s.box.Run(s.ctx, "specied", "identify", s.file("opening.json"), "--socket", s.box.GroupSocket(), "--out", s.file("statement.jws")); err != nil {
		return err
	}
	_, err = s.ceremony("opening", "attach", "--opening", s.file("opening.json"), "--statement", s.file("statement.jws"), "--out", s.file("evidence.json"))
	if err != nil {
		return err
	}
	out, err := s.ceremony("opening", "verify", s.file("evidence.json"))
	if err != nil {
		return err
	}
	s.say("%s and %s together, and the group manager's files of members:", supervisors[0], supervisors[1])
	s.echo(out)
	if !strings.Contains(out, "Alice Example") {
		return errors.New("the evidence does not name Alice")
	}
	return nil
}

// tracing finds what else Alice paid, on a warrant of its own.
func (s *stage) tracing() error {
	out, err := s.ceremony("--json", "opening", "verify", s.file("evidence.json"))
	if err != nil {
		return err
	}
	var evidence struct{ Member string }
	if err := json.Unmarshal([]byte(out), &evidence); err != nil {
		return err
	}
	warrant, err := s.signWarrant("trace", "order of the district court", "--evidence", s.file("evidence.json"))
	if err != nil {
		return err
	}
	// Before it is entered, the manager hands nothing out.
	transcript := append([]string{"transcript", "--socket", s.box.GroupSocket(), "--out", s.file("join.jws")}, warrant...)
	transcript = append(transcript, "--", evidence.Member)
	if _, err = s.box.Run(s.ctx, "specied", transcript...); err == nil {
		return errors.New("the manager handed a join out without a registered warrant")
	}
	s.say("a warrant that is not in the register: %s", reason(err))
	lawful, err := s.enterWarrant("trace", warrant)
	if err != nil {
		return err
	}
	if _, err := s.box.Run(s.ctx, "specied", transcript...); err != nil {
		return err
	}
	flags := append([]string{"--statement", s.file("join.jws")}, lawful...)
	parts, err := s.parts("trace", flags)
	if err != nil {
		return err
	}
	token := s.file("token.json")
	if _, err := s.ceremony(append(append([]string{"trace", "combine", "--out", token}, flags...), parts...)...); err != nil {
		return err
	}
	if out, err = s.box.Run(s.ctx, "specied", "trace", token, "--socket", s.box.IssuerSocket()); err != nil {
		return err
	}
	s.say("with the token the bank finds her payments with bound coins, and nobody else's; bearer coins it can't trace:")
	s.echo(out)
	_, err = s.ceremony("register", "verify", "--old", s.file("open-group.jws"), "--old", s.file("evidence.json"),
		"--new", s.file("trace-entered.jws"), s.file("trace-register.json"))
	if err == nil {
		s.say("the register only grew: two warrants, counted in public")
	}
	return err
}
