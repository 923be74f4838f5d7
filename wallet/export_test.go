package wallet

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/tpm"
)

// GroupDocument shows tests which document a wallet goes by.
func (w *Wallet) GroupDocument(ctx context.Context) (*groupdoc.Document, error) {
	return w.groupDocument(ctx)
}

// WrapKey puts something between the wallet and its TPM.
func (w *Wallet) WrapKey(wrap func(group.Key) group.Key) { w.key = wrap(w.key) }

// KeepKeyInPurse makes the purse one of before, which holds the key itself and
// does not know its TPM.
func (w *Wallet) KeepKeyInPurse(ctx context.Context) error {
	file, err := w.readKey(w.enrolled.keyRef)
	if err != nil {
		return err
	}
	old := *w.enrolled
	old.Blob, old.keyRef, old.EKID = &file.Blob, keyRef{}, nil
	return w.purse.update(ctx, func(tx *sql.Tx) error { return putMeta(ctx, tx, metaMembership, old) })
}

// KnowsItsTPM says whether the wallet can tell its own TPM after it was cleared.
func (w *Wallet) KnowsItsTPM() bool { return len(w.enrolled.EKID) > 0 }

// ForgetTPM takes that away.
func (w *Wallet) ForgetTPM(ctx context.Context) error {
	return w.changeMembership(ctx, func(m *membership) { m.EKID = nil })
}

// CertificatesFor are what is shown for an endorsement key when e is enrolled
// over hc.
func CertificatesFor(ctx context.Context, hc *http.Client, e Enrolment, ek *tpm.EK) ([][]byte, error) {
	c := &candidate{Enrolment: e, w: &Wallet{http: hc}}
	return c.chainOf(ctx, ek)
}

// Tag is the tag of the member that the wallet is.
func (w *Wallet) Tag() [33]byte { return [33]byte(w.enrolled.Tag) }

// ForgetHoldings makes the purse one of before: it kept nothing to recover its
// coins with.
func (w *Wallet) ForgetHoldings(ctx context.Context) error {
	return w.purse.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE ops SET body = CAST(json_remove(body, '$.holding') AS BLOB)")
		return err
	})
}

// NextTag is the tag of the member that the wallet is about to be. It is asked
// while the wallet waits for an answer, which is when the purse is idle.
func (w *Wallet) NextTag(ctx context.Context) [33]byte {
	var raw []byte
	var state enrolling
	err := w.purse.db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key LIKE 'enrolling %'").Scan(&raw)
	if err == nil {
		err = json.Unmarshal(raw, &state)
	}
	if err != nil {
		panic(err)
	}
	return [33]byte(state.Tag)
}

// Damage alters the membership on disk.
func (w *Wallet) Damage(ctx context.Context, file string, tag []byte) error {
	next := *w.enrolled
	if file != "" {
		next.File = file
	}
	if tag != nil {
		next.Tag = tag
	}
	return w.purse.put(ctx, metaMembership, next)
}

// SetSuccession puts something in the place of the manager's word on a former
// membership, which it returns.
func (w *Wallet) SetSuccession(ctx context.Context, number int, jws []byte) ([]byte, error) {
	list, err := w.formerly(ctx)
	if err != nil {
		return nil, err
	}
	before := list[number].Succession
	list[number].Succession = jws
	return before, w.purse.put(ctx, metaFormer, list)
}

// KeepWords does what a renewal does with the manager's words.
func (w *Wallet) KeepWords(ctx context.Context, jws [][]byte) error {
	words, err := w.readLine(w.enrolled.Group, jws, w.enrolled.Tag)
	if err != nil {
		return err
	}
	return w.keepWords(ctx, words)
}

// Parts says into how many parts coins are put for the bank, each given by the
// number of claims in its holding and how many coins it has there; and the most
// claims and coins in one.
func Parts(claims, coins []int) (parts, mostClaims, mostCoins int) {
	e := &estate{holdings: map[[32]byte]*kept{}}
	var all []StoredCoin
	for i := range claims {
		h := &holding{Claims: make([]byte, claims[i]*group.BlindedClaimSize)}
		for j := range coins[i] {
			id := [32]byte{byte(i), byte(i >> 8), byte(j), byte(j >> 8)}
			e.holdings[id] = &kept{holding: h}
			all = append(all, StoredCoin{ID: id[:]})
		}
	}
	for _, part := range e.parts(all) {
		parts++
		seen, n := map[*holding]bool{}, 0
		for _, c := range part {
			if h := e.holdings[[32]byte(c.ID)].holding; !seen[h] {
				seen[h] = true
				n += len(h.Claims) / group.BlindedClaimSize
			}
		}
		mostClaims, mostCoins = max(mostClaims, n), max(mostCoins, len(part))
	}
	return parts, mostClaims, mostCoins
}

// Former is a membership that was continued.
type Former struct {
	Member     string
	Tag        [33]byte
	Succession []byte
	Then       [][]byte
}

// Formerly lists them.
func (w *Wallet) Formerly(ctx context.Context) ([]Former, error) {
	list, err := w.formerly(ctx)
	var out []Former
	for _, f := range list {
		out = append(out, Former{f.Member, [33]byte(f.Tag), f.Succession, f.Then})
	}
	return out, err
}

// KeepEnrollingKeyInPurse is KeepKeyInPurse for an enrolment that has begun.
func (w *Wallet) KeepEnrollingKeyInPurse(ctx context.Context) error {
	return w.purse.update(ctx, func(tx *sql.Tx) error {
		var key string
		var raw []byte
		if err := tx.QueryRowContext(ctx, "SELECT key, value FROM meta WHERE key LIKE 'enrolling %'").Scan(&key, &raw); err != nil {
			return err
		}
		var state enrolling
		if err := json.Unmarshal(raw, &state); err != nil {
			return err
		}
		file, err := w.readKey(state.keyRef)
		if err != nil {
			return err
		}
		state.Blob, state.keyRef, state.EKID = &file.Blob, keyRef{}, nil
		return putMeta(ctx, tx, key, state)
	})
}

// End has the wallet know that the bank has struck its member off.
func (w *Wallet) End(ctx context.Context) error {
	return w.learnEnd(ctx, &client.Problem{Code: codeExpelled})
}

// Pick shows tests what is chosen from coins for an amount, and what comes back.
func (w *Wallet) Pick(k *coin.Keyset, amount coin.Amount, coins []StoredCoin) ([]StoredCoin, coin.Amount, error) {
	c, err := w.pick(k, amount, coins)
	if c == nil {
		return nil, 0, err
	}
	return c.coins, c.change, err
}

// PlainKey is the key of a purse with a LockPlain.
func PlainKey(t testing.TB, path string) []byte {
	t.Helper()
	l, err := readLock(path)
	if err != nil {
		t.Fatal(err)
	}
	return l.Stanzas[0].Key
}

// ParseLock reads a lock file.
func ParseLock(text []byte) error {
	_, err := parseLock(text)
	return err
}

// FillDisk leaves the purse room for as many pages more; a negative number ends
// that.
func (w *Wallet) FillDisk(ctx context.Context, t testing.TB, pages int) {
	t.Helper()
	var n int
	if err := w.purse.db.QueryRowContext(ctx, "PRAGMA page_count").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n += pages; pages < 0 {
		n = 1 << 30
	}
	if _, err := w.purse.db.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", n)); err != nil {
		t.Fatal(err)
	}
}
