package wallet

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/evidence"
	"github.com/speciecash/specie/sqlitefile"
)

// keysetKey is under which the purse keeps a keyset that it went by: its receipts
// are verified by it, years later.
func keysetKey(seq uint64) string { return fmt.Sprintf("%s %d", metaKeyset, seq) }

// keepKeyset puts a keyset where the newest one is, and where it stays.
func (w *Wallet) keepKeyset(ctx context.Context, seq uint64, p paper) error {
	return w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := putMeta(ctx, tx, metaKeyset, p); err != nil {
			return err
		}
		// The first time that it was seen counts.
		raw, err := json.Marshal(p)
		if err == nil {
			_, err = tx.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING", keysetKey(seq), raw)
		}
		if err != nil {
			return fmt.Errorf("purse: keyset: %w", err)
		}
		return nil
	})
}

// keptKeysets are all keysets in the purse, by when they were first seen.
func (w *Wallet) keptKeysets(ctx context.Context) ([]paper, error) {
	rows, err := w.purse.db.QueryContext(ctx, "SELECT value FROM meta WHERE key = ? OR key LIKE ?", metaKeyset, metaKeyset+" %")
	if err != nil {
		return nil, fmt.Errorf("purse: keysets: %w", err)
	}
	defer rows.Close()
	var out []paper
	for rows.Next() {
		var raw []byte
		var p paper
		if err := rows.Scan(&raw); err != nil {
			return nil, fmt.Errorf("purse: keysets: %w", err)
		}
		if err := json.Unmarshal(raw, &p); err != nil {
			return nil, fmt.Errorf("purse: keysets: %w: %w", sqlitefile.ErrDamaged, err)
		}
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("purse: keysets: %w", err)
	}
	slices.SortFunc(out, func(a, b paper) int { return a.At.Compare(b.At) })
	return out, nil
}

// Evidence collects the papers of a payment: what anybody needs to see who did
// what, offline and years later (evidence.Verify). private adds what was bought. The
// network is not used. ErrNoOperation if it was never prepared, or has no papers
// because it was made before the purse was lost.
func (w *Wallet) Evidence(ctx context.Context, id ID, private bool) (*evidence.File, error) {
	op, body, err := readOp[payment](ctx, w.purse.db, KindPay, id)
	if err != nil {
		return nil, err
	}
	offer, err := paidOffer(body.Link)
	if err != nil {
		return nil, err
	}
	spend, _, err := coin.DecodeSpend(body.Spend)
	if err != nil {
		return nil, err
	}
	f := &evidence.File{
		Root: w.root.Fingerprint(), Offer: offer.JWS, Spend: body.Spend,
		BankReceipt: []byte(body.BankReceipt), MerchantReceipt: []byte(body.Receipt),
	}
	if private {
		f.Private = offer.PrivateBytes
	}
	kept, err := w.keptKeysets(ctx)
	if err != nil {
		return nil, err
	}
	var jws [][]byte
	for _, p := range kept {
		jws = append(jws, p.JWS)
	}
	if f.Keyset, err = evidence.KeysetFor(w.root, jws, spend, depositTime(body.BankReceipt, op.Created)); err != nil {
		return nil, err
	}
	f.Groups, err = w.groupPapers(ctx, spend)
	return f, err
}

// depositTime is when the bank says that it took a payment, else when it was made.
func depositTime(receipt string, made time.Time) time.Time {
	if r, err := coin.ReadReceipt([]byte(receipt)); err == nil {
		return r.At
	}
	return made
}

// groupPapers is the document of the group that a spend's bound coins are of.
func (w *Wallet) groupPapers(ctx context.Context, spend *coin.Spend) ([][]byte, error) {
	if spend.Group == ([32]byte{}) {
		return nil, nil
	}
	if w.enrolled != nil && w.enrolled.groupID == spend.Group {
		return [][]byte{w.enrolled.Document.JWS}, nil
	}
	former, err := w.formerly(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range former {
		if f.groupID == spend.Group {
			return [][]byte{f.Document.JWS}, nil
		}
	}
	return nil, fmt.Errorf("%w: the purse has no document of the group that these coins are of", ErrNoOperation)
}
