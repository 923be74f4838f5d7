package issuer_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/trust"
)

// snapshot copies the bank's ledger as it is now.
func (s *shop) snapshot(t *testing.T) string {
	t.Helper()
	db, err := sql.Open("sqlite", s.Path)
	expect(t, err, nil)
	path := filepath.Join(t.TempDir(), "copy.db")
	_, err = db.Exec("VACUUM INTO ?", path)
	expect(t, err, nil)
	expect(t, db.Close(), nil)
	return path
}

// restored opens a snapshot with its fence raised, as a bank that does not
// work yet.
func (s *shop) restored(t *testing.T, path string) *shop {
	t.Helper()
	l, err := sqlite.OpenLedger(t.Context(), path, sqlite.Options{})
	expect(t, err, nil)
	t.Cleanup(func() { expect(t, l.Close(), nil) })
	fence := ledger.Fence{Reason: ledger.FenceRestored, At: issuertest.Now, Lost: 3}.Encode()
	expect(t, l.SetMeta(t.Context(), ledger.MetaFence, fence), nil)
	out := *s
	bank := *s.Bank
	out.Bank = &bank
	out.Ledger, out.Path, out.Config.Ledger = l, path, l
	return &out
}

// open opens the bank of a restored shop.
func (s *shop) open(t *testing.T) error {
	t.Helper()
	b, err := issuer.New(t.Context(), s.Config)
	if err == nil {
		s.Bank.Bank = b
	}
	return err
}

// again is a payment with coins that were spent before, to another offer.
func (s *shop) again(t *testing.T, coins []coin.Coin, amount coin.Amount) error {
	t.Helper()
	offer := s.till.Offer(t, amount, func(o *coin.Offer) { o.Expires = s.Clock.Now().Add(time.Minute) })
	spend, authorisation := s.purse.Pay(t, offer, coins, nil)
	_, err := s.Deposit(t.Context(), s.till.Account, s.till.Deposit(offer, spend, authorisation))
	return err
}

func TestACoinThatWasSpentAfterTheBackupStaysSpent(t *testing.T) {
	ctx := t.Context()
	s := newShop(t)
	before := s.snapshot(t)
	_, _, request := s.payment(t)
	done, err := s.Deposit(ctx, s.till.Account, request)
	expect(t, err, nil)
	s = s.restored(t, before)
	s.Clock.Set(issuertest.Now.Add(48 * time.Hour)) // the offer has ended long since

	err = s.open(t)
	expect(t, err, issuer.ErrFenced)
	if !strings.Contains(err.Error(), "restored from a backup") || !strings.Contains(err.Error(), "known to be missing: 3") {
		t.Errorf("the bank does not say why: %v", err)
	}
	_, err = issuer.BeginReconciliation(ctx, s.Ledger, s.Clock.Now())
	expect(t, err, nil)
	r, err := issuer.BeginReconciliation(ctx, s.Ledger, s.Clock.Now().Add(time.Hour))
	expect(t, err, nil)
	if !r.Open || r.Epoch != 1 || !r.Began.Equal(s.Clock.Now()) {
		t.Errorf("reconciliation %+v", r)
	}
	expect(t, s.open(t), nil)

	// Nothing moves, whatever it is.
	expect(t, s.again(t, s.coins[:2], 12), issuer.ErrReconciling)
	account, _ := s.Funded(t, 4)
	_, err = s.Withdraw(ctx, account, s.purse.Prepare(t, 4).Outputs)
	expect(t, err, issuer.ErrReconciling)
	spend, authorisation := s.purse.Exchange(t, s.coins[2:3], s.purse.Prepare(t, 2).Outputs)
	_, err = s.Exchange(ctx, spend, authorisation)
	expect(t, err, issuer.ErrReconciling)
	_, err = s.Deposit(ctx, s.till.Account, request)
	if !errors.Is(err, issuer.ErrReconciling) && !errors.Is(err, coin.ErrOfferExpired) {
		t.Errorf("a deposit without its receipt: %v", err)
	}

	// But what the bank gave a receipt for.
	for range 2 {
		back, err := s.Redeposit(ctx, s.till.Account, request, done.Receipt)
		expect(t, err, nil)
		if back.Op != done.Op || !bytes.Equal(back.Receipt, done.Receipt) || len(back.Signatures) != 2 || !bytes.Equal(back.Signatures[0], done.Signatures[0]) {
			t.Errorf("the answer is another than before: %+v", back)
		}
	}
	entries, _, err := s.Entries(ctx, s.till.Account.ID, ledgerPage)
	expect(t, err, nil)
	if len(entries) != 1 || !entries[0].At.Equal(issuertest.Now) {
		t.Errorf("the deposit is not on the day it was made: %+v", entries)
	}

	_, err = s.FinishReconciliation(ctx, "")
	expect(t, err, issuer.ErrMalformed)
	r, err = s.FinishReconciliation(ctx, "all tills were here")
	expect(t, err, nil)
	if r.Open || r.Epoch != 1 {
		t.Errorf("reconciliation %+v", r)
	}
	_, err = s.FinishReconciliation(ctx, "again")
	expect(t, err, issuer.ErrNotFenced)
	_, err = issuer.BeginReconciliation(ctx, s.Ledger, s.Clock.Now())
	expect(t, err, issuer.ErrNotFenced)
	expect(t, s.again(t, s.coins[:2], 12), issuer.ErrDoubleSpend)
	_, err = s.Exchange(ctx, spend, authorisation)
	expect(t, err, nil)
	expect(t, s.open(t), nil)
	s.CheckBooks(t, 4, 10, 5)
	report, err := s.Audit(ctx, nil)
	expect(t, err, nil)
	expect(t, report.Err(), nil)
}

// lateLedger fails one call that writes, counted from 0.
type lateLedger struct {
	ledger.Ledger
	left int
}

var errLate = errors.New("store gone")

func (l *lateLedger) fails() error {
	l.left--
	if l.left == -1 {
		return errLate
	}
	return nil
}

func (l *lateLedger) SetMeta(ctx context.Context, key string, value []byte) error {
	if err := l.fails(); err != nil {
		return err
	}
	return l.Ledger.SetMeta(ctx, key, value)
}

func (l *lateLedger) Apply(ctx context.Context, op ledger.Op) (ledger.Outcome, error) {
	if err := l.fails(); err != nil {
		return ledger.Outcome{}, err
	}
	return l.Ledger.Apply(ctx, op)
}

func TestAReconciliationThatIsCutShortIsBegunAgain(t *testing.T) {
	ctx := t.Context()
	whole := newShop(t)
	before := whole.snapshot(t)
	for n := range 4 {
		path := filepath.Join(t.TempDir(), "copy.db")
		db, err := sql.Open("sqlite", before)
		expect(t, err, nil)
		_, err = db.Exec("VACUUM INTO ?", path)
		expect(t, err, nil)
		expect(t, db.Close(), nil)
		s := whole.restored(t, path)
		_, err = issuer.BeginReconciliation(ctx, s.Ledger, issuertest.Now)
		expect(t, err, nil)
		late := &lateLedger{Ledger: s.Ledger, left: 1 << 30}
		s.Config.Ledger = late
		expect(t, s.open(t), nil)
		late.left = n
		_, err = s.FinishReconciliation(ctx, "one")
		expect(t, err, errLate)
		err = s.open(t)
		if errors.Is(err, issuer.ErrFenced) {
			_, err = issuer.BeginReconciliation(ctx, s.Ledger, issuertest.Now)
			expect(t, err, nil)
			err = s.open(t)
		}
		expect(t, err, nil)
		expect(t, s.again(t, s.coins[3:], 1), issuer.ErrReconciling)
		r, err := s.FinishReconciliation(ctx, "two")
		expect(t, err, nil)
		if r.Epoch == 0 {
			t.Error("tills would not notice")
		}
		expect(t, s.again(t, s.coins[3:], 1), nil)
		report, err := s.Audit(ctx, nil)
		expect(t, err, nil)
		expect(t, report.Err(), nil)
	}
}

func TestOneProcessFinishesTheReconciliationForAll(t *testing.T) {
	ctx := t.Context()
	s := newShop(t)
	s = s.restored(t, s.snapshot(t))
	_, err := issuer.BeginReconciliation(ctx, s.Ledger, issuertest.Now)
	expect(t, err, nil)
	expect(t, s.open(t), nil)
	other, err := issuer.New(ctx, s.Config)
	expect(t, err, nil)
	_, err = other.FinishReconciliation(ctx, "by another process")
	expect(t, err, nil)
	expect(t, s.again(t, s.coins[3:], 1), issuer.ErrReconciling) // has not heard of it
	time.Sleep(1100 * time.Millisecond)
	expect(t, s.again(t, s.coins[3:], 1), nil)
}

func TestABackupFromTheMidstOfAReconciliationIsReconciledAnew(t *testing.T) {
	ctx := t.Context()
	s := newShop(t)
	s = s.restored(t, s.snapshot(t))
	begun, err := issuer.BeginReconciliation(ctx, s.Ledger, issuertest.Now)
	expect(t, err, nil)
	var backup bytes.Buffer
	_, err = ledger.WriteBackup(ctx, s.Ledger, &backup, nil)
	expect(t, err, nil)
	l, err := sqlite.OpenLedger(ctx, filepath.Join(t.TempDir(), "loaded.db"), sqlite.Options{})
	expect(t, err, nil)
	t.Cleanup(func() { expect(t, l.Close(), nil) })
	_, err = ledger.ReadBackup(ctx, l, &backup, nil)
	expect(t, err, nil)
	s.Config.Ledger = l
	expect(t, s.open(t), issuer.ErrFenced)
	again, err := issuer.BeginReconciliation(ctx, l, issuertest.Now)
	expect(t, err, nil)
	if again.Epoch <= begun.Epoch {
		t.Errorf("tills that have seen epoch %d would not notice %d", begun.Epoch, again.Epoch)
	}
	expect(t, s.open(t), nil)
}

func TestAFenceThatIsRaisedWhileTheBankWorksIsSeen(t *testing.T) {
	ctx := t.Context()
	s := newShop(t)
	expect(t, s.again(t, s.coins[3:], 1), nil)
	fence := ledger.Fence{Reason: ledger.FenceBehind, At: issuertest.Now, Lost: 3}.Encode()
	expect(t, s.Ledger.SetMeta(ctx, ledger.MetaFence, fence), nil) // by another process
	time.Sleep(1100 * time.Millisecond)
	expect(t, s.again(t, s.coins[:2], 12), issuer.ErrFenced)
	_, err := s.Reconciliation(ctx)
	expect(t, err, issuer.ErrFenced)
	_, err = issuer.BeginReconciliation(ctx, s.Ledger, issuertest.Now)
	expect(t, err, nil)
	time.Sleep(1100 * time.Millisecond)
	expect(t, s.again(t, s.coins[:2], 12), issuer.ErrReconciling)
	_, err = s.FinishReconciliation(ctx, "nothing was missing")
	expect(t, err, nil)
	expect(t, s.again(t, s.coins[:2], 12), nil)
}

func TestADepositIsTakenBackOnTheBanksOwnReceiptOnly(t *testing.T) {
	ctx := t.Context()
	s := newShop(t)
	before := s.snapshot(t)
	_, _, request := s.payment(t)
	done, err := s.Deposit(ctx, s.till.Account, request)
	expect(t, err, nil)
	offer := s.till.Offer(t, 2, nil)
	spend, authorisation := s.purse.Pay(t, offer, s.coins[2:3], nil)
	other, err := s.Deposit(ctx, s.till.Account, s.till.Deposit(offer, spend, authorisation))
	expect(t, err, nil)
	receipt, err := coin.VerifyDepositReceipt(s.House.Root, done.Receipt, issuertest.Now)
	expect(t, err, nil)
	forged, err := receipt.Sign(s.House.Manager.Key, s.House.Manager.Chain)
	expect(t, err, nil)
	thief := s.NewTill(t)
	s = s.restored(t, before)

	tests := []struct {
		name    string
		account *issuer.Account
		receipt []byte
		change  func(r *issuer.DepositRequest)
		want    error
	}{
		{"none", s.till.Account, nil, nil, coin.ErrReceipt},
		{"rubbish", s.till.Account, []byte("rubbish"), nil, coin.ErrReceipt},
		{"of another payment", s.till.Account, other.Receipt, nil, coin.ErrReceipt},
		{"by another than the bank", s.till.Account, forged, nil, trust.ErrRole},
		{"for another merchant", thief.Account, done.Receipt, nil, coin.ErrForeignOffer},
		{"for a holder", &issuer.Account{Kind: issuer.Holder}, done.Receipt, nil, issuer.ErrForbidden},
		{"for an exchange", s.till.Account, done.Receipt, func(r *issuer.DepositRequest) {
			r.Spend, r.Authorisation = s.purse.Exchange(t, s.coins[2:3], s.purse.Prepare(t, 2).Outputs)
		}, coin.ErrPurpose},
		{"for a coin that the bank did not sign", s.till.Account, done.Receipt, func(r *issuer.DepositRequest) {
			spend := *r.Spend
			spend.Coins = append([]coin.Coin{}, spend.Coins...)
			spend.Coins[0].Signature = bytes.Clone(spend.Coins[0].Signature)
			spend.Coins[0].Signature[9] ^= 1
			r.Spend = &spend
		}, coin.ErrCoinSignature},
		{"for a coin whose owner did not pay", s.till.Account, done.Receipt, func(r *issuer.DepositRequest) {
			a := *r.Authorisation
			a.Bearer = append([][]byte{}, a.Bearer...)
			a.Bearer[0] = bytes.Clone(a.Bearer[0])
			a.Bearer[0][9] ^= 1
			r.Authorisation = &a
		}, coin.ErrOwner},
	}
	_, err = issuer.BeginReconciliation(ctx, s.Ledger, issuertest.Now)
	expect(t, err, nil)
	expect(t, s.open(t), nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := *request
			if tt.change != nil {
				tt.change(&r)
			}
			_, err := s.Redeposit(ctx, tt.account, &r, tt.receipt)
			expect(t, err, tt.want)
		})
	}
	// Somebody was faster, after all: both papers are there.
	_, err = s.FinishReconciliation(ctx, "too early")
	expect(t, err, nil)
	expect(t, s.again(t, s.coins[:2], 12), nil)
	_, err = s.Redeposit(ctx, s.till.Account, request, done.Receipt)
	expect(t, err, issuer.ErrDoubleSpend)
}
