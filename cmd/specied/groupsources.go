package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/successor"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/trust"
)

// groupSources are the group managers whose members' bound coins the bank
// redeems. Documents are fetched beside the deposits, each manager's by itself:
// one who is down keeps nobody waiting for another.
type groupSources struct {
	root    *trust.Root
	sources []*source
	marks   marks
	// expelled are members struck off.
	expelled *expelled
	log      *slog.Logger
}

// source is one manager.
type source struct {
	groupSource

	mu       sync.Mutex
	doc      *groupdoc.Document // nil until he answered
	verifier *group.Verifier    // of doc
	made     time.Time
	asked    time.Time     // when he was last asked, and answered or not
	asking   chan struct{} // closed when the answer under way is there; nil if none is
	err      error         // why there is no newer document
}

// marks remembers across restarts which documents were seen: an older one may
// lack a leaked key.
type marks interface {
	Meta(ctx context.Context, key string) ([]byte, error)
	SetMeta(ctx context.Context, key string, value []byte) error
}

func newGroupSources(root *trust.Root, sources []groupSource, m marks, e *expelled, log *slog.Logger) *groupSources {
	g := &groupSources{root: root, marks: m, expelled: e, log: log}
	for _, s := range sources {
		g.sources = append(g.sources, &source{groupSource: s})
	}
	return g
}

const (
	// documentAge is how long a document is used before the manager is asked
	// for a newer one: it may name leaked keys.
	documentAge = time.Minute
	// patience is how long after a failure a manager is not asked again.
	patience = 5 * time.Second
	// answerTime bounds how long one may take to answer.
	answerTime = 5 * time.Second
	// verifierAge is how long a verifier with its prepared pairings is used; it
	// is far below groupdoc.EpochSkew.
	verifierAge = 10 * time.Second
)

// Verifier implements issuer.Groups.
func (g *groupSources) Verifier(ctx context.Context, id [32]byte) (coin.PresentationVerifier, error) {
	var unknown []*source
	for _, s := range g.sources {
		doc := g.look(ctx, s)
		if doc == nil {
			unknown = append(unknown, s)
		} else if doc.GroupID() == id {
			return g.verifierOf(ctx, s)
		}
	}
	// All others are being asked already. The first who has that group counts.
	type answer struct {
		from *source
		err  error
	}
	answers := make(chan answer, len(unknown))
	for _, s := range unknown {
		go func() { answers <- answer{s, s.wait(ctx)} }()
	}
	var errs []error
	for range unknown {
		if a := <-answers; a.err != nil {
			errs = append(errs, a.err)
		} else if a.from.document().GroupID() == id {
			return g.verifierOf(ctx, a.from)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", issuer.ErrUnavailable, err)
	}
	return nil, fmt.Errorf("%w: not a group of this bank", coin.ErrBinding)
}

// verifierOf is the verifier of a manager's document, and waits for a newer one
// only if that is of an epoch that is over.
func (g *groupSources) verifierOf(ctx context.Context, s *source) (coin.PresentationVerifier, error) {
	v, doc, err := s.current()
	if errors.Is(err, groupdoc.ErrEpoch) {
		if werr := s.wait(ctx); werr != nil {
			err = werr
		} else {
			v, doc, err = s.current()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", issuer.ErrUnavailable, err)
	}
	verifier := coin.NewPresentationVerifier(v)
	if list := g.expelled.list(doc.GroupID()); list != nil {
		verifier = coin.Refusing(verifier, list)
	}
	return coin.WithSuccessors(verifier, &successor.Verifier{Root: g.root, Doc: doc}), nil
}

// look returns what is known of a manager, nil if nothing is, and asks him for
// a newer document where it is time.
func (g *groupSources) look(ctx context.Context, s *source) *groupdoc.Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := documentAge
	if s.err != nil {
		wait = patience
	}
	if s.asking == nil && time.Since(s.asked) >= wait {
		s.asking = make(chan struct{})
		go g.ask(context.WithoutCancel(ctx), s)
	}
	return s.doc
}

// ask fetches a manager's document. What is refused, or does not come, leaves
// the last one in force.
func (g *groupSources) ask(ctx context.Context, s *source) {
	doc, err := g.fetch(ctx, s.groupSource)
	if err != nil && errors.Is(err, groupdoc.ErrRollback) {
		// What somebody else put in the manager's place changes nothing.
		g.log.Error("group document refused", "group", s.ID, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.doc, s.verifier = doc, nil
	}
	s.asked, s.err = time.Now(), err
	close(s.asking)
	s.asking = nil
}

func (g *groupSources) fetch(ctx context.Context, s groupSource) (*groupdoc.Document, error) {
	jws, err := client.GroupDocument(ctx, client.NewHTTP(answerTime), s.URL)
	if err != nil {
		return nil, err
	}
	d, err := groupdoc.Parse(g.root, jws, time.Now())
	if err != nil {
		return nil, err
	}
	if d.ID != s.ID {
		return nil, fmt.Errorf("%w: group manager at %s is %s, not %s", errConfig, s.URL, d.ID, s.ID)
	}
	return d, g.remember(ctx, d)
}

// wait waits for the answer under way, if one is, and returns why the newest
// document could not be had.
func (s *source) wait(ctx context.Context) error {
	s.mu.Lock()
	asking := s.asking
	s.mu.Unlock()
	if asking != nil {
		select {
		case <-asking:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *source) document() *groupdoc.Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doc
}

// current is the verifier as of now, and the document it is made of.
func (s *source) current() (*group.Verifier, *groupdoc.Document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.verifier == nil || now.Sub(s.made) > verifierAge {
		v, err := s.doc.Verifier(now)
		if err != nil {
			return nil, nil, err
		}
		s.verifier, s.made = v, now
	}
	return s.verifier, s.doc, nil
}

// remember refuses a document from before the last one seen.
func (g *groupSources) remember(ctx context.Context, d *groupdoc.Document) error {
	id := d.GroupID()
	key := "group-" + hex.EncodeToString(id[:16]) // as long as a key may be
	kept, err := g.marks.Meta(ctx, key)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	mark := d.Mark()
	if err == nil {
		var seen groupdoc.Mark
		if err := json.Unmarshal(kept, &seen); err != nil {
			return fmt.Errorf("%w: mark of %s: %w", ledger.ErrCorrupt, d.ID, err)
		}
		if err := d.AfterMark(seen); err != nil {
			return err
		}
		if seen == mark {
			return nil
		}
	}
	b, err := json.Marshal(mark)
	if err != nil {
		return err
	}
	return g.marks.SetMeta(ctx, key, b)
}
