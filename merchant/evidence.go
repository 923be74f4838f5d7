package merchant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/evidence"
	"github.com/speciecash/specie/sqlitefile"
)

// keysetKey is under which the till keeps a keyset that it went by: its receipts
// are verified by it, years later.
func keysetKey(seq uint64) string { return fmt.Sprintf("%s %d", metaKeyset, seq) }

// Evidence collects the papers of a payment, by its operation: what anybody needs
// to see who did what, offline and years later (evidence.Verify); of one that the bank
// refused, its proof of the other spend too. private adds what was bought. The network is not used. ErrNoPayment.
func (t *Till) Evidence(ctx context.Context, op [32]byte, private bool) (*evidence.File, error) {
	p, err := t.payment(ctx, op)
	if err != nil {
		return nil, err
	}
	if p == nil || p.state == StateChecked || p.state == StateHeld {
		return nil, fmt.Errorf("%w: %x…", ErrNoPayment, op[:6])
	}
	spend, _, err := coin.DecodeSpend(p.spend)
	if err != nil {
		if _, serr := coin.DecodeShown(p.spend); serr == nil {
			return nil, fmt.Errorf("%w: nobody has authorised %x…", ErrNoPayment, op[:6]) // refused before that
		}
		return nil, fmt.Errorf("till: payment: %v", err)
	}
	offer, err := t.offer(ctx, spend.OfferDigest)
	if err != nil {
		return nil, err
	}
	f := &evidence.File{Root: t.root.Fingerprint(), Offer: offer.JWS, Spend: p.spend}
	if private {
		f.Private = offer.PrivateBytes
	}
	at := time.Unix(spend.IssuedAt, 0)
	// Of one that was kept and then refused too: the payer has the merchant's receipt.
	if answer, err := client.ReadTillAnswer(p.answer); err == nil {
		f.BankReceipt, f.MerchantReceipt = []byte(answer.BankReceipt), []byte(answer.Receipt)
		if r, err := coin.ReadReceipt(f.BankReceipt); err == nil {
			at = r.At
		}
	}
	kept, err := t.keptKeysets(ctx)
	if err != nil {
		return nil, err
	}
	if f.Keyset, err = evidence.KeysetFor(t.root, kept, spend, at); err != nil {
		return nil, err
	}
	if f.Conflict, err = p.conflict(); err != nil {
		return nil, err
	}
	f.Groups, err = t.groupPapers(ctx, append([]*coin.Spend{spend}, others(f.Conflict)...)...)
	return f, err
}

// others is the spend that a proof shows, if there is one.
func others(conflict []byte) []*coin.Spend {
	var proof coin.ConflictProof
	if len(conflict) == 0 || json.Unmarshal(conflict, &proof) != nil || proof.Spend == nil {
		return nil
	}
	return []*coin.Spend{proof.Spend}
}

// keptKeysets are the keysets in the till's file, those that it was first to see in
// front.
func (t *Till) keptKeysets(ctx context.Context) ([][]byte, error) {
	rows, err := t.db.QueryContext(ctx, "SELECT value FROM meta WHERE key = ? OR key LIKE ?", metaKeyset, metaKeyset+" %")
	if err != nil {
		return nil, fmt.Errorf("till: keysets: %w", err)
	}
	defer rows.Close()
	var papers []paper
	for rows.Next() {
		var raw []byte
		var p paper
		if err := rows.Scan(&raw); err != nil {
			return nil, fmt.Errorf("till: keysets: %w", err)
		}
		if err := json.Unmarshal(raw, &p); err != nil {
			return nil, fmt.Errorf("till: keysets: %w: %w", sqlitefile.ErrDamaged, err)
		}
		papers = append(papers, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("till: keysets: %w", err)
	}
	slices.SortFunc(papers, func(a, b paper) int { return a.At.Compare(b.At) })
	out := make([][]byte, len(papers))
	for i := range papers {
		out[i] = papers[i].JWS
	}
	return out, nil
}

// groupPapers are the documents of the groups that the spends' bound coins are of, as
// the till has them.
func (t *Till) groupPapers(ctx context.Context, spends ...*coin.Spend) (out [][]byte, err error) {
	var have [][32]byte
	for _, s := range spends {
		if s.Group == ([32]byte{}) || slices.Contains(have, s.Group) {
			continue
		}
		jws, err := t.groupPaper(ctx, s.Group)
		if err != nil {
			return nil, err
		}
		have, out = append(have, s.Group), append(out, jws)
	}
	return out, nil
}

func (t *Till) groupPaper(ctx context.Context, group [32]byte) ([]byte, error) {
	for _, url := range t.settings.GroupURLs {
		var seen paper
		found, err := getMeta(ctx, t.db, metaGroup+url, &seen)
		if err != nil {
			return nil, err
		}
		if found && evidence.IsGroup(t.root, seen.JWS, group) {
			return seen.JWS, nil
		}
	}
	return nil, fmt.Errorf("%w: no document of the group that its coins are of", ErrNoPayment)
}

// conflict is what the bank has shown for refusing a payment: another spend of its
// coins, with the consent of their owners (coin.ConflictProof). It was verified when
// it came. Nil if there is none.
func (p *payment) conflict() (json.RawMessage, error) {
	_, err := p.known()
	var r *Refusal
	switch {
	case p.state != StateRefused:
		return nil, nil
	case errors.As(err, &r):
		return r.Conflict, nil
	}
	return nil, err
}
