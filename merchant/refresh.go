package merchant

import (
	"context"
	"time"

	"github.com/speciecash/specie/groupdoc"
)

const (
	// refreshAge is how old the papers in use become while somebody refreshes them:
	// young enough that no payer ever waits for newer ones.
	refreshAge = paperAge / 2
	// refreshEvery is how often that is looked after.
	refreshEvery = 15 * time.Second
	// refreshPatience bounds one request.
	refreshPatience = 15 * time.Second
)

// RefreshWhile asks for newer keysets and group documents before those in use are
// too old, until ctx ends: payments are checked by what the till has, at once, also
// while bank or managers are away or slow to answer.
func (t *Till) RefreshWhile(ctx context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		t.Refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Refresh asks for newer papers in place of those that will soon be too old. Nobody
// waits for it, and what goes wrong is told to whoever needs the papers.
func (t *Till) Refresh(ctx context.Context) {
	t.mu.Lock()
	due := t.keyset == nil || !younger(t.keysetAsked, t.now(), refreshAge)
	t.mu.Unlock()
	if due {
		t.refreshKeyset(ctx)
	}
	for _, url := range t.settings.GroupURLs {
		t.mu.Lock()
		p, ok := t.groups[url]
		due := !ok || !younger(p.asked, t.now(), refreshAge)
		t.mu.Unlock()
		if due {
			t.refreshGroup(ctx, url)
		}
	}
}

// refreshKeyset fetches with the lock free and judges with it.
func (t *Till) refreshKeyset(ctx context.Context) {
	brief, cancel := context.WithTimeout(ctx, refreshPatience)
	defer cancel()
	jws, ferr := t.fetchKeyset(brief)
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k, asked, err := t.findKeyset(ctx, refreshAge, func(context.Context) ([]byte, error) { return jws, ferr })
	if err == nil {
		t.keyset, t.keysetAsked = k, asked
	}
}

func (t *Till) refreshGroup(ctx context.Context, url string) {
	brief, cancel := context.WithTimeout(ctx, refreshPatience)
	defer cancel()
	jws, doc, ferr := t.fetchGroup(brief, url)
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.findGroup(ctx, url, refreshAge, func(context.Context, string) ([]byte, *groupdoc.Document, error) { return jws, doc, ferr })
	if err == nil {
		t.groups[url] = p
	}
}
