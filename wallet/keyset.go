package wallet

import (
	"context"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/evidence"
)

// paper is a signed document in the purse, and when it was fetched.
type paper struct {
	JWS []byte    `json:"jws"`
	At  time.Time `json:"at"`
}

// fresh says whether the paper is younger than age; one from the future is
// not.
func (p *paper) fresh(now time.Time, age time.Duration) bool {
	d := now.Sub(p.At)
	return d >= 0 && d < age
}

const (
	// keysetAge is how long a keyset is used before a newer one is asked for.
	// Keys are announced long before they issue; and a wallet that calls its
	// bank at every payment tells it when it pays.
	keysetAge = time.Hour
	// briefly is how long a newer keyset or group document is waited for where
	// the purse has one that will do.
	briefly = 10 * time.Second
)

// Keyset returns the bank's keyset, verified against the root and against the
// one seen last (no rollback): the one in the purse while it is fresh, a newer
// one otherwise, or the one seen last if the bank can't be reached.
func (w *Wallet) Keyset(ctx context.Context) (*coin.Keyset, error) {
	if w.keyset != nil {
		return w.keyset, nil
	}
	var seen paper
	found, err := w.purse.get(ctx, metaKeyset, &seen)
	if err != nil {
		return nil, err
	}
	if !found {
		jws, err := w.bank.keys(ctx)
		if err != nil {
			return nil, fmt.Errorf("keyset: %w", err)
		}
		return w.takeKeyset(ctx, jws, nil, paper{})
	}
	known, err := coin.ParseKeyset(w.root, seen.JWS, w.now())
	if err == nil && seen.fresh(w.now(), keysetAge) {
		w.keyset = known
		return known, nil
	}
	brief, cancel := context.WithTimeout(ctx, briefly)
	defer cancel()
	jws, ferr := w.bank.keys(brief)
	if ferr != nil {
		if err != nil {
			return nil, fmt.Errorf("keyset: %w; the one seen last: %w", ferr, err)
		}
		w.keyset = known
		return known, nil
	}
	// As of then: what it promised binds its successors also when its
	// certificate has run out since.
	if known, err = coin.ParseKeyset(w.root, seen.JWS, seen.At); err != nil {
		return nil, fmt.Errorf("keyset seen last: %w", err)
	}
	return w.takeKeyset(ctx, jws, known, seen)
}

// newestKeyset is Keyset, but the bank is asked whatever the age of the one in
// the purse, and it must answer.
func (w *Wallet) newestKeyset(ctx context.Context) (*coin.Keyset, error) {
	known, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	jws, err := w.bank.keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("keyset: %w", err)
	}
	var seen paper
	if _, err := w.purse.get(ctx, metaKeyset, &seen); err != nil {
		return nil, err
	}
	return w.takeKeyset(ctx, jws, known, seen)
}

// learnRevocation fetches a newer keyset after a refusal that says that there
// is one. Without it, the coins would be shown as good until the old one ages.
func (w *Wallet) learnRevocation(ctx context.Context, err error) {
	if isCode(err, "key-revoked") {
		_, _ = w.newestKeyset(ctx) // the refusal is what counts
	}
}

// takeKeyset verifies a fetched keyset and stores it. One that contradicts the
// one seen last, if there is one, is kept beside the purse with it.
func (w *Wallet) takeKeyset(ctx context.Context, jws []byte, known *coin.Keyset, seen paper) (*coin.Keyset, error) {
	k, err := coin.ParseKeyset(w.root, jws, w.now())
	if err != nil {
		return nil, fmt.Errorf("keyset: %w", err)
	}
	if known != nil {
		if err := k.CheckSuccessor(known); err != nil {
			both := evidence.Keysets{Seen: string(seen.JWS), SeenAt: seen.At, Served: string(jws), ServedAt: w.now()}
			return nil, fmt.Errorf("keyset: %w", both.Keep(w.dir, err))
		}
	}
	if err := w.keepKeyset(ctx, k.Seq, paper{JWS: jws, At: w.now()}); err != nil {
		return nil, err
	}
	w.keyset = k
	return k, nil
}
