package issuer_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

// TestAnAuditFindsDamagedRefundsAndStrikes: each damage is under a journal that
// vouches for it.
func TestAnAuditFindsDamagedRefundsAndStrikes(t *testing.T) {
	// reorder replaces the order of a recorded refund.
	reorder := func(t *testing.T, op *ledger.Op, p *paidShop, signer *issuertest.Till, change func(*coin.RefundOrder)) {
		t.Helper()
		var r struct {
			Order   string            `json:"order"`
			Outputs []coin.OutputJSON `json:"outputs"`
		}
		expect(t, json.Unmarshal(op.Request, &r), nil)
		order, _, err := coin.VerifyRefundOrder([]byte(r.Order))
		expect(t, err, nil)
		if change != nil {
			change(order)
		}
		jws, err := order.Sign(signer.Key)
		expect(t, err, nil)
		r.Order = string(jws)
		op.Request, err = json.Marshal(r)
		expect(t, err, nil)
	}
	type damage struct {
		name   string
		kind   string
		change func(t *testing.T, p *paidShop, op *ledger.Op)
		want   string
	}
	tests := []damage{
		{"a refund under another id", issuer.KindRefund, nil, "its request is that of"},
		{"a refund into other outputs", issuer.KindRefund, nil, "marked other outputs"},
		{"a refund that took less", issuer.KindRefund, func(_ *testing.T, _ *paidShop, op *ledger.Op) {
			for i := range op.Postings {
				if strings.HasPrefix(op.Postings[i].Account, "merchant/") {
					op.Postings[i].Account = "reserve"
				}
			}
		}, "moved other amounts"},
		{"a refund that counted for nothing", issuer.KindRefund, func(_ *testing.T, _ *paidShop, op *ledger.Op) { op.Quotas = nil }, "counted toward other limits"},
		{"a refund whose request does not read", issuer.KindRefund, func(_ *testing.T, _ *paidShop, op *ledger.Op) { op.Request = []byte("{") }, "does not read"},
		{"a refund whose order nobody signed", issuer.KindRefund, func(_ *testing.T, _ *paidShop, op *ledger.Op) {
			op.Request = bytes.Replace(op.Request, []byte(`","outputs"`), []byte(`A","outputs"`), 1)
		}, "refund"},
		{"a refund that another merchant ordered", issuer.KindRefund, func(t *testing.T, p *paidShop, op *ledger.Op) {
			reorder(t, op, p, p.NewTill(t), nil)
		}, "another merchant's"},
		{"a refund of no deposit", issuer.KindRefund, func(t *testing.T, p *paidShop, op *ledger.Op) {
			reorder(t, op, p, p.till, func(o *coin.RefundOrder) { o.Deposit = ledger.ID{7} })
		}, "its deposit"},
		{"a refund of other outputs than ordered", issuer.KindRefund, func(t *testing.T, p *paidShop, op *ledger.Op) {
			reorder(t, op, p, p.till, func(o *coin.RefundOrder) { o.Outputs[0] ^= 1 })
		}, "for other outputs"},
		{"refunds of more than was paid", issuer.KindRefund, func(_ *testing.T, _ *paidShop, op *ledger.Op) { op.Quotas[0].Amount = 9 }, "were given back of"},
		{"a strike under another id", issuer.KindStrike, nil, "its request is that of"},
		{"a strike for a right authorisation", issuer.KindStrike, func(t *testing.T, p *paidShop, op *ledger.Op) {
			var r map[string]any
			expect(t, json.Unmarshal(op.Request, &r), nil)
			spend, err := coin.EncodeSpend(p.request.Spend, p.request.Authorisation)
			expect(t, err, nil)
			id := p.request.Spend.Op()
			r["hold"], r["deposit"] = id[:], map[string]any{"spend": json.RawMessage(spend)}
			op.Request, err = json.Marshal(r)
			expect(t, err, nil)
		}, "its authorisation is right"},
		{"a strike under a hold of other coins", issuer.KindStrike, func(_ *testing.T, _ *paidShop, op *ledger.Op) {
			op.Request = bytes.Replace(op.Request, []byte(`"hold":"`), []byte(`"hold":"AAAA`), 1)
		}, "other coins"},
		{"a strike filed away", issuer.KindStrike, func(_ *testing.T, _ *paidShop, op *ledger.Op) { op.Account = "holder/x" }, "filed under another account"},
		{"a strike whose request does not read", issuer.KindStrike, func(_ *testing.T, _ *paidShop, op *ledger.Op) { op.Request = []byte(`[]`) }, "does not read"},
		{"a strike that moves money", issuer.KindStrike, func(_ *testing.T, _ *paidShop, op *ledger.Op) {
			op.Postings = []ledger.Posting{{Account: "holder/x", Amount: 1, Currency: "EUR"}, {Account: "reserve", Amount: -1, Currency: "EUR"}}
		}, "moved other amounts"},
	}
	p := newPaidShop(t)
	_, err := p.Refund(t.Context(), p.till.Account, p.order(t, p.purse.Prepare(t, 2), nil))
	expect(t, err, nil)
	offer := p.till.Offer(t, 2, nil)
	s, a := p.purse.Pay(t, offer, p.coins[2:3], nil)
	request := p.till.Deposit(offer, s, a)
	_, err = p.Hold(t.Context(), p.till.Account, holdOf(request))
	expect(t, err, nil)
	_, err = p.Deposit(t.Context(), p.till.Account, breakBearer(request, 3))
	expect(t, err, coin.ErrOwner)
	sound, err := p.Audit(t.Context(), nil)
	expect(t, err, nil)
	expect(t, sound.Err(), nil)
	for _, tt := range tests {
		before, err := p.Audit(t.Context(), nil)
		expect(t, err, nil)
		n := len(before.Problems)
		p.tamper(t, tt.kind, func(op *ledger.Op) {
			op.ID[1], op.ID[2] = byte(n), 0xfd
			for i := range op.Spends {
				op.Spends[i].ID[1], op.Spends[i].ID[2] = byte(n), 0xfd
			}
			for i := range op.Quotas {
				op.Quotas[i].Max = ledger.MaxAmount
			}
			if tt.change != nil {
				tt.change(t, p, op)
			}
		})
		after, err := p.Audit(t.Context(), nil)
		expect(t, err, nil)
		expect(t, after.Err(), issuer.ErrBooks)
		fresh := slices.DeleteFunc(after.Problems, func(text string) bool { return slices.Contains(before.Problems, text) })
		if !slices.ContainsFunc(fresh, func(text string) bool { return strings.Contains(text, tt.want) }) {
			t.Errorf("%s: found %q, want %q", tt.name, fresh, tt.want)
		}
	}
}
