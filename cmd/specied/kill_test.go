package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
)

// A street is a bank, purses and a till, each a process of its own with files of
// its own, that can be killed at any point of package fault.
type street struct {
	*house
	bank, till  *daemon
	specie      string // the users' program
	tillAddress string
	funded      int64
	offers      int
	purses      []string        // in which there is money
	arrivedAt   map[string]bool // all points seen
	killed      int
}

const (
	atBank  = "bank"
	atPurse = "purse"
	atTill  = "till"
)

// everybody who may be killed; see acts and peoplesActs.
func everybody() []string { return []string{atBank, atPurse, atTill, atGiver, atFriend, atDesk} }

// newStreet opens the bank, an account with money on it for the purse, and the
// till. configuration is what issuer.yaml says besides, with "database" in it.
func newStreet(t testing.TB) *street {
	t.Helper()
	s := &street{house: newHouse(t, 5, 2), specie: buildTagged(t, "specie"), tillAddress: freeAddress(t), arrivedAt: map[string]bool{}, purses: []string{atPurse}}
	s.bin = buildTagged(t, "specied")
	s.env = append(s.env, s.faults(atBank)...)
	s.openBank()
	s.account("alice", "50.00")
	s.funded = 5000
	s.people(atPurse, 0, "init", "--lock", "plain", "--bank", "http://"+s.issuer, "--root", "root.pem", "--token-file", "alice.token")
	s.people(atTill, 0, "merchant", "init", "--bank", "http://"+s.issuer, "--root", "root.pem", "--name", "Café")
	s.write("cafe.jws", []byte(s.people(atTill, 0, "merchant", "request")))
	s.run("account", "--socket", "issuer.sock", "--kind", "merchant", "--name", "Café", "--merchant-request", "cafe.jws", "--token-out", "cafe.token")
	s.people(atTill, 0, "merchant", "login", "--token-file", "cafe.token")
	s.openTill()
	return s
}

// faults is the environment that names a process's file of points.
func (s *street) faults(who string) []string {
	return []string{"SPECIE_FAULT=" + s.path(who+".fault"), "SPECIE_FAULT_LOG=" + s.path(who+".points")}
}

func (s *street) openBank() { s.bank = s.startIssuer("inprocess.yaml") }

func (s *street) openTill() {
	s.t.Helper()
	check(s.t, s.remove("till.ready"))
	s.till = s.launch("till", s.command(atTill, "merchant", "serve", "--listen", s.tillAddress, "--desk", "", "--ready", s.path("till.ready")))
	eventually(s.t, "the till does not open", func() bool {
		_, err := os.Stat(s.path("till.ready"))
		return err == nil
	})
}

func (s *street) remove(name string) error {
	if err := os.Remove(s.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// command is the users' program, in the home of one of them.
func (s *street) command(who string, args ...string) *exec.Cmd {
	cmd := exec.Command(s.specie, args...)
	cmd.Dir = s.dir
	home := who
	if who == atDesk {
		home = atTill
	}
	cmd.Env = append(append(slices.Clone(s.env), s.faults(who)...), "SPECIE_HOME="+s.path(home))
	return cmd
}

// people runs the users' program, which must end with one of the statuses.
// -1 is by a signal.
func (s *street) peopleAny(who string, statuses []int, args ...string) (string, int) {
	s.t.Helper()
	cmd := s.command(who, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, _ := cmd.Output()
	status := cmd.ProcessState.ExitCode()
	if !slices.Contains(statuses, status) {
		s.t.Fatalf("specie %v: status %d\n%s%s", args, status, out, stderr.String())
	}
	return strings.TrimSpace(string(out)), status
}

func (s *street) people(who string, status int, args ...string) string {
	s.t.Helper()
	out, _ := s.peopleAny(who, []int{status}, args...)
	return out
}

// killedBy says whether a process was.
func killedBy(p *os.ProcessState, want syscall.Signal) bool {
	status, ok := p.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == want
}

// An act is something that people do, which may be cut short anywhere.
type act struct {
	name string
	// prepare makes what the act needs, undisturbed.
	prepare func(s *street) []string
	// do does it. Any of ok, refused, open and killed may be its end.
	do func(s *street, args []string)
	// finish does what people do after a mishap.
	finish func(s *street, args []string)
	// kills are who is killed, and at which points: none means all, and "NAME:last" is
	// the last arrival there. Where it is nil, everybody is, everywhere.
	kills map[string][]string
}

// at says where somebody is killed, of the points that he arrived at.
func (a act) at(who string, arrived map[string]int) (out []string) {
	only, killed := a.kills[who]
	if a.kills != nil && !killed {
		return nil
	}
	for _, name := range sortedKeys(arrived) {
		for n := 1; n <= arrived[name]; n++ {
			if len(only) == 0 || slices.Contains(only, name) || n == arrived[name] && slices.Contains(only, name+":last") {
				out = append(out, fmt.Sprintf("%s:%d", name, n))
			}
		}
	}
	return out
}

// resume settles whatever purse and till left open.
func resume(s *street, _ []string) {
	s.t.Helper()
	s.people(atTill, 0, "merchant", "resume")
	s.rests(atPurse)
}

// rests settles what a purse left open.
func (s *street) rests(who string) {
	s.t.Helper()
	eventually(s.t, "the purse does not come to rest: "+who, func() bool {
		out, _ := s.peopleAny(who, []int{0, 3}, "resume")
		return strings.Contains(out, "nothing is open")
	})
}

// anyhow runs a command of the purse, whatever comes of it.
func anyhow(args ...string) func(*street, []string) { return anyhowAt(atPurse, args...) }

func anyhowAt(who string, args ...string) func(*street, []string) {
	return func(s *street, more []string) {
		_ = s.command(who, append(slices.Clone(args), more...)...).Run()
	}
}

func (s *street) offer(amount string) string {
	s.t.Helper()
	s.offers++
	return s.people(atTill, 0, "merchant", "offer", amount, "--order", fmt.Sprint(s.offers), "--to", "http://"+s.tillAddress+"/pay")
}

// refundable makes a payment that the merchant gives something back of, and
// returns what the purse calls it.
func (s *street) refundable() []string {
	s.t.Helper()
	s.people(atPurse, 0, "pay", "--yes", "--kind", "bearer", s.offer("0.05"))
	var takings []struct {
		Op    string `json:"op"`
		Order string `json:"order"`
	}
	unmarshal(s.t, s.people(atTill, 0, "--json", "merchant", "takings"), &takings)
	for _, x := range takings {
		if x.Order == fmt.Sprint(s.offers) {
			s.people(atTill, 0, "merchant", "refund", x.Op, "0.03")
		}
	}
	var history []struct {
		ID   string `json:"id"`
		Kind string `json:"kind"`
	}
	unmarshal(s.t, s.people(atPurse, 0, "--json", "history"), &history)
	for _, op := range history {
		if op.Kind == "pay" {
			return []string{op.ID} // the newest is the first
		}
	}
	s.t.Fatal("the purse knows of no payment")
	return nil
}

func acts() []act {
	return []act{
		{"a withdrawal", nil, anyhow("withdraw", "0.07"), resume, nil},
		{"a payment with a hold before", func(s *street) []string { return []string{s.offer("0.05")} }, anyhow("pay", "--yes", "--kind", "bearer", "--hold"), resume, nil},
		{"an exchange", nil, anyhow("exchange"), resume, nil},
		{"a refund", (*street).refundable, anyhow("refund", "--"), resume, nil},
	}
}

// points returns how often a process arrived at each point since its list was
// begun, and begins it anew.
func (s *street) points(who string) map[string]int {
	s.t.Helper()
	raw, err := os.ReadFile(s.path(who + ".points"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	check(s.t, s.remove(who+".points"))
	out := map[string]int{}
	for name := range strings.FieldsSeq(string(raw)) {
		out[name]++
		s.arrivedAt[name] = true
	}
	return out
}

// play does an act once, undisturbed, and returns the points that everybody
// arrived at.
func (s *street) play(a act) map[string]map[string]int {
	s.t.Helper()
	args := s.args(a)
	for _, who := range everybody() {
		s.points(who)
	}
	a.do(s, args)
	out := map[string]map[string]int{}
	for _, who := range everybody() {
		out[who] = s.points(who)
	}
	a.finish(s, args)
	s.settled(a.name)
	return out
}

func (s *street) args(a act) []string {
	if a.prepare == nil {
		return nil
	}
	return a.prepare(s)
}

// interrupt does an act while one process is killed at a point.
func (s *street) interrupt(a act, who, point string) {
	s.t.Helper()
	args := s.args(a)
	s.write(who+".fault", []byte(point))
	a.do(s, args)
	switch who {
	case atBank:
		s.died(s.bank, a, point)
	case atTill:
		s.died(s.till, a, point)
	}
	check(s.t, s.remove(who+".fault"))
	switch who {
	case atBank:
		s.openBank()
	case atTill:
		s.openTill()
	}
	a.finish(s, args)
	s.settled(fmt.Sprintf("%s, the %s killed at %s", a.name, who, point))
	s.killed++
}

// died waits for a daemon's death by the point.
func (s *street) died(d *daemon, a act, point string) {
	s.t.Helper()
	select {
	case <-d.done:
	case <-time.After(10 * time.Second):
		s.t.Fatalf("%s: nobody was killed at %s", a.name, point)
	}
	if !killedBy(d.ProcessState, syscall.SIGKILL) {
		s.t.Fatalf("%s at %s: the daemon ended with %v", a.name, point, d.ProcessState)
	}
}

// settled fails unless the books balance and value is conserved: what was
// funded is on accounts or in the purse, and what circulates is in the purse.
func (s *street) settled(when string) {
	s.t.Helper()
	var books issuerclient.Books
	unmarshal(s.t, s.run("--json", "books", "--socket", "issuer.sock"), &books)
	class := map[string]int64{}
	for _, c := range books.Classes {
		class[c.Class] = c.Balance
	}
	var held coin.Amount
	for _, who := range s.purses {
		held += s.holds(who)
	}
	if !books.Balanced || class["circulation"] != int64(held) ||
		class["holder"]+class["merchant"]+class["circulation"] != s.funded || class["reserve"] != -s.funded {
		s.t.Fatalf("%s: books %+v, in purses %d", when, class, held)
	}
	taken := s.sum("takings", "deposited") - s.sum("refunds", "done")
	if open := s.sum("takings", "submitted") + s.sum("refunds", "submitted"); open != 0 {
		s.t.Fatalf("%s: the till has %d whose outcome is open", when, open)
	}
	if taken != class["merchant"] {
		s.t.Fatalf("%s: the till took %d, its account holds %d", when, taken, class["merchant"])
	}
}

// holds is what is in a purse, all of it free.
func (s *street) holds(who string) coin.Amount {
	s.t.Helper()
	var b wallet.Balance
	unmarshal(s.t, s.people(who, 0, "--json", "balance"), &b)
	if b.Committed != 0 {
		s.t.Fatalf("%d are stuck in %s, %d are free", b.Committed, who, b.Total)
	}
	return b.Total
}

// sum adds up what the till lists in a state.
func (s *street) sum(list, state string) (total int64) {
	s.t.Helper()
	var rows []struct {
		State  string      `json:"state"`
		Amount coin.Amount `json:"amount"`
	}
	unmarshal(s.t, s.people(atTill, 0, "--json", "merchant", list), &rows)
	for _, x := range rows {
		if x.State == state {
			total += int64(x.Amount)
		}
	}
	return total
}

// playAndKill does an act once in peace and once for each point, where it is cut short.
func (s *street) playAndKill(a act) {
	s.t.Helper()
	begun, before := time.Now(), s.killed
	seen := s.play(a)
	for _, who := range everybody() {
		for _, point := range a.at(who, seen[who]) {
			s.interrupt(a, who, point)
		}
	}
	s.t.Logf("%s: %d kills in %v", a.name, s.killed-before, time.Since(begun).Round(time.Second))
}

func TestWhoeverIsKilledWhereverNothingIsLostOrDoneTwice(t *testing.T) {
	s := newStreet(t)
	s.people(atPurse, 0, "withdraw", "3.00")
	begun := time.Now()
	for _, a := range acts() {
		s.playAndKill(a)
	}
	s.openPeople()
	for _, a := range peoplesActs() {
		s.playAndKill(a)
	}
	s.run("audit", "--socket", "issuer.sock")
	for _, name := range pointsInTheTree(t) {
		if !s.arrivedAt[name] && !strings.HasPrefix(name, "postgres.") {
			t.Errorf("nobody arrived at %s", name)
		}
	}
	t.Logf("%d kills in %v, at %v", s.killed, time.Since(begun).Round(time.Second), sortedKeys(s.arrivedAt))
}

// pointsInTheTree are the names of all points in the sources.
func pointsInTheTree(t *testing.T) (out []string) {
	t.Helper()
	point := regexp.MustCompile(`fault\.Point\("([a-z.]+)"\)`)
	check(t, filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "testdata" {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		raw, err := os.ReadFile(path)
		for _, m := range point.FindAllSubmatch(raw, -1) {
			out = append(out, string(m[1]))
		}
		return err
	}))
	if len(out) < 12 {
		t.Fatalf("the points are not found: %v", out)
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
