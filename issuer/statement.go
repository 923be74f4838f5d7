package issuer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/ledger"
)

// MaxStatement bounds the entries of a statement that is exported whole.
const MaxStatement = 10_000

// Period is what a statement is about: From is within it, Until is not.
type Period struct{ From, Until time.Time }

// Statement is what happened on an account in a period, all of it or one page.
type Statement struct {
	// ID names account and period, 22 characters; a repeated export has the
	// same.
	ID       string
	Bank     string
	Account  *Account
	Exponent int // decimals of the currency
	// Until is never later than the second after At: what has not happened yet
	// is in the next statement.
	Period
	At time.Time // when it was made
	// Opening is what the account held before From, Closing before Until, in
	// minor units.
	Opening, Closing int64
	Entries          []StatementEntry
	// Next is the cursor of the next page, empty on the last and in a whole
	// statement.
	Next ledger.Cursor
}

// StatementEntry is one line of a statement.
type StatementEntry struct {
	ledger.Entry
	// Reference is that of a funding or payout to the world outside; empty for
	// others.
	Reference string
}

// newStatement is a statement without its entries.
func (b *Bank) newStatement(ctx context.Context, account *Account, p Period) (*Statement, error) {
	now := b.now()
	p.From, p.Until = p.From.UTC(), p.Until.UTC()
	if soon := now.Add(time.Second); p.Until.After(soon) {
		p.Until = soon
	}
	if p.From.Unix() <= 0 || !p.From.Before(p.Until) {
		return nil, fmt.Errorf("%w: a statement ends after it begins, and begins in the past", ErrMalformed)
	}
	s := &Statement{Bank: b.id, Account: account, Exponent: b.current().keyset.Exponent, Period: p, At: now}
	d := frame.Digest([]byte("specie/statement/1"), []byte(b.id), []byte(account.ID),
		frame.Uint64(uint64(p.From.UnixMicro())), frame.Uint64(uint64(p.Until.UnixMicro())))
	s.ID = base64.RawURLEncoding.EncodeToString(d[:16])
	var err error
	if s.Opening, err = b.cfg.Ledger.BalanceAt(ctx, account.ID, b.currency, p.From); err == nil {
		s.Closing, err = b.cfg.Ledger.BalanceAt(ctx, account.ID, b.currency, p.Until)
	}
	if err != nil {
		return nil, fmt.Errorf("issuer: statement: %w", store(err))
	}
	return s, nil
}

// StatementPage returns one page of a statement, newest entry first. page's
// From and Until are ignored. ErrMalformed for a period that is none or a
// cursor that the bank did not give out.
func (b *Bank) StatementPage(ctx context.Context, account *Account, p Period, page ledger.Page) (*Statement, error) {
	s, err := b.newStatement(ctx, account, p)
	if err != nil {
		return nil, err
	}
	page.From, page.Until = s.From, s.Until
	entries, next, err := b.Entries(ctx, account.ID, page)
	if err != nil {
		return nil, err
	}
	s.Next = next
	return s, b.refer(ctx, s, entries)
}

// Statement returns a whole statement, oldest entry first, in which opening
// balance and entries come to the closing balance. ErrMalformed, or a
// *LimitError for more than MaxStatement entries: ask for a shorter period.
func (b *Bank) Statement(ctx context.Context, account *Account, p Period) (*Statement, error) {
	const tries = 3 // an operation of this very second may be recorded while it is read
	for range tries {
		s, err := b.newStatement(ctx, account, p)
		if err != nil {
			return nil, err
		}
		sum := s.Opening
		page := ledger.Page{Limit: ledger.MaxPage, From: s.From, Until: s.Until}
		for {
			entries, next, err := b.Entries(ctx, account.ID, page)
			if err != nil {
				return nil, err
			}
			if len(s.Entries)+len(entries) > MaxStatement {
				return nil, &LimitError{Name: LimitStatement, Max: MaxStatement}
			}
			for i := range entries {
				sum += entries[i].Amount // 10^4 of at most 2^53: wraps at worst, and differs
			}
			if err := b.refer(ctx, s, entries); err != nil {
				return nil, err
			}
			if page.After = next; next == "" {
				break
			}
		}
		if sum == s.Closing {
			slices.Reverse(s.Entries)
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: the account moves faster than it is read", ErrUnavailable)
}

// refer adds entries to a statement, with their references.
func (b *Bank) refer(ctx context.Context, s *Statement, entries []ledger.Entry) error {
	for i := range entries {
		e := StatementEntry{Entry: entries[i]}
		if e.Kind == KindFunding || e.Kind == KindPayout {
			op, err := b.cfg.Ledger.Op(ctx, e.Op)
			if err != nil {
				return fmt.Errorf("issuer: statement: %w", store(err))
			}
			var r transferRequest
			if err := json.Unmarshal(op.Request, &r); err != nil {
				return fmt.Errorf("issuer: recorded %s does not read: %v", e.Kind, err)
			}
			e.Reference = r.Reference
		}
		s.Entries = append(s.Entries, e)
	}
	return nil
}
