package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/trust"
)

// maxExpelled bounds the tokens of one group: each costs every deposit a
// pairing.
const maxExpelled = 1000

var errExpelled = errors.New("not a token to expel a member of this group")

// expelled are the members whom supervisors struck off with a warrant to expel:
// a directory of tracing tokens for each group (specie-ceremony trace combine).
// A token counts until its warrant ends. Tokens that come, go or end are taken
// up while the bank works.
type expelled struct {
	root  *trust.Root
	dirs  map[string]string // by the manager's id
	log   *slog.Logger
	now   func() time.Time
	every time.Duration // watchEvery if zero

	mu       sync.Mutex
	groups   map[group.ID]*struckOff
	verified map[[32]byte]*opening.Token // by the file's hash
}

// struckOff are the members of one group.
type struckOff struct {
	tokens []*opening.Token
	// list is made of the tokens in force until ends, zero if there is no end
	// in sight.
	list *group.RevocationList
	ends time.Time
}

// newExpelled reads the directories. A bank does not start with files that it
// can't read or that are no such tokens: it would take a thief's coins.
func newExpelled(root *trust.Root, dirs map[string]string, log *slog.Logger) (*expelled, error) {
	e := &expelled{root: root, dirs: dirs, log: log, now: time.Now, groups: map[group.ID]*struckOff{}}
	files, err := e.read()
	if err != nil {
		return nil, err
	}
	return e, e.take(files)
}

// list returns who of a group is struck off now, or nil.
func (e *expelled) list(id group.ID) *group.RevocationList {
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.groups[id]
	if g == nil {
		return nil
	}
	now := e.now()
	if g.list == nil || !g.ends.IsZero() && !now.Before(g.ends) {
		g.make(now)
	}
	if g.list.Len() == 0 {
		return nil
	}
	return g.list
}

// make takes the tokens whose warrants are in force.
func (g *struckOff) make(now time.Time) {
	var current []*opening.Token
	g.ends = time.Time{}
	for _, t := range g.tokens {
		if !now.Before(t.Warrant.Until) {
			continue
		}
		current = append(current, t)
		if g.ends.IsZero() || t.Warrant.Until.Before(g.ends) {
			g.ends = t.Warrant.Until
		}
	}
	g.list = opening.RevocationList(current...)
}

// tokenFile is a file of one of the directories.
type tokenFile struct {
	manager, path string
	data          []byte
}

// read returns all tokens' files in a fixed order.
func (e *expelled) read() ([]tokenFile, error) {
	var out []tokenFile
	for _, manager := range slices.Sorted(maps.Keys(e.dirs)) {
		dir := e.dirs[manager]
		entries, err := os.ReadDir(dir) // by name
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if filepath.Ext(entry.Name()) != ".json" || entry.IsDir() {
				continue
			}
			if len(out) >= maxExpelled {
				return nil, fmt.Errorf("%w: more than %d tokens", errConfig, maxExpelled)
			}
			path := filepath.Join(dir, entry.Name())
			data, err := readToken(path)
			if err != nil {
				return nil, err
			}
			out = append(out, tokenFile{manager, path, data})
		}
	}
	return out, nil
}

// readToken reads a token's file, which others than its owner must not be able
// to read.
func readToken(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s: others can read it: set mode 0600", errConfig, path)
	}
	if fi.Size() > opening.MaxToken {
		return nil, fmt.Errorf("%w: %s: %d bytes", errConfig, path, fi.Size())
	}
	return os.ReadFile(path)
}

// take verifies the tokens and puts them in force, all or none. Two are left
// aside: one whose warrant is over, which lies there till somebody removes it;
// and one with a certificate that ran out, about which the log is loud. Who was
// struck off while his token verified stays it until the warrant ends.
func (e *expelled) take(files []tokenFile) error {
	now := e.now()
	groups := map[group.ID]*struckOff{}
	verified := map[[32]byte]*opening.Token{}
	for _, f := range files {
		digest := sha256.Sum256(f.data)
		t, err := e.verify(digest, f, now)
		if errors.Is(err, trust.ErrExpired) {
			e.log.Error("token to expel a member not taken: have it combined anew under the group's present document", "file", f.path, "error", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		verified[digest] = t
		id := t.Group.GroupID()
		if groups[id] == nil {
			groups[id] = &struckOff{}
		}
		groups[id].tokens = append(groups[id].tokens, t)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.groups, e.verified = groups, verified
	if len(verified) > 0 {
		e.log.Info("members struck off by warrant", "tokens", len(verified))
	}
	return nil
}

// verify returns a token's file as a token to expel a member of that manager's
// group. One that was verified before is not judged again.
func (e *expelled) verify(digest [32]byte, f tokenFile, now time.Time) (*opening.Token, error) {
	e.mu.Lock()
	t := e.verified[digest]
	e.mu.Unlock()
	if t == nil {
		var err error
		if t, err = opening.InspectToken(e.root, f.data, now); err != nil {
			return nil, err
		}
	}
	if t.Warrant.Scope != warrant.Expel || t.Group.ID != f.manager {
		return nil, fmt.Errorf("%w: it is to %s a member of %s", errExpelled, t.Warrant.Scope, t.Group.ID)
	}
	return t, nil
}

// watch takes up what changes in the directories, until ctx ends.
func (e *expelled) watch(ctx context.Context, hup <-chan os.Signal) {
	var files []tokenFile
	var err error
	l := looker{
		every: e.every,
		state: func() [32]byte {
			files, err = e.read()
			h := sha256.New()
			fmt.Fprint(h, err)
			for _, f := range files {
				fmt.Fprintf(h, "%q %d ", f.path, len(f.data))
				h.Write(f.data)
			}
			return [32]byte(h.Sum(nil))
		},
		take: func(context.Context) error {
			if err != nil {
				return err
			}
			return e.take(files)
		},
		refused: func(err error, pause time.Duration) {
			e.log.WarnContext(ctx, "list of expelled members not taken; the last one stays", "error", err, "again_in", pause)
		},
	}
	l.run(ctx, hup)
}

// expelledDirs are the directories that a configuration names.
func expelledDirs(dir base, sources []groupSource) map[string]string {
	out := map[string]string{}
	for _, s := range sources {
		if s.Expelled != "" {
			out[s.ID] = dir.path(s.Expelled)
		}
	}
	return out
}
