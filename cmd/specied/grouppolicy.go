package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/registration"
)

// policyFiles are the files that a group manager's policy stands in.
type policyFiles struct {
	roots            string
	pin              *[32]byte // of the roots' manifest
	leaked, platform string    // none if empty
	software         bool
}

func (b base) policyFiles(cfg *groupConfig) (*policyFiles, error) {
	f := &policyFiles{software: cfg.InsecureSoftwareTPM}
	if cfg.EKRoots.Dir == "" {
		return nil, fmt.Errorf("%w: ek_roots: dir is missing", errConfig)
	}
	f.roots = b.path(cfg.EKRoots.Dir)
	if pin := cfg.EKRoots.ManifestSHA256; pin != "" {
		sum, err := hex.DecodeString(pin)
		if err != nil || len(sum) != 32 {
			return nil, fmt.Errorf("%w: ek_roots: manifest_sha256 is not 64 hex digits", errConfig)
		}
		f.pin = (*[32]byte)(sum)
	}
	if cfg.Leaked != "" {
		f.leaked = b.path(cfg.Leaked)
	}
	if cfg.Platform != "" {
		f.platform = b.path(cfg.Platform)
	}
	return f, nil
}

// load reads the policy.
func (f *policyFiles) load() (p registration.Policy, err error) {
	p.SoftwareTPMs = f.software
	if p.EKRoots, err = attest.LoadRoots(f.roots, f.pin); err != nil {
		return p, err
	}
	if f.leaked != "" {
		text, err := readFile(f.leaked)
		if err != nil {
			return p, err
		}
		if p.Leaked, err = parseLeaked(text); err != nil {
			return p, fmt.Errorf("%s: %w", f.leaked, err)
		}
	}
	if f.platform != "" {
		text, err := readFile(f.platform)
		if err != nil {
			return p, err
		}
		if p.Platform, err = groupdoc.ParsePlatform(text); err != nil {
			return p, fmt.Errorf("%s: %w", f.platform, err)
		}
	}
	return p, nil
}

// parseLeaked reads scalars of broken TPMs: 64 hex digits a line; empty lines,
// and what follows a number sign, are left aside. That each is a scalar of the
// group, registration checks. Errors never repeat a line.
func parseLeaked(text []byte) ([][]byte, error) {
	var out [][]byte
	seen := make(map[[32]byte]bool)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		f, err := hex.DecodeString(line)
		if err != nil || len(f) != 32 {
			return nil, fmt.Errorf("%w: line %d is not 64 hex digits", errConfig, n)
		}
		if seen[[32]byte(f)] {
			return nil, fmt.Errorf("%w: line %d stands there before", errConfig, n)
		}
		seen[[32]byte(f)] = true
		if out = append(out, f); len(out) > groupdoc.MaxLeaked {
			return nil, fmt.Errorf("%w: more than %d leaked keys", errConfig, groupdoc.MaxLeaked)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	return out, nil
}

// state tells one state of the files from another, by names, sizes and times.
func (f *policyFiles) state() [32]byte {
	h := sha256.New()
	note := func(path string) {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(h, "%q: %v\n", path, err)
			return
		}
		fmt.Fprintf(h, "%q %d %d %s\n", path, info.Size(), info.ModTime().UnixNano(), info.Mode())
	}
	entries, err := os.ReadDir(f.roots)
	fmt.Fprintf(h, "%d %v\n", len(entries), err)
	for _, e := range entries {
		note(filepath.Join(f.roots, e.Name()))
	}
	for _, path := range []string{f.leaked, f.platform} {
		if path != "" {
			note(path)
		}
	}
	return [32]byte(h.Sum(nil))
}

// policyWatch brings the files' policy into force when they change. What the
// manager refuses leaves the old one in force.
type policyWatch struct {
	files   *policyFiles
	manager interface {
		Reload(ctx context.Context, p registration.Policy) error
	}
	log     *slog.Logger
	results *prometheus.CounterVec
	every   time.Duration // watchEvery if zero
	// at is the state that is in force already.
	at [32]byte
}

// newPolicyResults counts policies that were to come into force.
func newPolicyResults() *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "specie_group_policy_reload_total",
		Help: "Lists of manufacturers, leaked keys and platforms that were to come into force, by what became of them.",
	}, []string{"result"})
	for _, result := range []string{"taken", "refused"} { // a rate begins at zero
		c.WithLabelValues(result)
	}
	return c
}

// errChanging: the files are not what they were when they were looked at.
var errChanging = errors.New("the files change while they are read")

func (w *policyWatch) run(ctx context.Context, hup <-chan os.Signal) {
	first := true
	var state [32]byte
	l := looker{
		every: w.every,
		state: func() [32]byte { state = w.files.state(); return state },
		take: func(ctx context.Context) error {
			if first && state == w.at {
				first = false
				return nil
			}
			first = false
			p, err := w.files.load()
			if err == nil && w.files.state() != state {
				err = errChanging // and what was read may be half of each
			}
			if err == nil {
				err = w.manager.Reload(ctx, p)
			}
			if err == nil {
				w.results.WithLabelValues("taken").Inc()
			}
			return err
		},
		refused: func(err error, pause time.Duration) {
			w.results.WithLabelValues("refused").Inc()
			w.log.WarnContext(ctx, "policy not taken, the old one stays in force", "error", err, "again_in", pause)
		},
	}
	l.run(ctx, hup)
}
