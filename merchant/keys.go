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
	if t.keyset != nil && t.now().Sub(t.keysetAt) < keysetAge {
		return t.keyset, nil
	}
	return t.refreshKeyset(ctx)
}

// keysetAge is how long a keyset is used before the bank is asked for a newer
// one: keys are announced long before they issue.
const keysetAge = 5 * time.Minute

func (t *Till) refreshKeyset(ctx context.Context) (*coin.Keyset, error) {
	var seen []byte
	found, err := getMeta(ctx, t.db, "keyset", &seen)
	if err != nil {
		return nil, err
	}
	var known *coin.Keyset
	if found {
		if known, err = coin.ParseKeyset(t.root, seen, t.now()); err != nil {
			return nil, fmt.Errorf("keyset seen last: %w", err)
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
	if known == nil || known.Digest != k.Digest {
		if known != nil {
			if err := k.CheckSuccessor(known); err != nil {
				return nil, fmt.Errorf("keyset: %w", err)
			}
		}
		if err := putMeta(ctx, t.db, "keyset", jws); err != nil {
			return nil, err
		}
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

// groupDocuments are the group managers' signed documents, verified. fresh
// asks again: an epoch has passed, or a spend names an unknown group.
func (t *Till) groupDocuments(ctx context.Context, fresh bool) ([]*groupdoc.Document, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.groups) > 0 && !fresh {
		if _, err := t.groups[0].EpochAt(t.now()); err == nil {
			return t.groups, nil
		}
	}
	var docs []*groupdoc.Document
	for _, url := range t.settings.GroupURLs {
		jws, err := client.GroupDocument(ctx, t.http, url)
		key := "group " + url
		if err != nil {
			found, gerr := getMeta(ctx, t.db, key, &jws)
			if gerr != nil {
				return nil, gerr
			}
			if !found {
				return nil, fmt.Errorf("group document: %w", err)
			}
		}
		d, err := groupdoc.Parse(t.root, jws, t.now())
		if err != nil {
			return nil, fmt.Errorf("group document of %s: %w", url, err)
		}
		if err := putMeta(ctx, t.db, key, jws); err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	t.groups = docs
	return docs, nil
}

// verifierFor is the verifier of the group that a spend names, or nil for a
// spend without bound coins.
func (t *Till) verifierFor(ctx context.Context, s *coin.Spend) (coin.PresentationVerifier, error) {
	if s.Group == [32]byte{} {
		return nil, nil
	}
	docs, err := t.groupDocuments(ctx, false)
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
