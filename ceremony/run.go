package ceremony

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/hsm"
)

// Runner runs plans.
type Runner struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger gets one record per step; nil is silence.
	Logger *slog.Logger
	// Progress is called after each key, of the rehearsal first (if there is
	// one) and then of the ceremony; total counts both. nil is silence.
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
	if p.Kind == KindSupervisors {
		return nil, errByStep()
	}
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
	if !l.wasRehearsed(p) {
		if l.rehearsed, err = r.rehearse(ctx, p, perform, *b); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRehearsal, err)
		}
	}
	if earlier == nil || len(earlier.Entries) == 0 {
		b.at = r.clock()()
		l.begins = b.at
	}
	b.progress = r.progress(l.rehearsed != nil, l.rehearsed != nil)
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
	b.stage, b.log, b.progress = s, slog.New(slog.DiscardHandler), r.progress(true, false)
	by, err := perform(ctx, &b)
	if err != nil {
		return nil, err
	}
	if err := s.finish(by, b.at); err != nil {
		return nil, err
	}
	return &transcript.Rehearsed{Keys: len(b.keys), OK: true}, nil
}

// progress counts keys: those of the rehearsal, if there is one, and then those
// of the ceremony.
func (r *Runner) progress(rehearsed, second bool) func(done, total int) {
	if r.Progress == nil || !rehearsed {
		return r.Progress
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
		plan: p, askPIN: r.AskPIN, log: r.Logger, now: r.clock(), begins: r.clock()(), interrupt: r.interrupt,
		modules: make(map[string]*hsm.Module), tokens: make(map[string]*hsm.Token),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if earlier != nil {
		l.interrupted, l.head = true, earlier.Head()
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
	if len(earlier.Entries) > 0 {
		opened, err := earlier.Opened()
		if err != nil {
			return nil, err
		}
		sameHead := opened.Follows == nil && agreed.follows == nil || opened.Follows != nil && agreed.follows != nil && *opened.Follows == *agreed.follows
		if opened.Former != l.opened.Former || !sameHead {
			return nil, fmt.Errorf("%w: it names another ceremony before this one, or other officers; abandon it", ErrInterrupted)
		}
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
