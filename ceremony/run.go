package ceremony

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/hsm"
)

// Runner runs plans.
type Runner struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger gets one record per step; nil is silence.
	Logger *slog.Logger
	// Progress is called after each key, of the rehearsal first and then of
	// the ceremony; total counts both. nil is silence.
	Progress func(done, total int)
	// Approvals are the officers' files. A ceremony that is taken up again has
	// them in its transcript already, and these are not looked at.
	Approvals [][]byte
	// AskPIN reads a PIN where a URI names no source; nil refuses those.
	AskPIN func(prompt string) (hsm.PIN, error)
	// Build says which program this is; the zero value asks the Go runtime.
	Build transcript.Build
	// SoftHSM is the library to rehearse on, by absolute path; "" looks where
	// packages put it.
	SoftHSM string

	interrupt func(step string) error // see live.interrupt
}

// Key is a key that a ceremony made.
type Key struct {
	Token string `json:"token"`
	Label string `json:"label"`
	Kind  string `json:"kind"` // "EC P-384", "RSA 3072", "AES 256"
	// ID is the hex SHA-256 of the public key's SubjectPublicKeyInfo, for a
	// denomination key its key id; empty for a secret key.
	ID string `json:"id,omitempty"`
}

// Output is a file that a ceremony left.
type Output struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // hex
}

// Result says what a ceremony did.
type Result struct {
	Ceremony   Kind            `json:"ceremony"`
	Plan       string          `json:"digest"`  // hex, see Plan.Digest
	At         time.Time       `json:"at"`      // when it began
	Resumed    bool            `json:"resumed"` // an earlier run was interrupted
	Tokens     []hsm.TokenInfo `json:"tokens"`
	Keys       []Key           `json:"keys"`
	Outputs    []Output        `json:"outputs"`
	Transcript string          `json:"transcript"` // path
}

// agreement is who agreed to a ceremony.
type agreement struct {
	rosters   [][]byte
	approvals [][]byte
	follows   *transcript.Hash
}

// Run performs the plan: it checks plan, inputs, clock and approvals; rehearses
// all of it on throw-away tokens (ErrRehearsal); then opens the real ones and
// acts. If the plan's transcript is there and was not ended, the ceremony is
// taken up where it stopped. On an error after a key was made, the returned
// Result says which keys are there; the same Run goes on from them, or
// Abandon gives up.
//
// SoftHSM has one configuration per process: while Run rehearses, it sets
// SOFTHSM2_CONF.
func (r *Runner) Run(ctx context.Context, p *Plan) (*Result, error) {
	at := r.clock()()
	earlier, err := p.earlier(at)
	if err != nil {
		return nil, err
	}
	d := &desk{plan: p, at: at}
	perform, err := p.prepare(d)
	if err != nil {
		return nil, err
	}
	agreed, err := r.agree(d, earlier)
	if err != nil {
		return nil, err
	}
	l, err := r.live(p, agreed, earlier)
	if err != nil {
		return nil, err
	}
	b := &bench{stage: l, at: at, log: l.log, planned: p.body.made(), agreed: agreed}
	if earlier != nil && len(earlier.Entries) > 0 {
		b.at = earlier.Entries[0].At
	}
	if !l.wasRehearsed {
		if l.rehearsed, err = r.rehearse(ctx, p, perform, *b); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRehearsal, err)
		}
	}
	b.progress = r.half(l.rehearsed != nil)
	return r.act(ctx, b, l, perform)
}

// act performs on real tokens.
func (r *Runner) act(ctx context.Context, b *bench, l *live, perform act) (*Result, error) {
	res := &Result{
		Ceremony: l.plan.Kind, Plan: l.opened.Digest.String(), At: b.at, Transcript: l.plan.TranscriptPath(),
		Tokens: []hsm.TokenInfo{}, Keys: []Key{}, Outputs: []Output{},
	}
	resumed, err := l.resume()
	res.Resumed = resumed
	var s *signatory
	if err == nil {
		s, err = perform(ctx, b)
	}
	if err == nil {
		err = l.finish(s)
	}
	res.Tokens, res.Keys = append(res.Tokens, l.infos...), append(res.Keys, b.keys...)
	if err != nil {
		if len(b.keys) > 0 {
			err = fmt.Errorf("%w (run it again to go on; made meanwhile: %s)", err, names(b.keys))
		}
		return res, errors.Join(err, l.close())
	}
	for _, out := range l.plan.body.outputs() {
		sum := l.outputs[out.path]
		res.Outputs = append(res.Outputs, Output{Path: l.plan.path(out.path), SHA256: hex.EncodeToString(sum[:])})
	}
	return res, l.close()
}

func names(keys []Key) string {
	var out []string
	for _, k := range keys {
		out = append(out, keyName(k.Token, k.Label))
	}
	return strings.Join(out, ", ")
}

// rehearse performs on throw-away tokens, before any real module is open.
func (r *Runner) rehearse(ctx context.Context, p *Plan, perform act, b bench) (_ *transcript.Rehearsed, err error) {
	s, err := newRehearsal(p, r.SoftHSM)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	b.stage, b.log, b.progress = s, slog.New(slog.DiscardHandler), r.half(false)
	by, err := perform(ctx, &b)
	if err != nil {
		return nil, err
	}
	if err := s.finish(by, b.at); err != nil {
		return nil, err
	}
	return &transcript.Rehearsed{Keys: len(b.keys), OK: true}, nil
}

// half is the progress of the rehearsal, or of what comes after it.
func (r *Runner) half(second bool) func(done, total int) {
	if r.Progress == nil {
		return nil
	}
	return func(done, total int) {
		if second {
			done += total
		}
		r.Progress(done, 2*total)
	}
}

func (r *Runner) clock() func() time.Time {
	now := r.Now
	if now == nil {
		now = time.Now
	}
	return func() time.Time { return now().UTC().Truncate(time.Second) }
}

func (r *Runner) live(p *Plan, agreed *agreement, earlier *transcript.Transcript) (*live, error) {
	l := &live{
		plan: p, askPIN: r.AskPIN, log: r.Logger, now: r.clock(), interrupt: r.interrupt,
		modules: make(map[string]*hsm.Module), tokens: make(map[string]*hsm.Token),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if earlier != nil {
		l.interrupted = true
	} else {
		earlier = &transcript.Transcript{}
	}
	var err error
	if l.memory, err = remember(earlier); err != nil {
		return nil, err
	}
	l.opened = transcript.Opened{
		Ceremony: string(p.Kind), Plan: transcript.Text(p.text), Inputs: p.inputs(), Digest: transcript.PlanDigest(p.text, p.inputs()),
		Roster: transcript.Text(agreed.rosters[0]), Approvals: []transcript.Text{}, Follows: agreed.follows, Build: r.Build,
	}
	if len(agreed.rosters) > 1 {
		l.opened.Former = transcript.Text(agreed.rosters[1])
	}
	for _, a := range agreed.approvals {
		l.opened.Approvals = append(l.opened.Approvals, transcript.Text(a))
	}
	if l.opened.Build == (transcript.Build{}) {
		l.opened.Build = thisBuild()
	}
	return l, nil
}

// thisBuild is what the program knows about itself.
func thisBuild() transcript.Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return transcript.Build{}
	}
	b := transcript.Build{Version: info.Main.Version, Go: info.GoVersion}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

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
	data, err := paper.Read(path, transcript.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, paper.Free(append(p.places(nil), path)...)
	}
	if err != nil {
		return nil, err
	}
	// A crash may have torn the last line, or have come before the first.
	t := &transcript.Transcript{}
	if whole := data[:bytes.LastIndexByte(data, '\n')+1]; len(whole) > 0 {
		if t, err = transcript.Read(whole); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
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
	if last := t.Entries[len(t.Entries)-1].At; at.Before(last) {
		return nil, fmt.Errorf("%w: it says %s, and %s goes on to %s", ErrClock, at.Format(instantLayout), path, last.Format(instantLayout))
	}
	known, err := remember(t)
	if err != nil {
		return nil, err
	}
	return t, paper.Free(p.places(known.outputs)...)
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

// owns refuses a transcript of another plan.
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
	return nil
}

// prepare reads and judges what every plan has, and then what its kind has.
func (p *Plan) prepare(d *desk) (act, error) {
	if err := p.load(); err != nil {
		return nil, err
	}
	if _, err := p.Roster(); err != nil {
		return nil, fmt.Errorf("%w: officers: %w", ErrInput, err)
	}
	if _, err := d.before(); err != nil {
		return nil, err
	}
	return p.body.prepare(d)
}

// agree verifies that enough officers approved this plan: of its own roster,
// and of the one before if officers change.
func (r *Runner) agree(d *desk, earlier *transcript.Transcript) (*agreement, error) {
	a := &agreement{rosters: [][]byte{d.plan.files[0].data}, approvals: r.Approvals}
	own, err := d.plan.Roster()
	if err != nil {
		return nil, err
	}
	rosters := []*approval.Roster{own}
	before, err := d.before()
	if err != nil {
		return nil, err
	}
	if before != nil {
		head := before.Head()
		a.follows = &head
		opened, err := before.Opened()
		if err != nil {
			return nil, err
		}
		old, err := approval.ParseRoster([]byte(opened.Roster))
		if err != nil {
			return nil, fmt.Errorf("%w: follows: %w", ErrInput, err)
		}
		if old.Digest() != own.Digest() {
			rosters, a.rosters = append(rosters, old), append(a.rosters, []byte(opened.Roster))
		}
	}
	if earlier != nil && len(earlier.Entries) > 0 {
		opened, err := earlier.Opened()
		if err != nil {
			return nil, err
		}
		a.approvals = nil
		for _, text := range opened.Approvals {
			a.approvals = append(a.approvals, []byte(text))
		}
	}
	digest, err := d.plan.Digest()
	if err != nil {
		return nil, err
	}
	_, err = approval.Verify(rosters, a.approvals, string(d.plan.Kind), digest)
	return a, err
}

// Abandon gives an interrupted ceremony up, whatever plan it was of: p says
// where its transcript is, and the transcript says the rest. No output is
// left, not even one that was in its place already; the keys that were made
// stay in their tokens, and the transcript and the error-free result name
// them ("token/label"). Errors: fs.ErrNotExist if there is nothing to
// abandon, transcript.ErrClosed, transcript.ErrAbandoned.
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
	for _, out := range was.body.outputs() {
		if err := withdraw(was.path(out.path), known.outputs[out.path]); err != nil {
			return nil, err
		}
	}
	left := []string{}
	for name := range known.keys {
		left = append(left, name)
	}
	slices.Sort(left)
	return left, w.Abandon(transcript.Abandoned{Reason: reason, Keys: left})
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
