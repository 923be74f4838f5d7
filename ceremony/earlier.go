package ceremony

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
)

// Check does everything that Run does before approvals are counted: outputs
// are free, inputs are there and verify at the given time. It touches nothing.
func (p *Plan) Check(at time.Time) error {
	at = at.UTC().Truncate(time.Second)
	if _, err := p.earlier(at); err != nil {
		return err
	}
	_, err := p.prepare(&desk{plan: p, at: at})
	return err
}

// earlier is what an interrupted run of this plan left, nil if there was none:
// then every output is free.
func (p *Plan) earlier(at time.Time) (*transcript.Transcript, error) {
	path := p.TranscriptPath()
	// A crash may have torn the last line, or have come before the first.
	t, err := transcript.ReadUnfinished(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, paper.Free(append(p.places(nil), path)...)
	}
	if err != nil {
		return nil, err
	}
	if t.Ended() {
		return nil, fmt.Errorf("%s: the ceremony is over: %w", path, paper.ErrExists)
	}
	if len(t.Entries) == 0 {
		return t, paper.Free(p.places(nil)...)
	}
	if err := p.owns(t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := inOrder(t, path, at); err != nil {
		return nil, err
	}
	// What is signed bears the time at which the transcript began: everything
	// that it rests on must have been there by then.
	if _, err := p.prepare(&desk{plan: p, at: t.Entries[0].At}); err != nil {
		return nil, fmt.Errorf("%s: when it began: %w", path, err)
	}
	known, err := remember(t)
	if err != nil {
		return nil, err
	}
	return t, paper.Free(p.places(known.outputs)...)
}

// inOrder refuses a transcript whose times go back, or beyond now.
func inOrder(t *transcript.Transcript, path string, now time.Time) error {
	last := t.Entries[0].At
	for i := range t.Entries {
		e := &t.Entries[i]
		if e.At.Before(last) {
			return fmt.Errorf("%w: %s: entry %d is of %s, before the one above it", ErrClock, path, e.Seq, e.At.Format(instantLayout))
		}
		last = e.At
	}
	if now.Before(last) {
		return fmt.Errorf("%w: it says %s, and %s goes on to %s", ErrClock, now.Format(instantLayout), path, last.Format(instantLayout))
	}
	return nil
}

// places are where outputs that are not settled yet will lie. What an
// interrupted run of this plan staged is its own.
func (p *Plan) places(settled map[string]transcript.Hash) []string {
	var out []string
	for _, o := range p.body.outputs() {
		if _, ok := settled[o.path]; ok {
			continue
		}
		out = append(out, p.path(o.path))
		if settled == nil {
			out = append(out, p.path(o.path)+paper.PartSuffix)
		}
	}
	return out
}

// owns refuses a transcript of another plan, or one that says another thing
// of this plan than a run of it would: it would be signed in the end.
func (p *Plan) owns(t *transcript.Transcript) error {
	opened, err := t.Opened()
	if err != nil {
		return err
	}
	digest, err := p.Digest()
	if err != nil {
		return err
	}
	if opened.Digest != digest {
		return fmt.Errorf("%w: %s with digest %s…; run that plan to its end, or abandon it",
			ErrInterrupted, opened.Ceremony, approval.Hex(opened.Digest)[:19])
	}
	if opened.Ceremony != string(p.Kind) || string(opened.Plan) != string(p.text) || !slices.Equal(opened.Inputs, p.inputs()) ||
		string(opened.Roster) != string(p.files[0].data) {
		return fmt.Errorf("%w: it has this plan's digest, and another text, inputs or officers; abandon it", ErrInterrupted)
	}
	return nil
}

// Abandon gives an interrupted ceremony up, whatever plan it was of: p says
// where its transcript is, and the transcript says the rest. No output is
// left, not even one that was in its place already; the keys that were made
// stay in their tokens, and the transcript and the error-free result name
// them ("token/label"). Of one that was only about to be made nobody knows
// whether it is there: the result says "token/label (perhaps)".
//
// Nobody has signed which files are that transcript's. One of another plan
// takes none away but such as lie beside it and are not this plan's inputs; if
// it names more, it is abandoned with its own plan only (ErrInterrupted).
//
// Other errors: fs.ErrNotExist if there is nothing to abandon,
// transcript.ErrClosed, transcript.ErrAbandoned.
func (r *Runner) Abandon(_ context.Context, p *Plan, reason string) ([]string, error) {
	if strings.TrimSpace(reason) == "" {
		return nil, fmt.Errorf("%w: a ceremony is abandoned for a reason", ErrInput)
	}
	w, err := transcript.Resume(p.TranscriptPath(), r.clock())
	if err != nil {
		return nil, err
	}
	defer w.Release()
	if len(w.Transcript().Entries) == 0 {
		return nil, errors.Join(w.Release(), os.Remove(p.TranscriptPath()))
	}
	opened, err := w.Transcript().Opened()
	if err != nil {
		return nil, err
	}
	known, err := remember(w.Transcript())
	if err != nil {
		return nil, err
	}
	was, err := Parse([]byte(opened.Plan), p.dir)
	if err != nil {
		return nil, err
	}
	if own, ok := p.body.(*supervisorsPlan); ok && own.me != "" {
		if was, err = was.As(own.me); err != nil {
			return nil, err
		}
	}
	leaves := make(map[string]transcript.Hash)
	if own, ok := was.body.(*supervisorsPlan); ok && own.me != "" {
		leaves[was.path(own.exchanged("dealing", own.me))] = known.outputs[own.dealing(own.me)]
	}
	for _, out := range was.body.outputs() {
		leaves[was.path(out.path)] = known.outputs[out.path]
	}
	if err := p.owns(w.Transcript()); err != nil {
		if err := p.spares(leaves); err != nil {
			return nil, err
		}
	}
	for path, sum := range leaves {
		if err := withdraw(path, sum); err != nil {
			return nil, err
		}
	}
	names := slices.Sorted(maps.Keys(known.keys))
	left := []string{}
	for _, name := range names {
		if known.keys[name].made == nil {
			name += " (perhaps)"
		}
		left = append(left, name)
	}
	if names == nil {
		names = []string{}
	}
	return left, w.Abandon(transcript.Abandoned{Reason: reason, Keys: names})
}

// spares refuses to take files away, for the transcript of another plan, that
// do not lie beside the transcript or that this plan reads.
func (p *Plan) spares(files map[string]transcript.Hash) error {
	for path := range files {
		if filepath.Dir(path) != filepath.Dir(p.TranscriptPath()) {
			return fmt.Errorf("%w: another plan's, and %s does not lie beside its transcript; abandon it with that plan", ErrInterrupted, path)
		}
		for _, in := range inputsOf(p.body) {
			if filepath.Clean(p.path(in.path)) == filepath.Clean(path) {
				return fmt.Errorf("%w: another plan's, and %s is an input of this one", ErrInterrupted, path)
			}
		}
	}
	return nil
}

// withdraw takes an output away, if it is the one that the transcript names,
// and its part.
func withdraw(path string, sum transcript.Hash) error {
	data, err := paper.Read(path, maxOutput)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case sha256.Sum256(data) == sum:
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return paper.Unstage(path)
}
