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
// redeems. Documents are fetched when needed and again when an epoch ends.
type groupSources struct {
	root    *trust.Root
	sources []groupSource
	marks   marks
	// expelled are members struck off.
	expelled *expelled
	log      *slog.Logger

	mu    sync.Mutex
	known map[string]*knownGroup // by URL
}

// knownGroup is a manager's document and the verifier made from it.
type knownGroup struct {
	doc      *groupdoc.Document
	fetched  time.Time
	verifier *group.Verifier
	made     time.Time
}

// marks remembers across restarts which documents were seen: an older one may
// lack a leaked key.
type marks interface {
	Meta(ctx context.Context, key string) ([]byte, error)
	SetMeta(ctx context.Context, key string, value []byte) error
}

func newGroupSources(root *trust.Root, sources []groupSource, m marks, e *expelled, log *slog.Logger) *groupSources {
	return &groupSources{root: root, sources: sources, marks: m, expelled: e, log: log, known: map[string]*knownGroup{}}
}

// documentAge is how long a document is used before the manager is asked for
// a newer one: it may name leaked keys. verifierAge is how long a verifier
// with its prepared pairings is used; it is far below groupdoc.EpochSkew.
const (
	documentAge = time.Minute
	verifierAge = 10 * time.Second
)

// Verifier implements issuer.Groups.
func (g *groupSources) Verifier(ctx context.Context, id [32]byte) (coin.PresentationVerifier, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var last error
	for _, s := range g.sources {
		k, err := g.group(ctx, s)
		if err != nil {
			last = err
			continue
		}
		if k.doc.GroupID() != id {
			continue
		}
		if now := time.Now(); k.verifier == nil || now.Sub(k.made) > verifierAge {
			if k.verifier, err = k.doc.Verifier(now); err != nil {
				return nil, fmt.Errorf("%w: %w", issuer.ErrUnavailable, err)
			}
			k.made = now
		}
		v := coin.NewPresentationVerifier(k.verifier)
		if list := g.expelled.list(id); list != nil {
			v = coin.Refusing(v, list)
		}
		return coin.WithSuccessors(v, &successor.Verifier{Root: g.root, Doc: k.doc, At: time.Now()}), nil
	}
	if last != nil {
		return nil, fmt.Errorf("%w: %w", issuer.ErrUnavailable, last)
	}
	return nil, fmt.Errorf("%w: not a group of this bank", coin.ErrBinding)
}

// group returns what is known of a manager: his fresh document if he answers,
// the one seen last if he doesn't.
func (g *groupSources) group(ctx context.Context, s groupSource) (*knownGroup, error) {
	k := g.known[s.URL]
	now := time.Now()
	if k != nil && now.Sub(k.fetched) < documentAge {
		return k, nil
	}
	jws, err := client.GroupDocument(ctx, client.NewHTTP(5*time.Second), s.URL)
	if err != nil {
		if k == nil {
			return nil, err
		}
		k.fetched = now // ask again in a minute, not at every deposit
		return k, nil
	}
	d, err := groupdoc.Parse(g.root, jws, now)
	if err == nil && d.ID != s.ID {
		return nil, fmt.Errorf("%w: group manager at %s is %s, not %s", errConfig, s.URL, d.ID, s.ID)
	}
	if err == nil {
		err = g.remember(ctx, d)
	}
	switch {
	case err == nil:
		k = &knownGroup{doc: d, fetched: now}
		g.known[s.URL] = k
	case k == nil:
		return nil, err
	default:
		// What somebody else put in the manager's place changes nothing.
		g.log.Error("group document refused", "group", s.ID, "error", err)
		k.fetched = now
	}
	return k, nil
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
