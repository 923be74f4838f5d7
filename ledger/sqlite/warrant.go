package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"

	"github.com/speciecash/specie/ledger"
)

// entryColumns are those of an entry in a list.
const entryColumns = "seq, prev, hash, digest, scope, at"

func scanWarrant(scan func(...any) error, w *ledger.Warrant, more ...any) error {
	var prev, hash, digest []byte
	var at int64
	err := scan(append([]any{&w.Seq, &prev, &hash, &digest, &w.Scope, &at}, more...)...)
	w.Prev, w.Hash, w.Digest, w.At = toID(prev), toID(hash), toID(digest), fromMicro(at)
	return err
}

// AddWarrant implements ledger.Register.
func (r *Register) AddWarrant(ctx context.Context, w ledger.Warrant) error {
	if err := w.Validate(); err != nil {
		return fmt.Errorf("sqlite: add warrant: %w", err)
	}
	w.Papers = bytes.Clone(w.Papers)
	err := r.writer.do(ctx, func(t *tx) error {
		if err := free(t, ledger.FieldWarrant, "SELECT seq FROM warrants WHERE digest=?", w.Digest[:]); err != nil {
			return err
		}
		var seq uint64
		var hash []byte
		if _, err := t.get([]any{&seq, &hash}, "SELECT seq, hash FROM warrants ORDER BY seq DESC LIMIT 1"); err != nil {
			return err
		}
		if w.Seq != seq+1 || w.Prev != toID(hash) {
			return fmt.Errorf("%w: entry %d, the last is %d", ledger.ErrStale, w.Seq, seq)
		}
		return t.exec("INSERT INTO warrants ("+entryColumns+", papers) VALUES (?,?,?,?,?,?,?)",
			int64(w.Seq), w.Prev[:], w.Hash[:], w.Digest[:], w.Scope, w.At.UnixMicro(), blob(w.Papers))
	})
	if err != nil {
		return fmt.Errorf("sqlite: add warrant: %w", err)
	}
	return nil
}

// PutPapers implements ledger.Register.
func (r *Register) PutPapers(ctx context.Context, digest [32]byte, papers []byte) error {
	if len(papers) > ledger.MaxSession {
		return fmt.Errorf("sqlite: put papers: %w: %d bytes", ledger.ErrMalformed, len(papers))
	}
	papers = bytes.Clone(papers)
	err := r.writer.do(ctx, func(t *tx) error {
		var seq int64
		found, err := t.get([]any{&seq}, "SELECT seq FROM warrants WHERE digest=?", digest[:])
		if err == nil && !found {
			err = ledger.ErrNotFound
		}
		if err != nil {
			return err
		}
		return t.exec("UPDATE warrants SET papers=? WHERE seq=? AND length(papers)=0", blob(papers), seq)
	})
	if err != nil {
		return fmt.Errorf("sqlite: put papers: %w", err)
	}
	return nil
}

// LastWarrant implements ledger.Register.
func (r *Register) LastWarrant(ctx context.Context) (*ledger.Warrant, error) {
	return r.warrant(ctx, "ORDER BY seq DESC LIMIT 1")
}

// WarrantByDigest implements ledger.Register.
func (r *Register) WarrantByDigest(ctx context.Context, digest [32]byte) (*ledger.Warrant, error) {
	return r.warrant(ctx, "WHERE digest=?", digest[:])
}

func (r *Register) warrant(ctx context.Context, tail string, args ...any) (*ledger.Warrant, error) {
	var w *ledger.Warrant
	err := r.list(ctx, func(rows *sql.Rows) error {
		w = new(ledger.Warrant)
		return classify(scanWarrant(rows.Scan, w, &w.Papers))
	}, "SELECT "+entryColumns+", papers FROM warrants "+tail, args...)
	if err == nil && w == nil {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("sqlite: warrant: %w", err)
	}
	return w, nil
}

// Warrants implements ledger.Register.
func (r *Register) Warrants(ctx context.Context, after uint64, limit int) ([]ledger.Warrant, error) {
	var out []ledger.Warrant
	err := r.list(ctx, func(rows *sql.Rows) error {
		var w ledger.Warrant
		if err := scanWarrant(rows.Scan, &w); err != nil {
			return classify(err)
		}
		out = append(out, w)
		return nil
	}, "SELECT "+entryColumns+" FROM warrants WHERE seq>? ORDER BY seq LIMIT ?", int64(min(after, 1<<62)), ledger.Page{Limit: limit}.Size())
	if err != nil {
		return nil, fmt.Errorf("sqlite: warrants: %w", err)
	}
	return out, nil
}

// WarrantCounts implements ledger.Register.
func (r *Register) WarrantCounts(ctx context.Context) (map[string]int64, error) {
	out := make(map[string]int64)
	err := r.list(ctx, func(rows *sql.Rows) error {
		var scope string
		var n int64
		if err := rows.Scan(&scope, &n); err != nil {
			return classify(err)
		}
		out[scope] = n
		return nil
	}, "SELECT scope, COUNT(*) FROM warrants GROUP BY scope")
	if err != nil {
		return nil, fmt.Errorf("sqlite: count warrants: %w", err)
	}
	return out, nil
}
