package issuer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/sqlite"
)

// audited is a bank after some ordinary life: a funding, withdrawals, a deposit
// with change, an exchange, a void, and a double spend of a bound coin.
func audited(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	ctx := t.Context()
	_, change, request := s.payment(t)
	done, err := s.Deposit(ctx, s.till.Account, request)
	expect(t, err, nil)
	coins := change.Finalize(t, done.Signatures)
	spend, authorisation := s.purse.Exchange(t, coins, s.purse.Prepare(t, 2).Outputs)
	_, err = s.Exchange(ctx, spend, authorisation)
	expect(t, err, nil)
	offer := s.till.Offer(t, 1, nil)
	spend, authorisation = s.purse.Void(t, offer, s.coins[3:], s.purse.Prepare(t, 1).Outputs)
	_, err = s.Exchange(ctx, spend, authorisation)
	expect(t, err, nil)

	m := s.House.Admit(t)
	account, _ := s.Funded(t, 4)
	batch := s.purse.PrepareBound(t, m, 4)
	signed, err := s.Withdraw(ctx, account, batch.Outputs)
	expect(t, err, nil)
	bound := batch.Finalize(t, signed.Signatures)
	for _, want := range []error{nil, issuer.ErrDoubleSpend} {
		offer := s.till.Offer(t, 4, nil)
		spend, authorisation := s.purse.AuthoriseBound(t, m, issuertest.Payment(offer, bound, nil))
		_, err = s.Deposit(ctx, s.till.Account, s.till.Deposit(offer, spend, authorisation))
		expect(t, err, want)
	}
	return s
}

func TestAnAuditOfOrdinaryLifeFindsNothing(t *testing.T) {
	s := audited(t)
	var last [2]int64
	r, err := s.Audit(t.Context(), func(done, total int64) { last = [2]int64{done, total} })
	expect(t, err, nil)
	expect(t, r.Err(), nil)
	if r.Bank != issuertest.BankID || r.Keyset != 1 || r.Rows.Ops != 9 || r.Coins != 6 || r.Forgotten != 0 {
		t.Errorf("report %+v", r)
	}
	if last[0] == 0 || last[0] != last[1] {
		t.Errorf("progress ended at %v", last)
	}
	for _, k := range r.Keys {
		if k.Kind == coin.Bound && k.Value == 4 && (k.Issued != 4 || k.Redeemed != 4 || k.Balance != 0) {
			t.Errorf("bound 4: %+v", k)
		}
		if k.Kind == coin.Bearer && k.Value == 1 && (k.Issued != 4 || k.Redeemed != 3 || k.Balance != 1) {
			t.Errorf("bearer 1: %+v", k)
		}
	}
}

func TestAnAuditNamesTheKeyThatLeaked(t *testing.T) {
	r := newRobbed(t, nil)
	r.issue(t, 1)
	for _, c := range r.key.Forge(t, r.purse, &r.d, 2) {
		expect(t, r.deposit(t, c), nil)
	}
	report, err := r.Audit(t.Context(), nil)
	expect(t, err, nil)
	err = report.Err()
	expect(t, err, issuer.ErrLeaked)
	var leaked *issuer.LeakedError
	if !errors.As(err, &leaked) || len(leaked.Keys) != 1 || leaked.Keys[0].KeyID != r.d.KeyID ||
		leaked.Keys[0].Issued != 16 || leaked.Keys[0].Redeemed != 32 || !strings.Contains(err.Error(), r.d.KeyID.String()) {
		t.Errorf("got %v", err)
	}
	if errors.Is(err, issuer.ErrBooks) {
		t.Error("a coin by a leaked key is a good coin: nothing else is wrong")
	}
}

// tamper copies a recorded operation with something changed, under a journal
// that vouches for it: somebody wrote to the ledger who may.
func (s *shop) tamper(t *testing.T, kind string, change func(op *ledger.Op)) {
	t.Helper()
	var found *ledger.Op
	_, err := s.Ledger.Verify(t.Context(), ledger.Verification{Op: func(op *ledger.Op) error {
		if op.Kind == kind && found == nil {
			found = op
		}
		return nil
	}})
	expect(t, err, nil)
	op := *found
	op.ID[0] ^= 1
	for i := range op.Spends {
		op.Spends[i].ID[0] ^= 1
	}
	for i := range op.Quotas {
		op.Quotas[i].Max = ledger.MaxAmount // a condition, which is not kept
	}
	change(&op)
	out, err := s.Ledger.Apply(t.Context(), op)
	expect(t, err, nil)
	if out.Status != ledger.Applied {
		t.Fatalf("ledger answered %s", out.Status)
	}
}

// respend alters the spend in a deposit's or exchange's request.
func respend(t *testing.T, op *ledger.Op, change func(s *coin.Spend, a *coin.Authorisation)) {
	t.Helper()
	var r struct {
		Offer     []byte          `json:"offer,omitempty"`
		PayeeSalt []byte          `json:"payee_salt,omitempty"`
		Spend     json.RawMessage `json:"spend"`
	}
	expect(t, json.Unmarshal(op.Request, &r), nil)
	s, a, err := coin.DecodeSpend(r.Spend)
	expect(t, err, nil)
	change(s, a)
	r.Spend, err = coin.EncodeSpend(s, a)
	expect(t, err, nil)
	op.Request, err = json.Marshal(r)
	expect(t, err, nil)
}

func TestAnAuditFindsWhatTheRequestsDoNotSay(t *testing.T) {
	tests := []struct {
		name   string
		kind   string
		change func(t *testing.T, op *ledger.Op)
		want   string
	}{
		{"a withdrawal under another id", issuer.KindWithdrawal, func(*testing.T, *ledger.Op) {}, "its request is that of"},
		{"a withdrawal that took less than its coins are worth", issuer.KindWithdrawal, func(_ *testing.T, op *ledger.Op) {
			for i := range op.Postings {
				if strings.HasPrefix(op.Postings[i].Account, "holder/") {
					op.Postings[i].Account = "reserve"
				}
			}
		}, "moved other amounts"},
		{"a withdrawal whose request does not read", issuer.KindWithdrawal, func(_ *testing.T, op *ledger.Op) { op.Request = []byte("{") }, "does not read"},
		{"a withdrawal whose outputs do not read", issuer.KindWithdrawal, func(_ *testing.T, op *ledger.Op) {
			op.Request = []byte(`{"account":"holder/x","outputs":[{"kid":"x","blinded":""}]}`)
		}, "does not read"},
		{"a deposit into another account", issuer.KindDeposit, func(_ *testing.T, op *ledger.Op) {
			for i := range op.Postings {
				if strings.HasPrefix(op.Postings[i].Account, "merchant/") {
					op.Postings[i].Account = "merchant/eve"
				}
			}
		}, "moved other amounts"},
		{"a deposit that spent another coin", issuer.KindDeposit, func(*testing.T, *ledger.Op) {}, "spent other coins"},
		{"a withdrawal that marked other outputs", issuer.KindWithdrawal, func(*testing.T, *ledger.Op) {}, "marked other outputs"},
		{"a deposit of a coin that the bank did not sign", issuer.KindDeposit, func(t *testing.T, op *ledger.Op) {
			respend(t, op, func(s *coin.Spend, _ *coin.Authorisation) { s.Coins[0].Signature[9] ^= 1 })
		}, coin.ErrCoinSignature.Error()},
		{"a deposit that no owner signed", issuer.KindDeposit, func(t *testing.T, op *ledger.Op) {
			respend(t, op, func(_ *coin.Spend, a *coin.Authorisation) { a.Bearer[0][9] ^= 1 })
		}, coin.ErrOwner.Error()},
		{"a deposit whose request does not read", issuer.KindDeposit, func(_ *testing.T, op *ledger.Op) { op.Request = []byte(`{"spend":{}}`) }, "does not read"},
		{"an exchange that is none", issuer.KindExchange, func(t *testing.T, op *ledger.Op) {
			respend(t, op, func(s *coin.Spend, _ *coin.Authorisation) {
				s.Purpose, s.OfferDigest, s.Amount, s.ToIssuer = coin.Pay, [32]byte{1}, 2, nil
			})
		}, "a spend for"},
		{"an exchange for an account", issuer.KindExchange, func(_ *testing.T, op *ledger.Op) { op.Kind = issuer.KindDeposit }, "a spend for"},
		{"a funding from nowhere", issuer.KindFunding, func(_ *testing.T, op *ledger.Op) {
			for i := range op.Postings {
				op.Postings[i].Amount *= 2
			}
		}, "moved other amounts"},
		{"a funding whose request does not read", issuer.KindFunding, func(_ *testing.T, op *ledger.Op) { op.Request = nil }, "does not read"},
		{"a payout of another amount", issuer.KindPayout, func(_ *testing.T, op *ledger.Op) {
			for i := range op.Postings {
				op.Postings[i].Amount *= 2
			}
		}, "moved other amounts"},
		{"a payout that settles another account", issuer.KindPayout, func(_ *testing.T, op *ledger.Op) {
			op.Quotas = []ledger.Quota{{Name: "settled/holder/eve", Amount: 1, Max: ledger.MaxAmount}}
		}, "counted toward other limits"},
		{"a payout under another reference", issuer.KindPayout, func(*testing.T, *ledger.Op) {}, "its request is that of"},
		{"a payout whose request does not read", issuer.KindPayout, func(_ *testing.T, op *ledger.Op) { op.Request = nil }, "does not read"},
		{"a withdrawal that counts for somebody else", issuer.KindWithdrawal, func(_ *testing.T, op *ledger.Op) {
			op.Quotas = []ledger.Quota{{Name: "withdrawn/holder/eve/2026-01-01", Amount: 1, Max: ledger.MaxAmount}}
		}, "counted toward other limits"},
		{"a suspension for another reason", issuer.KindSuspension, func(_ *testing.T, op *ledger.Op) {
			op.Request = bytes.Replace(op.Request, []byte(`"account":"`), []byte(`"account":"x`), 1)
		}, "its request is that of"},
		{"a suspension without a reason", issuer.KindSuspension, func(_ *testing.T, op *ledger.Op) {
			op.Request = []byte(`{"account":"holder/x","reason":"","cause":"AAAA"}`)
		}, "gives no reason"},
		{"a suspension filed away", issuer.KindSuspension, func(_ *testing.T, op *ledger.Op) { op.Account = "holder/x" }, "filed under another account"},
		{"a reinstatement that moves money", issuer.KindReinstatement, func(_ *testing.T, op *ledger.Op) {
			op.Postings = []ledger.Posting{{Account: "holder/x", Amount: 1, Currency: "EUR"}, {Account: "reserve", Amount: -1, Currency: "EUR"}}
		}, "moved other amounts"},
		{"a reinstatement whose request does not read", issuer.KindReinstatement, func(_ *testing.T, op *ledger.Op) { op.Request = []byte("[]") }, "does not read"},
		{"a case that moves money", issuer.KindCase, func(_ *testing.T, op *ledger.Op) {
			op.Postings = []ledger.Posting{{Account: "holder/x", Amount: 1, Currency: "EUR"}, {Account: "reserve", Amount: -1, Currency: "EUR"}}
		}, "moved other amounts"},
		{"a case whose request does not read", issuer.KindCase, func(_ *testing.T, op *ledger.Op) { op.Request = []byte(`{"coin_id":"x"}`) }, "does not read"},
		{"an operation that no bank knows", issuer.KindCase, func(_ *testing.T, op *ledger.Op) { op.Kind = "gift" }, "unknown kind"},
	}
	s := audited(t)
	paid, _ := s.Funded(t, 9)
	_, err := s.Payout(t.Context(), paid.ID, 3, "out")
	expect(t, err, nil)
	expect(t, s.Suspend(t.Context(), paid.ID, "a look"), nil)
	expect(t, s.Reinstate(t.Context(), paid.ID, "looked"), nil)
	for _, tt := range tests {
		before, err := s.Audit(t.Context(), nil)
		expect(t, err, nil)
		n := len(before.Problems)
		s.tamper(t, tt.kind, func(op *ledger.Op) {
			op.ID[1], op.ID[2] = byte(n), 0xfe
			for i := range op.Spends {
				op.Spends[i].ID[1], op.Spends[i].ID[2] = byte(n), 0xfe
			}
			tt.change(t, op)
		})
		after, err := s.Audit(t.Context(), nil)
		expect(t, err, nil)
		expect(t, after.Err(), issuer.ErrBooks)
		fresh := slices.DeleteFunc(after.Problems, func(p string) bool { return slices.Contains(before.Problems, p) })
		if !slices.ContainsFunc(fresh, func(p string) bool { return strings.Contains(p, tt.want) }) {
			t.Errorf("%s: found %q, want %q", tt.name, fresh, tt.want)
		}
	}
}

func TestAnAuditFindsAlteredRows(t *testing.T) {
	s := audited(t)
	db, err := sql.Open("sqlite", s.Path)
	expect(t, err, nil)
	_, err = db.Exec("UPDATE postings SET amount = amount + 1 WHERE account LIKE 'holder/%'")
	expect(t, err, nil)
	expect(t, db.Close(), nil)
	r, err := s.Audit(t.Context(), nil)
	expect(t, err, nil)
	expect(t, r.Err(), issuer.ErrBooks)
	if r.Rows.Found == 0 {
		t.Error("the rows are said to be sound")
	}
}

func TestAnAuditNeedsTheLedgersOwnKeyset(t *testing.T) {
	s := audited(t)
	ctx := t.Context()
	h := s.House
	parse := func(jws []byte) *coin.Keyset {
		k, err := coin.ParseKeyset(h.Root, jws, issuertest.Now)
		expect(t, err, nil)
		return k
	}
	other := h.Draft
	other.Bank = "OTHERBANK"
	audit := func(l ledger.Ledger, k *coin.Keyset) error {
		_, err := issuer.Audit(ctx, l, k, issuertest.Now, nil)
		return err
	}
	// Long after, when the first key is forgotten and today's certificates are over.
	next := &coin.Keyset{
		Bank: h.Keyset.Bank, Currency: h.Keyset.Currency, Exponent: h.Keyset.Exponent, Seq: h.Keyset.Seq + 1, Prev: h.Keyset.Digest,
		IssuedAt: h.Keyset.Denominations[0].LegalUntil, Denominations: h.Keyset.Denominations[1:],
	}
	payload, err := next.Marshal()
	expect(t, err, nil)
	next.Digest = sha256.Sum256(payload)
	foreign := h.Draft
	foreign.IssuedAt = foreign.IssuedAt.AddDate(0, 0, -1)
	expect(t, audit(s.Ledger, parse(h.SignKeyset(t, foreign))), coin.ErrFork)
	r, err := issuer.Audit(ctx, s.Ledger, next, issuertest.Now, nil)
	expect(t, err, nil)
	expect(t, r.Err(), nil)
	if r.Forgotten != 4 || len(r.Keys) != len(next.Denominations)+1 {
		t.Errorf("%d operations under a forgotten key, %d keys", r.Forgotten, len(r.Keys))
	}
	if last := r.Keys[len(r.Keys)-1]; last.KeyID != h.Keyset.Denominations[0].KeyID || last.Issued != 4 || last.Value != 0 {
		t.Errorf("the forgotten key: %+v", last)
	}
	expect(t, s.Reload(ctx, h.Successor(t, h.Keyset, nil), keep), nil)
	expect(t, audit(s.Ledger, h.Keyset), coin.ErrRollback)
	expect(t, s.Ledger.SetMeta(ctx, ledger.MetaBank, []byte("OTHERBANK")), nil)
	expect(t, audit(s.Ledger, next), issuer.ErrConfig)
	empty, err := sqlite.OpenLedger(ctx, filepath.Join(t.TempDir(), "l.db"), sqlite.Options{})
	expect(t, err, nil)
	defer func() { expect(t, empty.Close(), nil) }()
	expect(t, audit(empty, next), issuer.ErrConfig)
	ended, stop := context.WithCancel(ctx)
	stop()
	if _, err := s.Audit(ended, nil); err == nil {
		t.Error("an audit was finished after its end")
	}
}
