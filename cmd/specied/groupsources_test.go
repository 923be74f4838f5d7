package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger/sqlite"
)

// publisher is a group manager's address that hands out whatever a test puts
// there.
type publisher struct {
	*groupdoctest.Group
	url string
	jws atomic.Value
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{Group: groupdoctest.New(t, time.Now(), attest.GroupKeyTemplate(), [32]byte{1})}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"document": string(p.jws.Load().([]byte))})
	}))
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

// publish signs a document with that number, and returns it.
func (p *publisher) publish(t *testing.T, seq uint64, change func(*groupdoc.Contents)) *groupdoc.Document {
	t.Helper()
	p.Contents.Seq = seq
	if change != nil {
		change(p.Contents)
	}
	p.jws.Store(p.Sign(t))
	return p.Document(t)
}

func TestABankKnowsWhoSucceedsAMember(t *testing.T) {
	p := newPublisher(t)
	db, err := sqlite.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	g := newGroupSources(p.Root, []groupSource{{ID: groupdoctest.Name, URL: p.url}}, db, &expelled{}, slog.New(slog.DiscardHandler))
	v, err := g.Verifier(t.Context(), p.publish(t, 5, nil).GroupID())
	if err != nil {
		t.Fatal(err)
	}
	one, two := fp256bn.Generator1(), fp256bn.Generator1().Add(fp256bn.Generator1())
	s := &enrol.Succession{Group: groupdoctest.Name, Old: one.Bytes(), New: two.Bytes(), At: time.Now(), GoodUntil: p.Contents.Current.Ends}
	jws, err := enrol.SignSuccession(s, p.Manager.Key, p.Manager.Chain)
	if err != nil {
		t.Fatal(err)
	}
	successors, ok := v.(coin.Successors)
	if !ok {
		t.Fatal("it does not")
	}
	from, to, over, err := successors.Succession(jws, time.Now())
	if err != nil || from != s.Old || to != s.New || !over.Equal(s.GoodUntil.Add(groupdoc.EpochSkew)) {
		t.Fatalf("over %v, %v", over, err)
	}
}

func TestABankTakesNoGroupDocumentFromBeforeTheOneItSaw(t *testing.T) {
	p := newPublisher(t)
	db, err := sqlite.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var log strings.Builder
	sources := []groupSource{{ID: groupdoctest.Name, URL: p.url}}
	start := func() *groupSources {
		return newGroupSources(p.Root, sources, db, &expelled{}, slog.New(slog.NewTextHandler(&log, nil)))
	}
	// later makes what is known old enough to be asked for again.
	later := func(g *groupSources) {
		t.Helper()
		s := g.sources[0]
		s.mu.Lock()
		s.asked = time.Time{}
		s.mu.Unlock()
		g.look(t.Context(), s)
		_ = s.wait(t.Context()) // a refusal is what some are here for
	}

	g := start()
	id := p.publish(t, 5, nil).GroupID()
	if _, err := g.Verifier(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	p.publish(t, 4, nil)
	later(g)
	if _, err := g.Verifier(t.Context(), id); err != nil || g.sources[0].document().Seq != 5 {
		t.Fatalf("the one seen is worked on with: %v", err)
	}
	if !strings.Contains(log.String(), groupdoc.ErrRollback.Error()) {
		t.Fatalf("nobody is told: %s", log.String())
	}
	g = start()
	if _, err := g.Verifier(t.Context(), id); !errors.Is(err, issuer.ErrUnavailable) || !errors.Is(err, groupdoc.ErrRollback) {
		t.Fatalf("after a restart: %v", err)
	}
	p.publish(t, 6, func(c *groupdoc.Contents) { c.Leaked = [][]byte{make([]byte, 32)} })
	later(g)
	if _, err := g.Verifier(t.Context(), id); err != nil || g.sources[0].document().Seq != 6 {
		t.Fatalf("the next one: %v", err)
	}
}

func TestAManagerWhoDoesNotAnswerKeepsNobodyWaitingForAnother(t *testing.T) {
	p := newPublisher(t)
	id := p.publish(t, 1, nil).GroupID()
	silent := make(chan struct{})
	dead := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silent }))
	defer dead.Close()
	defer close(silent)
	db, err := sqlite.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	sources := []groupSource{{ID: "DEADGROUP", URL: dead.URL}, {ID: groupdoctest.Name, URL: p.url}}
	g := newGroupSources(p.Root, sources, db, &expelled{}, slog.New(slog.DiscardHandler))
	answered := make(chan error, 1)
	for range 3 {
		go func() {
			_, err := g.Verifier(t.Context(), id)
			answered <- err
		}()
		select {
		case err := <-answered:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(answerTime - time.Second):
			t.Fatal("it waits for the dead one")
		}
	}
	// Of a group that only the dead one may have, nobody can tell.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := g.Verifier(ctx, [32]byte{1}); !errors.Is(err, issuer.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}
