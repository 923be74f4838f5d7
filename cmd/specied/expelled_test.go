package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/groupdoc/warrant/warranttest"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/opening/openingtest"
)

// court is a group with two members, its supervisors and their register.
type court struct {
	*warranttest.Court
	id       group.ID
	eva, ada *openingtest.Member
	now      time.Time
}

func newCourt(t *testing.T) *court {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	g := groupdoctest.New(t, now, attest.GroupKeyTemplate(), [32]byte{1})
	c := &court{Court: warranttest.New(g), now: now}
	doc := g.Document(t)
	c.id = doc.GroupID()
	for name, m := range map[string]**openingtest.Member{"Eva": &c.eva, "Ada": &c.ada} {
		key, err := openingtest.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		if *m, err = openingtest.Admit(t.Context(), doc.Parameters(), g.Issuer, doc.Current.Number, name, key, nil); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// listed says whether a payment of the member's made now is refused.
func (c *court) listed(t *testing.T, e *expelled, m *openingtest.Member) bool {
	t.Helper()
	list := e.list(c.id)
	if list == nil {
		return false
	}
	v, err := c.Document(t).Verifier(c.now)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Present(t.Context(), m.Key, []byte("a payment"), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = coin.Refusing(coin.NewPresentationVerifier(v), list).VerifyPresentation(p.Bytes(), []byte("a payment"), nil)
	if err != nil && !errors.Is(err, coin.ErrExpelled) {
		t.Fatal(err)
	}
	return err != nil
}

func put(t *testing.T, dir, name string, data []byte, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAWarrantToExpelStrikesAMemberOffUntilItEnds(t *testing.T) {
	c, dir := newCourt(t), t.TempDir()
	put(t, dir, "eva.json", openingtest.Token(t, c.Court, c.eva, warrant.Expel, c.now), 0o600)
	put(t, dir, "README", []byte("not a token"), 0o644)
	e, err := newExpelled(c.Root, map[string]string{groupdoctest.Name: dir}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if !c.listed(t, e, c.eva) || c.listed(t, e, c.ada) {
		t.Fatal("Eva is struck off, Ada is not")
	}
	if e.list(group.ID{1}) != nil {
		t.Fatal("another group has a list")
	}
	put(t, dir, "ada.json", openingtest.Token(t, c.Court, c.ada, warrant.Expel, c.now), 0o600)
	files, err := e.read()
	if err == nil {
		err = e.take(files)
	}
	if err != nil || !c.listed(t, e, c.ada) || !c.listed(t, e, c.eva) {
		t.Fatalf("Ada too: %v", err)
	}
	e.now = func() time.Time { return c.now.AddDate(0, 0, 30) }
	if e.list(c.id) != nil {
		t.Fatal("the warrants are over")
	}
}

func TestListsOfExpelledMembersThatAreRefused(t *testing.T) {
	c := newCourt(t)
	good := openingtest.Token(t, c.Court, c.eva, warrant.Expel, c.now)
	other := newCourt(t)
	cases := []struct {
		name string
		put  func(dir string)
		want error
	}{
		{"a warrant to trace", func(dir string) {
			put(t, dir, "t.json", openingtest.Token(t, c.Court, c.ada, warrant.Trace, c.now), 0o600)
		}, errExpelled},
		{"under another root", func(dir string) {
			put(t, dir, "t.json", openingtest.Token(t, other.Court, other.eva, warrant.Expel, c.now), 0o600)
		}, nil},
		{"a file that others can read", func(dir string) { put(t, dir, "t.json", good, 0o644) }, errConfig},
		{"a file that is no token", func(dir string) { put(t, dir, "t.json", []byte("{}"), 0o600) }, opening.ErrMalformed},
		{"a file too large", func(dir string) { put(t, dir, "t.json", make([]byte, opening.MaxToken+1), 0o600) }, errConfig},
		{"no such directory", func(dir string) { _ = os.Remove(dir) }, fs.ErrNotExist},
	}
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "expelled")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			put(t, dir, "good.json", good, 0o600)
			// The one in force stays when another one does not read.
			e, err := newExpelled(c.Root, map[string]string{groupdoctest.Name: dir}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if k.want == fs.ErrNotExist {
				_ = os.RemoveAll(dir)
			}
			k.put(dir)
			files, err := e.read()
			if err == nil {
				err = e.take(files)
			}
			if err == nil || k.want != nil && !errors.Is(err, k.want) {
				t.Fatalf("got %v", err)
			}
			if !c.listed(t, e, c.eva) {
				t.Fatal("what was in force is lost")
			}
			if _, err := newExpelled(c.Root, map[string]string{groupdoctest.Name: dir}, slog.New(slog.DiscardHandler)); err == nil {
				t.Fatal("a bank starts with it")
			}
		})
	}
	if _, err := newExpelled(c.Root, map[string]string{"OTHERGROUP": dirWith(t, good)}, slog.New(slog.DiscardHandler)); !errors.Is(err, errExpelled) {
		t.Fatalf("another group's directory: %v", err)
	}
}

func TestACertificateThatRunsOutEndsNobodysExpulsion(t *testing.T) {
	c := newCourt(t)
	var log lockedBuffer
	dirs := map[string]string{groupdoctest.Name: dirWith(t, openingtest.Token(t, c.Court, c.eva, warrant.Expel, c.now))}
	e, err := newExpelled(c.Root, dirs, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	files, err := e.read()
	if err != nil {
		t.Fatal(err)
	}
	// Past the group's certificates, not past the root's.
	later := func() time.Time { return c.now.AddDate(1, 1, 0) }
	e.now = later
	if err := e.take(files); err != nil || len(e.groups[c.id].tokens) != 1 {
		t.Fatalf("what was in force is lost: %v", err)
	}
	fresh := &expelled{root: c.Root, dirs: dirs, log: e.log, now: later, groups: map[group.ID]*struckOff{}}
	if err := fresh.take(files); err != nil || fresh.list(c.id) != nil {
		t.Fatalf("a bank that starts later: %v", err)
	}
	if !strings.Contains(log.String(), "not taken: have it combined anew") {
		t.Fatalf("nobody is told: %s", log.String())
	}
}

func TestTheDocumentedSettingNamesTheDirectory(t *testing.T) {
	page := string(must(os.ReadFile(filepath.Join("..", "..", "docs", "supervision.md")))(t))
	_, rest, found := strings.Cut(page, "```yaml\ngroups:\n")
	if !found {
		t.Fatal("docs/supervision.md does not show it")
	}
	block, _, _ := strings.Cut(rest, "```")
	var cfg issuerConfig
	path := file(t, "groups:\n"+block)
	dir := must(loadYAML(path, &cfg))(t)
	if got := expelledDirs(dir, cfg.Groups)["DEMOGROUP"]; got != filepath.Join(filepath.Dir(path), "expelled") {
		t.Fatalf("the directory is %q", got)
	}
}

func dirWith(t *testing.T, token []byte) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "t.json", token, 0o600)
	return dir
}

func TestATokenThatComesIsTakenUpWhileTheBankWorks(t *testing.T) {
	c, dir := newCourt(t), t.TempDir()
	var log lockedBuffer
	e, err := newExpelled(c.Root, map[string]string{groupdoctest.Name: dir}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || e.list(c.id) != nil {
		t.Fatalf("an empty directory: %v", err)
	}
	token := openingtest.Token(t, c.Court, c.eva, warrant.Expel, c.now)
	e.every = 10 * time.Millisecond
	done := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		e.watch(ctx, nil)
	}()
	path := put(t, dir, "eva.json", token, 0o600)
	eventually(t, "the token is in force", func() bool { return e.list(c.id) != nil })
	half := put(t, dir, "half.json", token[:len(token)/2], 0o600)
	eventually(t, "half a file is complained of", func() bool { return strings.Contains(log.String(), "half.json") })
	if e.list(c.id) == nil {
		t.Fatal("half a file ends the list")
	}
	if err := os.Remove(half); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the token is gone", func() bool { return e.list(c.id) == nil })
	stop()
	<-done
}

// lockedBuffer is a log that one goroutine writes and another reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
