package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/api/apitest"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/server"
)

// authority is a group manager behind his sockets, with two members.
type authority struct {
	*registrationtest.World
	t           *testing.T
	bin, socket string
	url         string
	ada         enrol.ID
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	lab := registrationtest.NewLab(t.TempDir())
	maker := registrationtest.NewMaker(t)
	a := &authority{t: t, bin: buildSpecied(t)}
	a.World = registrationtest.NewWorld(t, lab, func(c *registration.Config) {
		c.Policy = registration.Policy{EKRoots: maker.Roots(t)}
	})
	for i, name := range []string{"Ada Lovelace", "Charles Babbage"} {
		tpm := maker.TPM(t, nil)
		s := must(a.Begin(t.Context(), tpm.BeginRequest()))(t)
		ch := must(a.Join(t.Context(), s.ID, tpm.Join(t, a.World, s, name)))(t)
		must(a.Activate(t.Context(), s.ID, registrationtest.MAC(t, tpm.Answer(t, ch), s.ID)))(t)
		if i == 0 {
			a.ada = s.ID
		}
	}
	h := server.NewGroup(a.Manager, server.GroupOptions{})
	contract := apitest.Read(t, apitest.Group)
	// A socket's path is short.
	dir := must(os.MkdirTemp("", "group"))(t)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	a.socket = filepath.Join(dir, "admin.sock")
	l := must(net.Listen("unix", a.socket))(t)
	admin := &http.Server{Handler: contract.Watch(t, h.Admin), ReadHeaderTimeout: time.Second}
	go func() { _ = admin.Serve(l) }()
	t.Cleanup(func() { _ = admin.Close() })
	public := httptest.NewServer(contract.Watch(t, h.Public))
	t.Cleanup(public.Close)
	a.url = public.URL
	return a
}

// run runs a command of the operator's.
func (a *authority) run(args ...string) (stdout, stderr string, status int) {
	a.t.Helper()
	cmd := exec.Command(a.bin, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		a.t.Fatal(err)
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// done is run for a command that must succeed, on the admin socket.
func (a *authority) done(args ...string) string {
	a.t.Helper()
	at := 1
	if args[0] == "warrant" {
		at = 2
	}
	out, said, status := a.run(slices.Insert(args, at, "--socket", a.socket)...)
	if status != 0 {
		a.t.Fatalf("%v: status %d\n%s", args, status, said)
	}
	return out
}

func TestTheOperatorsCommandsOfAGroupManager(t *testing.T) {
	a := newAuthority(t)
	list := a.done("members")
	if !strings.Contains(list, a.ada.String()) || strings.Contains(list, "Lovelace") || strings.Count(list, "active") != 2 {
		t.Errorf("members:\n%s", list)
	}
	if list = a.done("members", "--names"); !strings.Contains(list, "Ada Lovelace") || !strings.Contains(list, "Charles Babbage") {
		t.Errorf("members by name:\n%s", list)
	}
	if list = a.done("members", "--limit", "1"); !strings.Contains(list, "more: --after=") {
		t.Errorf("a page of one:\n%s", list)
	}
	var page struct {
		Members []map[string]any
		Next    string
	}
	unmarshal(t, a.done("members", "--limit", "1", "--json"), &page)
	rest := a.done("members", "--after="+page.Next)
	if len(page.Members) != 1 || strings.Count(rest, "active") != 1 || strings.Contains(rest, page.Next) {
		t.Errorf("the second page:\n%s", rest)
	}

	var m struct{ Name, State, Subject string }
	unmarshal(t, a.done("member", "--json", "--", a.ada.String()), &m)
	if m.Name != "Ada Lovelace" || m.State != "active" {
		t.Fatalf("got %+v", m)
	}
	signed := a.signed(warrant.Trace, warrant.Subject(m.Subject))
	paper := filepath.Join(t.TempDir(), "ada.jws")
	transcript := []string{"transcript", "--warrant", signed[0], "--warrant", signed[1], "--out", paper, "--", a.ada.String()}
	if _, said, status := a.run(slices.Insert(slices.Clone(transcript), 1, "--socket", a.socket)...); status != 1 || !strings.Contains(said, "not entered") {
		t.Errorf("a transcript on a warrant that was not entered: status %d, %s", status, said)
	}
	var entry struct {
		Seq     int
		Warrant string
	}
	unmarshal(t, a.done("warrant", "enter", "--json", signed[0], signed[1]), &entry)
	if entry.Seq != 1 || len(entry.Warrant) != 64 {
		t.Fatalf("entered as %+v", entry)
	}
	a.done(transcript...)
	who, err := enrol.ParseStatement(a.Group.Root, a.ReadDocument(t).Parameters(), must(os.ReadFile(paper))(t), a.Clock.Now())
	if err != nil || who.Name != "Ada Lovelace" {
		t.Fatalf("the transcript names %+v, %v", who, err)
	}
	out, said, status := a.run("warrant", "list", "--url", a.url)
	fields := strings.Fields(out)
	if status != 0 || !strings.Contains(out, "trace") || strings.Contains(out, "Lovelace") {
		t.Fatalf("status %d, %s\n%s", status, said, out)
	}
	if on := a.done("warrant", "list"); on != out {
		t.Errorf("on the socket:\n%s", on)
	}
	var register struct {
		Group   string
		Entries []struct{ Warrant, Prev, Scope string }
	}
	unmarshal(t, a.done("warrant", "list", "--json"), &register)
	if e := register.Entries; len(e) != 1 || e[0].Warrant != entry.Warrant || e[0].Warrant != fields[len(fields)-1] ||
		e[0].Prev != strings.Repeat("0", 64) || e[0].Scope != "trace" || register.Group != a.Group.Contents.ID {
		t.Errorf("the list as JSON: %+v", register)
	}
	if _, said, status := a.run("warrant", "list", "--socket", a.socket, "--url", a.url); status != 2 || !strings.Contains(said, "can't be used together") {
		t.Errorf("socket and address: status %d, %s", status, said)
	}
	dir := filepath.Join(t.TempDir(), "papers", "ada") // which is not there
	a.done("warrant", "show", "--out", dir, fields[len(fields)-1])
	if got := must(os.ReadFile(filepath.Join(dir, "warrant-2.jws")))(t); !bytes.Equal(got, must(os.ReadFile(signed[1]))(t)) {
		t.Error("the papers are others")
	}

	code, _, _ := strings.Cut(a.done("readmit", "--yes", "--", a.ada.String()), "\n")
	if _, err := enrol.ParseCode(code); err != nil {
		t.Fatalf("%q: %v", code, err)
	}
	if out := a.done("members", "--count"); !strings.Contains(out, "revoked, may be continued       1") {
		t.Errorf("counted:\n%s", out)
	}
	if out := a.done("expel", "--yes", "--", a.ada.String()); !strings.Contains(out, "expelled") {
		t.Errorf("expelled:\n%s", out)
	}
	if _, said, status := a.run("readmit", "--yes", "--socket", a.socket, "--", a.ada.String()); status != 1 || !strings.Contains(said, "expelled") {
		t.Errorf("a readmission of one who was expelled: status %d, %s", status, said)
	}
	if _, said, status := a.run("member", "--socket", a.socket, "--", enrol.ID{1}.String()); status != 1 || !strings.Contains(said, "no such member") {
		t.Errorf("nobody: status %d, %s", status, said)
	}
}

// signed is a warrant's signatures, a file each.
func (a *authority) signed(scope warrant.Scope, subject warrant.Subject) []string {
	a.t.Helper()
	court := a.Court()
	var files []string
	dir := a.t.TempDir()
	for i, jws := range court.Sign(a.t, court.Draft(scope, subject, a.Clock.Now())) {
		files = append(files, filepath.Join(dir, []string{"anna.jws", "boris.jws"}[i]))
		check(a.t, os.WriteFile(files[i], jws, 0o600))
	}
	return files
}

func TestAListOfManufacturersIsDraftedAndChecked(t *testing.T) {
	a := &authority{t: t, bin: buildSpecied(t)}
	dir := manufacturers(t)
	manifest := filepath.Join(dir, attest.Manifest)
	reviewed := must(os.ReadFile(manifest))(t)
	out, _, status := a.run("ek-roots", dir)
	roots := must(attest.LoadRoots(dir, nil))(t)
	digest := roots.Digest()
	if status != 0 || !strings.Contains(out, "INTC") || !strings.Contains(out, "manifest_sha256 "+hexOf(digest)) {
		t.Fatalf("status %d\n%s", status, out)
	}
	if strings.Contains(out, "look at this") {
		t.Errorf("doubts of a good list:\n%s", out)
	}
	var list struct {
		Manufacturers []map[string]any
		Doubts        []string
	}
	out, _, _ = a.run("ek-roots", "--json", dir)
	unmarshal(t, out, &list)
	if keys := slices.Sorted(maps.Keys(list.Manufacturers[0])); list.Doubts == nil ||
		!slices.Equal(keys, []string{"ek", "firmware_rules", "id", "intermediates", "roots", "software"}) {
		t.Errorf("as JSON:\n%s", out)
	}
	if _, said, status := a.run("ek-roots", "--write", dir); status != 1 || !strings.Contains(said, "there is a manifest already: "+manifest) ||
		!strings.Contains(said, "hint: without --write it is checked") {
		t.Fatalf("a manifest was written over: status %d, %s", status, said)
	}
	swtpm := must(os.ReadFile(filepath.Join("..", "..", "attest", "testdata", "swtpm", "roots.pem")))(t)
	ibm := t.TempDir()
	check(t, os.WriteFile(filepath.Join(ibm, "swtpm.pem"), swtpm, 0o600))
	check(t, attest.WriteManifest(ibm))
	ibms := bytes.ReplaceAll(must(os.ReadFile(filepath.Join(ibm, attest.Manifest)))(t), []byte("00001014"), []byte("IBM"))
	check(t, os.WriteFile(filepath.Join(ibm, attest.Manifest), ibms, 0o600))
	if out, _, status = a.run("ek-roots", ibm); status != 0 || !strings.Contains(out, "look at this: swtpm.pem is listed for IBM") {
		t.Errorf("swtpm's root under IBM: status %d\n%s", status, out)
	}
	check(t, os.Remove(manifest))
	if out, _, status = a.run("ek-roots", dir); status != 0 || !strings.Contains(out, "version: 1") {
		t.Fatalf("the draft: status %d\n%s", status, out)
	}
	if _, err := os.Stat(manifest); err == nil {
		t.Fatal("the draft was written unasked")
	}
	if _, said, status := a.run("ek-roots", "--write", dir); status != 0 {
		t.Fatal(said)
	}
	if drafted := must(os.ReadFile(manifest))(t); !bytes.Equal(bytes.ReplaceAll(drafted, []byte(`"?"`), []byte("INTC")), reviewed) {
		t.Errorf("the draft is\n%s", drafted)
	}
}

func hexOf(b [32]byte) string {
	const digits = "0123456789abcdef"
	var out strings.Builder
	for _, c := range b {
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}

func TestLeakedKeysAreReadLineByLine(t *testing.T) {
	one, two := strings.Repeat("01", 32), strings.Repeat("0A", 32)
	got, err := parseLeaked([]byte("# broken TPMs\n\n" + one + "\n  " + two + "  # the second\n"))
	if err != nil || len(got) != 2 || got[0][0] != 1 || got[1][31] != 10 {
		t.Fatalf("got %x, %v", got, err)
	}
	if got, err = parseLeaked(nil); err != nil || len(got) != 0 {
		t.Fatalf("an empty file: %x, %v", got, err)
	}
	for name, text := range map[string]string{
		"half a key":         one[:32],
		"too long a key":     one + "00",
		"no hex digit":       "g" + one[1:],
		"two keys on a line": one + " " + two,
		"the same key twice": one + "\n" + one,
		"too many keys":      many(groupdoc.MaxLeaked + 1),
		"an endless line":    strings.Repeat("0", 1<<17),
	} {
		if _, err := parseLeaked([]byte(text)); !errors.Is(err, errConfig) || strings.Contains(err.Error(), one[:16]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// many is n different keys.
func many(n int) string {
	var out strings.Builder
	for i := range n {
		out.WriteString(hexOf([32]byte{30: byte(i >> 8), 31: byte(i)}) + "\n")
	}
	return out.String()
}

func FuzzParseLeaked(f *testing.F) {
	f.Add([]byte(strings.Repeat("01", 32) + "\n# comment\n"))
	f.Add([]byte("\r\n\t"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseLeaked(text)
		if err == nil && len(keys) > groupdoc.MaxLeaked {
			t.Fatal("too many")
		}
		for _, k := range keys {
			if len(k) != 32 {
				t.Fatalf("%d bytes", len(k))
			}
		}
	})
}

func TestAGroupManagersConfigurationIsChecked(t *testing.T) {
	for _, c := range []struct{ name, yaml string }{
		{"no directory of manufacturers", "{id: G}"},
		{"a pin that is no digest", "{ek_roots: {dir: d, manifest_sha256: abc}}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cfg groupConfig
			dir, err := loadYAML(file(t, c.yaml), &cfg)
			check(t, err)
			if _, err := dir.policyFiles(&cfg); !errors.Is(err, errConfig) {
				t.Fatalf("got %v", err)
			}
		})
	}
	roots := manufacturers(t)
	digest := must(attest.LoadRoots(roots, nil))(t).Digest()
	for name, pin := range map[string]string{"the pin of the list": hexOf(digest), "another pin": strings.Repeat("00", 32)} {
		cfg := groupConfig{EKRoots: rootsConfig{Dir: roots, ManifestSHA256: pin}}
		files := must(base("/").policyFiles(&cfg))(t)
		if _, err := files.load(); (err == nil) != (pin == hexOf(digest)) || err != nil && !errors.Is(err, attest.ErrRoots) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// clerk is a manager as far as a policyWatch sees him.
type clerk struct {
	mu     sync.Mutex
	leaked []int // of each policy that came
	refuse error
}

func (c *clerk) Reload(_ context.Context, p registration.Policy) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaked = append(c.leaked, len(p.Leaked))
	return c.refuse
}

func (c *clerk) came() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.leaked)
}

func TestAPolicyIsTakenUpWhenItsFilesChange(t *testing.T) {
	dir := base(t.TempDir())
	roots := manufacturers(t)
	put := func(path, text string) { // in one step
		check(t, os.WriteFile(string(dir)+".new", []byte(text), 0o600))
		check(t, os.Rename(string(dir)+".new", path))
	}
	leaked := dir.path("leaked.txt")
	put(leaked, "")
	cfg := groupConfig{EKRoots: rootsConfig{Dir: roots}, Leaked: "leaked.txt"}
	files := must(dir.policyFiles(&cfg))(t)
	manager := &clerk{}
	w := &policyWatch{
		files: files, manager: manager, log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		results: newPolicyResults(), every: time.Millisecond, at: files.state(),
	}
	ctx, stop := context.WithCancel(t.Context())
	hup, done := make(chan os.Signal, 1), make(chan struct{})
	go func() { defer close(done); w.run(ctx, hup) }()
	t.Cleanup(func() { stop(); <-done })
	count := func(result string) float64 { return counted(t, w.results, result) }

	time.Sleep(50 * time.Millisecond)
	if got := manager.came(); len(got) != 0 {
		t.Fatalf("what is in force already came again: %v", got)
	}
	key := strings.Repeat("01", 32)
	put(leaked, key)
	eventually(t, "the leaked key did not come", func() bool { return slices.Equal(manager.came(), []int{1}) })
	eventually(t, "it was not counted", func() bool { return count("taken") == 1 })

	put(leaked, key[:10]) // as an editor leaves it half written
	eventually(t, "a bad file was not counted", func() bool { return count("refused") > 0 })
	if got := manager.came(); len(got) != 1 {
		t.Fatalf("a bad file came: %v", got)
	}
	put(leaked, key+"\n"+strings.Repeat("02", 32))
	eventually(t, "the next file did not come", func() bool { return slices.Equal(manager.came(), []int{1, 2}) })

	manifest := filepath.Join(roots, attest.Manifest)
	text := must(os.ReadFile(manifest))(t)
	check(t, os.Remove(manifest))
	refused := count("refused")
	eventually(t, "a list without its manifest was not refused", func() bool { return count("refused") > refused })
	put(manifest, string(text)+"# reviewed\n")
	eventually(t, "the list did not come", func() bool { return len(manager.came()) == 3 })

	hup <- syscall.SIGHUP
	eventually(t, "a signal had nothing read", func() bool { return len(manager.came()) == 4 })
	var buf bytes.Buffer
	check(t, json.NewEncoder(&buf).Encode(manager.came()))
	if buf.String() != "[1,2,2,2]\n" {
		t.Fatalf("came %s", buf.String())
	}
}

// counted is a counter's value for one result.
func counted(t *testing.T, c prometheus.Collector, result string) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families := must(r.Gather())(t)
	for _, m := range families[0].GetMetric() {
		if m.GetLabel()[0].GetValue() == result {
			return m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no %s", result)
	return 0
}
