package merchant

import (
	"context"
	"fmt"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
)

// Keyset is the bank's, verified, kept in the file and never rolled back. A
// bank that can't be reached does not stop a till that has seen it once.
func (t *Till) Keyset(ctx context.Context) (*coin.Keyset, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keyset != nil && t.now().Sub(t.keysetAt) < paperAge {
		return t.keyset, nil
	}
	return t.refreshKeyset(ctx)
}

// paperAge is how long a keyset or a group document is used before a newer
// one is asked for. Keys and epochs are announced long before they count; a
// payment is checked without any contact meanwhile.
const paperAge = 5 * time.Minute

// paper is a signed document in the till's file, and when it was fetched.
type paper struct {
	JWS []byte    `json:"jws"`
	At  time.Time `json:"at"`
}

func (p *paper) fresh(now time.Time) bool {
	age := now.Sub(p.At)
	return age >= 0 && age < paperAge
}

func (t *Till) refreshKeyset(ctx context.Context) (*coin.Keyset, error) {
	var seen paper
	found, err := getMeta(ctx, t.db, "keyset", &seen)
	if err != nil {
		return nil, err
	}
	var known *coin.Keyset
	if found {
		if known, err = coin.ParseKeyset(t.root, seen.JWS, t.now()); err != nil {
			return nil, fmt.Errorf("keyset seen last: %w", err)
		}
		if seen.fresh(t.now()) {
			t.keyset, t.keysetAt = known, seen.At
			return known, nil
		}
	}
	jws, err := t.fetchKeyset(ctx)
	if err != nil {
		if known == nil {
			return nil, fmt.Errorf("keyset: %w", err)
		}
		t.keyset, t.keysetAt = known, t.now()
		return known, nil
	}
	k, err := coin.ParseKeyset(t.root, jws, t.now())
	if err != nil {
		return nil, fmt.Errorf("keyset: %w", err)
	}
	if known != nil && known.Digest != k.Digest {
		if err := k.CheckSuccessor(known); err != nil {
			return nil, fmt.Errorf("keyset: %w", err)
		}
	}
	if err := putMeta(ctx, t.db, "keyset", paper{JWS: jws, At: t.now()}); err != nil {
		return nil, err
	}
	t.keyset, t.keysetAt = k, t.now()
	return k, nil
}

func (t *Till) fetchKeyset(ctx context.Context) ([]byte, error) {
	c, err := t.bank()
	if err != nil {
		return nil, err
	}
	r, err := c.GetKeysWithResponse(ctx, &issuerclient.GetKeysParams{})
	if err != nil {
		return nil, err
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return []byte(r.JSON200.Keyset), nil
}

// groupDocuments are the group managers' signed documents, verified: those in
// the file while they are fresh, newer ones otherwise, and the last ones seen
// where a manager can't be reached.
func (t *Till) groupDocuments(ctx context.Context) ([]*groupdoc.Document, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.groups != nil && t.now().Sub(t.groupsAt) < paperAge {
		return t.groups, nil
	}
	docs := make([]*groupdoc.Document, 0, len(t.settings.GroupURLs))
	oldest := t.now()
	for _, url := range t.settings.GroupURLs {
		d, at, err := t.groupDocument(ctx, url)
		if err != nil {
			return nil, fmt.Errorf("group document of %s: %w", url, err)
		}
		if at.Before(oldest) {
			oldest = at
		}
		docs = append(docs, d)
	}
	t.groups, t.groupsAt = docs, oldest
	return docs, nil
}

func (t *Till) groupDocument(ctx context.Context, url string) (*groupdoc.Document, time.Time, error) {
	var seen paper
	key := "group " + url
	found, err := getMeta(ctx, t.db, key, &seen)
	if err != nil {
		return nil, seen.At, err
	}
	if !found || !seen.fresh(t.now()) {
		jws, err := client.GroupDocument(ctx, t.http, url)
		switch {
		case err == nil:
			seen = paper{JWS: jws, At: t.now()}
		case !found:
			return nil, seen.At, err
		}
	}
	d, err := groupdoc.Parse(t.root, seen.JWS, t.now())
	if err != nil {
		return nil, seen.At, err
	}
	return d, seen.At, putMeta(ctx, t.db, key, seen)
}

// verifierFor is the verifier of the group that a spend names, or nil for a
// spend without bound coins.
func (t *Till) verifierFor(ctx context.Context, s *coin.Spend) (coin.PresentationVerifier, error) {
	if s.Group == [32]byte{} {
		return nil, nil
	}
	docs, err := t.groupDocuments(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		if d.GroupID() != s.Group {
			continue
		}
		v, err := d.Verifier(t.now())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", coin.ErrBinding, err)
		}
		return coin.NewPresentationVerifier(v), nil
	}
	return nil, fmt.Errorf("%w: the group is not one that this till takes", coin.ErrBinding)
}
