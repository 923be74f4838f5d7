package ceremony

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/hsm"
)

// live is the stage of real tokens. Everything is in the transcript before it
// is done, so that a later run knows what may be there.
//
// The transcript begins with the first thing that can't be taken back: a run
// that fails before it leaves nothing behind.
type live struct {
	plan   *Plan
	askPIN func(prompt string) (hsm.PIN, error)
	log    *slog.Logger
	now    func() time.Time
	begins time.Time // what the outputs call now, and the transcript its beginning
	// interrupt is called after every step and ends the run if it returns an
	// error, as a power cut would: nothing is tidied up. For tests.
	interrupt func(step string) error

	opened      transcript.Opened
	rehearsed   *transcript.Rehearsed // nil if an earlier run has noted it
	early       []transcript.Token    // opened before the transcript began
	interrupted bool                  // there is a transcript to go on with
	head        transcript.Hash       // of that transcript, when it was checked
	w           *transcript.Writer    // nil before the transcript began
	memory

	modules map[string]*hsm.Module // by path
	tokens  map[string]*hsm.Token  // by label
	infos   []hsm.TokenInfo
}

func (l *live) recall(token, label string) recollection { return l.keys[keyName(token, label)] }

// resume takes up the transcript of an interrupted run, if there is one.
func (l *live) resume() (resumed bool, err error) {
	if !l.interrupted {
		return false, nil
	}
	if l.w, err = transcript.Resume(l.plan.TranscriptPath(), l.clock); err != nil {
		return false, err
	}
	entries := l.w.Transcript().Entries
	if len(entries) == 0 {
		return false, nil
	}
	// Under the lock it is still the one that was checked: another run may
	// have come between.
	if l.w.Transcript().Head() != l.head {
		return true, fmt.Errorf("%w: %s was changed meanwhile", ErrInterrupted, l.w.Path())
	}
	err = l.append(transcript.EventResumed, transcript.Resumed{Seq: entries[len(entries)-1].Seq, Build: l.opened.Build})
	if err != nil {
		return true, err
	}
	return true, l.beginRest()
}

// clock is the transcript's. Its first entry bears the time that the outputs
// bear, whatever was done in between: PINs are typed by hand.
func (l *live) clock() time.Time {
	if l.w == nil || len(l.w.Transcript().Entries) == 0 {
		return l.begins
	}
	return l.now()
}

// begin creates the transcript, if there is none yet.
func (l *live) begin() error {
	if l.w != nil && len(l.w.Transcript().Entries) > 0 {
		return nil
	}
	for _, path := range append(l.plan.Outputs(), l.plan.TranscriptPath()) {
		if err := paper.Placeable(filepath.Dir(path)); err != nil {
			return err
		}
	}
	if l.w == nil {
		w, err := transcript.Create(l.plan.TranscriptPath(), l.clock)
		if err != nil {
			return err
		}
		l.w = w
		if err := l.step("created"); err != nil {
			return err
		}
	}
	if err := l.append(transcript.EventOpened, l.opened); err != nil {
		return err
	}
	return l.beginRest()
}

// beginRest notes what happened before the transcript began.
func (l *live) beginRest() error {
	if l.rehearsed != nil {
		if err := l.append(transcript.EventRehearsed, *l.rehearsed); err != nil {
			return err
		}
	}
	for _, t := range l.early {
		if err := l.append(transcript.EventToken, t); err != nil {
			return err
		}
	}
	l.early = nil
	return nil
}

func (l *live) record(event transcript.Event, data any) error {
	if err := l.begin(); err != nil {
		return err
	}
	return l.append(event, data)
}

func (l *live) append(event transcript.Event, data any) error {
	if err := l.w.Append(event, data); err != nil {
		return err
	}
	return l.step(string(event))
}

func (l *live) step(name string) error {
	if l.interrupt == nil {
		return nil
	}
	return l.interrupt(name)
}

func (l *live) token(ctx context.Context, u *hsm.URI) (*hsm.Token, error) {
	if t := l.tokens[u.Token]; t != nil {
		return t, nil
	}
	pin, err := u.ReadPIN(l.plan.dir, l.askPIN)
	if err != nil {
		return nil, err
	}
	defer pin.Destroy()
	m, err := l.module(u.ModulePath)
	if err != nil {
		return nil, err
	}
	cfg := u.Config(pin)
	cfg.Sessions, cfg.Logger, cfg.Absent = 1, l.log, l.plan.body.base().Absent
	t, err := m.Token(ctx, cfg)
	if err != nil {
		return nil, err
	}
	l.tokens[u.Token] = t
	info := t.Info()
	l.infos = append(l.infos, info)
	entry := tokenEntry(info)
	if l.w == nil || len(l.w.Transcript().Entries) == 0 {
		l.early = append(l.early, entry)
		return t, nil
	}
	return t, l.append(transcript.EventToken, entry)
}

func (l *live) module(path string) (*hsm.Module, error) {
	if m := l.modules[path]; m != nil {
		return m, nil
	}
	m, err := hsm.OpenModule(path)
	if err == nil {
		l.modules[path] = m
	}
	return m, err
}

// signatory demands that the key under that label is the one that the
// certificate names: a token with another signs nothing.
func (l *live) signatory(ctx context.Context, c *certified) (*signatory, error) {
	t, err := l.token(ctx, c.key.URI)
	if err != nil {
		return nil, err
	}
	key, err := t.FindECDSA(ctx, c.key.Object)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", keyName(c.key.Token, c.key.Object), err)
	}
	pub, ok := c.cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || !pub.Equal(key.Public()) || len(c.key.ID) > 0 && !slices.Equal(c.key.ID, key.ID()) {
		return nil, fmt.Errorf("%w: key %s", ErrKey, keyName(c.key.Token, c.key.Object))
	}
	return c.signatory(key), nil
}

func (l *live) inspect(ctx context.Context, u *hsm.URI, list *stocklist) error {
	t, err := l.token(ctx, u)
	if err != nil {
		return err
	}
	return inspect(ctx, t, list, func(k transcript.Key) error {
		if l.inspected[keyName(k.Token, k.Label)] {
			return nil
		}
		return l.record(transcript.EventKey, k)
	})
}

// erase judges the token before the officer's PIN is read, and notes that it
// is about to be erased. A later run believes the transcript in nothing that
// the token shows itself: while it opens with its PIN it is judged again, and
// when it does not, the security officer's PIN shows whether it is empty.
func (l *live) erase(ctx context.Context, e *erasure) error {
	label := e.uri.Token
	entry, begun := l.erasing[label]
	if begun && e.uri.Serial != "" && e.uri.Serial != entry.Serial {
		return fmt.Errorf("%w: token %q: the transcript has serial %s, the plan %s", ErrKey, label, entry.Serial, e.uri.Serial)
	}
	_, err := l.token(ctx, e.uri)
	closed := begun && errors.Is(err, hsm.ErrPIN)
	if err != nil && !closed {
		return err
	}
	if !closed {
		if entry, err = l.condemn(ctx, e); err != nil {
			return err
		}
	}
	pin, err := hsm.ReadPINSource(e.soPIN, l.plan.dir, fmt.Sprintf("security officer's PIN of token %q", label), l.askPIN)
	if err != nil {
		return err
	}
	defer pin.Destroy()
	m, err := l.module(e.uri.ModulePath)
	if err != nil {
		return err
	}
	if closed {
		return l.wasErased(ctx, m, entry, pin)
	}
	if !begun {
		if err := l.record(transcript.EventErasing, entry); err != nil {
			return err
		}
	}
	if err := l.tokens[label].Close(); err != nil {
		return err
	}
	delete(l.tokens, label)
	if err := m.EraseToken(ctx, label, entry.Serial, pin); err != nil {
		return err
	}
	if err := l.step("erased"); err != nil {
		return err
	}
	return l.record(transcript.EventDestroyed, entry)
}

// condemn judges what is on an open token. What an earlier run noted must be
// what is there.
func (l *live) condemn(ctx context.Context, e *erasure) (transcript.Destroyed, error) {
	label := e.uri.Token
	t := l.tokens[label]
	items, err := t.Items(ctx)
	if err != nil {
		return transcript.Destroyed{}, err
	}
	entry := transcript.Destroyed{Token: label, Serial: t.Info().Serial, Keys: itemIDs(items)}
	if err := e.judge(items); err != nil {
		return entry, err
	}
	if len(entry.Keys) == 0 {
		return entry, fmt.Errorf("%w: there is no key in token %q", ErrInput, label)
	}
	if l.destroyed[label] {
		return entry, fmt.Errorf("%w: the transcript says that token %q was erased, and it holds %d keys", ErrKey, label, len(entry.Keys))
	}
	if noted, begun := l.erasing[label]; begun && (noted.Serial != entry.Serial || !slices.Equal(noted.Keys, entry.Keys)) {
		return entry, fmt.Errorf("%w: token %q holds other keys than the transcript says were to be erased", ErrKey, label)
	}
	return entry, nil
}

// wasErased demands that a token is empty of which the transcript says so.
func (l *live) wasErased(ctx context.Context, m *hsm.Module, entry transcript.Destroyed, soPIN hsm.PIN) error {
	left, err := m.ObjectsLeft(ctx, entry.Token, entry.Serial, soPIN)
	if err != nil {
		return err
	}
	if left > 0 {
		return fmt.Errorf("%w: token %q refuses its PIN, and was not erased: it holds %d objects", ErrKey, entry.Token, left)
	}
	if l.destroyed[entry.Token] {
		return nil
	}
	return l.record(transcript.EventDestroyed, entry)
}

func (l *live) output(field string, create func() ([]byte, error)) ([]byte, error) {
	out := l.plan.product(field)
	path := l.plan.path(out.path)
	if sum, ok := l.outputs[out.path]; ok {
		return settled(path, sum)
	}
	if err := l.begin(); err != nil {
		return nil, err
	}
	data, err := create()
	if err != nil {
		return nil, err
	}
	if err := paper.Stage(path, data, out.mode()); err != nil {
		return nil, err
	}
	if err := l.step("staged " + field); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	l.outputs[out.path] = sum
	return data, l.record(transcript.EventOutput, transcript.Output{Path: out.path, SHA256: sum, Secret: out.secret})
}

// settled returns an output that was made before an interruption.
func settled(path string, sum transcript.Hash) ([]byte, error) {
	for _, name := range []string{path, path + paper.PartSuffix} {
		data, err := paper.Read(name, maxOutput)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if sha256.Sum256(data) == sum {
			return data, nil
		}
	}
	return nil, fmt.Errorf("%w: neither %s nor its part is what the transcript says; abandon the ceremony", ErrInput, path)
}

// finish puts the outputs in their places and closes the transcript.
func (l *live) finish(s *signatory) error {
	if err := l.begin(); err != nil {
		return err
	}
	if err := l.verify(s); err != nil {
		return err
	}
	for _, out := range l.plan.body.outputs() {
		if err := paper.Place(l.plan.path(out.path), l.outputs[out.path]); err != nil {
			return err
		}
		if err := l.step("placed"); err != nil {
			return err
		}
	}
	if err := l.w.Close(s.name, s.chain, s.key); err != nil {
		return err
	}
	return l.step("closed")
}

// verify looks at the record as a verifier will, before it is signed. Much of
// it may have been written before an interruption, and by anybody.
func (l *live) verify(s *signatory) error {
	if err := l.sameTokens(); err != nil {
		return err
	}
	t := l.w.Transcript()
	opened, err := t.Opened()
	if err != nil {
		return err
	}
	c := &check{
		Verifier: &Verifier{Root: s.root, Dir: l.plan.dir}, t: t, opened: opened, plan: l.plan, began: t.Entries[0].At,
		by: s.name, outputs: make(map[string][]byte), have: make(map[transcript.Hash][]byte),
		report: &Report{Ceremony: l.plan.Kind, Digest: opened.Digest, Began: t.Entries[0].At, Closed: l.now()},
	}
	for _, cert := range s.chain {
		c.chain = append(c.chain, cert.Raw)
	}
	for _, f := range l.plan.files {
		c.have[f.SHA256] = f.data
	}
	for _, o := range l.plan.body.outputs() {
		data, err := settled(l.plan.path(o.path), l.outputs[o.path])
		if err != nil {
			return err
		}
		c.have[l.outputs[o.path]] = data
	}
	c.claim("the digest is that of the plan and its inputs", c.digest)
	c.claim("the officers approved this very plan", c.approvals)
	if l.plan.body.base().Follows != "" {
		c.claim("it follows the ceremony before", c.follows)
	}
	l.plan.body.verify(c)
	return errors.Join(c.failed...)
}

// sameTokens: what the transcript says of tokens that are open is what they
// say themselves.
func (l *live) sameTokens() error {
	noted, err := transcript.All[transcript.Token](l.w.Transcript(), transcript.EventToken)
	if err != nil {
		return err
	}
	for _, info := range l.infos {
		for _, n := range noted {
			if n.Label == info.Label && n != tokenEntry(info) {
				return fmt.Errorf("%w: the transcript says of token %q what it does not say of itself", ErrKey, n.Label)
			}
		}
	}
	return nil
}

func tokenEntry(info hsm.TokenInfo) transcript.Token {
	return transcript.Token{Label: info.Label, Serial: info.Serial, Manufacturer: info.Manufacturer, Model: info.Model, Firmware: info.Firmware}
}

// close lets go of tokens, modules and transcript.
func (l *live) close() error {
	var errs []error
	for _, t := range l.tokens {
		errs = append(errs, t.Close())
	}
	for _, m := range l.modules {
		errs = append(errs, m.Close())
	}
	if l.w != nil {
		errs = append(errs, l.w.Release())
	}
	return errors.Join(errs...)
}
