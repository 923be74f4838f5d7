package merchant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/evidence"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/successor"
)

const (
	// paperAge is how long a keyset or a group document is used before a newer
	// one is asked for. Keys and epochs are announced long before they count; a
	// payment is checked without any contact meanwhile.
	paperAge = 5 * time.Minute
	// briefly is how long a newer one is waited for where the till has one that
	// will do.
	briefly = 5 * time.Second
)

// paper is a signed document in the till's file, and when it was fetched.
type paper struct {
	JWS []byte    `json:"jws"`
	At  time.Time `json:"at"`
}

func fresh(at, now time.Time) bool { return younger(at, now, paperAge) }

func younger(at, now time.Time, than time.Duration) bool {
	age := now.Sub(at)
	return age >= 0 && age < than
}

// groupPaper is a group document in use, and when a newer one was asked for.
type groupPaper struct {
	doc   *groupdoc.Document
	asked time.Time
}

// Keyset is the bank's, verified, kept in the file and never rolled back. A
// bank that can't be reached does not stop a till that has seen it once.
func (t *Till) Keyset(ctx context.Context) (*coin.Keyset, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keyset != nil && fresh(t.keysetAsked, t.now()) {
		return t.keyset, nil
	}
	k, asked, err := t.findKeyset(ctx, paperAge, t.fetchKeyset)
	if err != nil {
		return nil, fmt.Errorf("keyset: %w", err)
	}
	t.keyset, t.keysetAsked = k, asked
	return k, nil
}

// exponent is the currency's.
func (t *Till) exponent(ctx context.Context) (int, error) {
	k, err := t.lastKeyset(ctx)
	if err != nil {
		return 0, err
	}
	return k.Exponent, nil
}

// lastKeyset is a keyset of whatever age, for what does not change from one to the
// next: a list of sales waits for no bank.
func (t *Till) lastKeyset(ctx context.Context) (*coin.Keyset, error) {
	t.mu.Lock()
	k := t.keyset
	t.mu.Unlock()
	if k != nil {
		return k, nil
	}
	var seen paper
	found, err := getMeta(ctx, t.db, metaKeyset, &seen)
	if err != nil {
		return nil, err
	}
	if !found {
		return t.Keyset(ctx)
	}
	if k, err = coin.ParseKeyset(t.root, seen.JWS, seen.At); err != nil {
		return nil, fmt.Errorf("keyset: seen last: %w", err)
	}
	return k, nil
}

// findKeyset is Keyset without the one in memory; one of that age is fetched anew.
func (t *Till) findKeyset(ctx context.Context, age time.Duration, fetch func(context.Context) ([]byte, error)) (*coin.Keyset, time.Time, error) {
	var seen paper
	now := t.now()
	found, err := getMeta(ctx, t.db, metaKeyset, &seen)
	if err != nil {
		return nil, now, err
	}
	if !found {
		jws, err := fetch(ctx)
		if err != nil {
			return nil, now, err
		}
		return t.takeKeyset(ctx, jws, nil, paper{})
	}
	known, kerr := coin.ParseKeyset(t.root, seen.JWS, now)
	if kerr == nil && younger(seen.At, now, age) {
		return known, seen.At, nil
	}
	brief, cancel := context.WithTimeout(ctx, briefly)
	defer cancel()
	jws, err := fetch(brief)
	if err != nil {
		if kerr != nil {
			return nil, now, fmt.Errorf("%w; the one seen last: %w", err, kerr)
		}
		return known, now, nil
	}
	// As of then: what it promised binds its successors also when its
	// certificate has run out since.
	if known, err = coin.ParseKeyset(t.root, seen.JWS, seen.At); err != nil {
		return nil, now, fmt.Errorf("seen last: %w", err)
	}
	return t.takeKeyset(ctx, jws, known, seen)
}

// takeKeyset verifies a fetched keyset and stores it. One that contradicts the
// one seen last, if there is one, is kept beside the till with it.
func (t *Till) takeKeyset(ctx context.Context, jws []byte, known *coin.Keyset, seen paper) (*coin.Keyset, time.Time, error) {
	now := t.now()
	k, err := coin.ParseKeyset(t.root, jws, now)
	if err != nil {
		return nil, now, err
	}
	if known != nil {
		if err := k.CheckSuccessor(known); err != nil {
			both := evidence.Keysets{Seen: string(seen.JWS), SeenAt: seen.At, Served: string(jws), ServedAt: now}
			return nil, now, both.Keep(t.dir, err)
		}
	}
	p := paper{JWS: jws, At: now}
	return k, now, errors.Join(putMeta(ctx, t.db, metaKeyset, p), putMeta(ctx, t.db, keysetKey(k.Seq), p))
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

// groupDocuments are the group managers' signed documents, verified, as far as
// they can be had: those in the file while they are fresh, newer ones
// otherwise, and the last ones seen where a manager can't be reached. The
// error says which are missing; it comes beside the others.
func (t *Till) groupDocuments(ctx context.Context) ([]*groupdoc.Document, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var docs []*groupdoc.Document
	var errs []error
	for _, url := range t.settings.GroupURLs {
		p, ok := t.groups[url]
		if !ok || !fresh(p.asked, t.now()) || !current(p.doc, t.now()) {
			var err error
			if p, err = t.findGroup(ctx, url, paperAge, t.fetchGroup); err != nil {
				errs = append(errs, fmt.Errorf("group document of %s: %w", url, err))
				continue
			}
			t.groups[url] = p
		}
		docs = append(docs, p.doc)
	}
	return docs, errors.Join(errs...)
}

// current says whether a document says anything about the present.
func current(doc *groupdoc.Document, now time.Time) bool {
	_, err := doc.EpochAt(now)
	return err == nil
}

// findGroup is one manager's document, without those in memory; one of that age is
// fetched anew.
func (t *Till) findGroup(ctx context.Context, url string, age time.Duration, fetch fetchGroup) (groupPaper, error) {
	var seen paper
	key := metaGroup + url
	now := t.now()
	found, err := getMeta(ctx, t.db, key, &seen)
	if err != nil {
		return groupPaper{}, err
	}
	// before is what the next one must come after, usable what serves now.
	var before, usable *groupdoc.Document
	if found {
		if before, err = groupdoc.Parse(t.root, seen.JWS, seen.At); err != nil {
			return groupPaper{}, fmt.Errorf("the one seen last: %w", err)
		}
		if known, err := groupdoc.Parse(t.root, seen.JWS, now); err == nil && current(known, now) {
			usable = known
		}
	}
	if usable != nil && younger(seen.At, now, age) {
		return groupPaper{usable, seen.At}, nil
	}
	if usable != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, briefly)
		defer cancel()
	}
	jws, doc, err := fetch(ctx, url)
	if err == nil && before != nil {
		err = doc.After(before) // an older one may lack a key that leaked since
	}
	if err != nil {
		if usable == nil {
			return groupPaper{}, err
		}
		return groupPaper{usable, now}, nil
	}
	return groupPaper{doc, now}, putMeta(ctx, t.db, key, paper{JWS: jws, At: now})
}

// fetchGroup gets a manager's document.
type fetchGroup func(ctx context.Context, url string) ([]byte, *groupdoc.Document, error)

func (t *Till) fetchGroup(ctx context.Context, url string) ([]byte, *groupdoc.Document, error) {
	jws, err := client.GroupDocument(ctx, t.http, url)
	if err != nil {
		return nil, nil, err
	}
	doc, err := groupdoc.Parse(t.root, jws, t.now())
	if err == nil {
		_, err = doc.EpochAt(t.now())
	}
	return jws, doc, err
}

// groupOf is the document of the group that a spend names. A group that this
// till does not take is coin.ErrBinding; one whose document can't be had now
// is another error.
func (t *Till) groupOf(ctx context.Context, s *coin.Spend) (*groupdoc.Document, error) {
	docs, err := t.groupDocuments(ctx)
	for _, d := range docs {
		if d.GroupID() == s.Group {
			return d, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: the group is not one that this till takes", coin.ErrBinding)
}

// verifierFor is the verifier of the group that a spend names, or nil for a
// spend without bound coins.
func (t *Till) verifierFor(ctx context.Context, s *coin.Spend) (coin.PresentationVerifier, error) {
	if s.Group == [32]byte{} {
		return nil, nil
	}
	doc, err := t.groupOf(ctx, s)
	if err != nil {
		return nil, err
	}
	v, err := doc.Verifier(t.now())
	if err != nil {
		return nil, err
	}
	return coin.NewPresentationVerifier(v), nil
}

// proofVerifier verifies the presentation of an earlier spend, whatever the
// epoch it was made in: what was spent stays spent.
func (t *Till) proofVerifier(ctx context.Context, p *coin.ConflictProof) (coin.PresentationVerifier, error) {
	if p.Spend.Group == [32]byte{} {
		return nil, nil
	}
	doc, err := t.groupOf(ctx, p.Spend)
	if err != nil {
		return nil, err
	}
	v, err := doc.ProofVerifier(p.Authorisation.Presentation)
	if err != nil {
		return nil, err
	}
	return coin.WithSuccessors(coin.NewPresentationVerifier(v), &successor.Verifier{Root: t.root, Doc: doc}), nil
}
