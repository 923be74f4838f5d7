package ledger

import (
	"context"
	"fmt"
	"time"
)

// Keys of Meta that every ledger has a use for.
const (
	// MetaBank is the id of the bank whose ledger it is.
	MetaBank = "bank"
	// MetaRestoreEpoch counts restorations from a backup.
	MetaRestoreEpoch = "restore-epoch"
	// MetaFence says, if it is there and not empty, that the store may lack
	// what was recorded last, and why. See Load and package issuer.
	MetaFence = "fence"
)

// MaxMeta bounds a meta value, in bytes: a signed document fits.
const MaxMeta = 4 << 20

// Status says what became of an op.
type Status int

// What Apply answers.
const (
	Applied      Status = iota + 1 // recorded by this call
	Replayed                       // recorded before: see Existing
	Conflict                       // refused, ids already spent: see Conflicts
	Insufficient                   // refused, an account would be overdrawn: see Short
	Held                           // refused, held for another op: see Hold
	Exceeded                       // refused, a limit would be passed: see Over
)

// String returns the status in lower case.
func (s Status) String() string {
	switch s {
	case Applied:
		return "applied"
	case Replayed:
		return "replayed"
	case Conflict:
		return "conflict"
	case Insufficient:
		return "insufficient"
	case Held:
		return "held"
	case Exceeded:
		return "exceeded"
	}
	return fmt.Sprintf("status %d", int(s))
}

// Outcome is the answer of Apply.
type Outcome struct {
	Status Status
	// Existing is the recorded op when Replayed. Its Request may differ from
	// the new one: an id that is a content hash rules that out.
	Existing *Op
	// Conflicts are the spends already taken when Conflict, in the order of
	// the op's Spends.
	Conflicts []Taken
	// Short names the floors that would be broken when Insufficient.
	Short []string
	// Hold is the hold that stands against the op when Held; if several do,
	// one that lasts longest.
	Hold *Hold
	// Over names the quotas that would be passed when Exceeded.
	Over []string
}

// Taken is an id that is spent, and the op that spent it.
type Taken struct {
	Epoch string
	ID    ID
	Op    ID
}

// Ledger is a bank's durable state. The package comment says what holds for
// all methods.
type Ledger interface {
	// Apply records op, or says why not: see the package comment for the
	// order of checks. Errors other than ErrUnavailable, ErrClosed and the
	// context's: ErrMalformed, ErrUnbalanced, ErrUnknownEpoch, ErrOverflow,
	// all only for an id that is not recorded.
	Apply(ctx context.Context, op Op) (Outcome, error)
	// SetAnswer settles an op's state and answer by the rule of Settle.
	// Repeating a call is harmless. ErrNotFound, ErrAnswered, ErrMalformed.
	SetAnswer(ctx context.Context, id ID, state string, answer []byte) error
	// Op returns a recorded op, or ErrNotFound.
	Op(ctx context.Context, id ID) (*Op, error)
	// OpsByAccount lists the ops run on behalf of an account, newest first.
	// The cursor is empty on the last page.
	OpsByAccount(ctx context.Context, account string, page Page) ([]Op, Cursor, error)

	// PlaceHold places a hold unless one of its coins is spent (Conflict) or held by
	// an open hold of another id (Held), or a limit would be passed (Exceeded,
	// see HoldLimits). A hold is placed once: for an id that was held before,
	// ended or not, it answers Replayed, and Outcome.Hold is what was placed
	// then, as it stands now. Otherwise Applied. ErrMalformed, ErrUnknownEpoch.
	PlaceHold(ctx context.Context, h Hold, limits HoldLimits) (Outcome, error)
	// ReleaseHold ends a hold before its time. Repeating it is harmless.
	// ErrNotFound.
	ReleaseHold(ctx context.Context, id ID) error
	// Strike counts a wrong try under a hold, whose content hashes to try, and
	// returns the hold. The same try is counted once. ErrNotFound.
	Strike(ctx context.Context, id ID, try [32]byte) (*Hold, error)
	// Hold returns a hold, ended or not, or ErrNotFound.
	Hold(ctx context.Context, id ID) (*Hold, error)
	// OpenHolds returns the holds of an account, or of all if it is empty,
	// that are open at that time, oldest first, at most limit (see Page.Size).
	OpenHolds(ctx context.Context, account string, at time.Time, limit int) ([]Hold, error)
	// HeldCoins returns, for those ids of epoch that an open hold keeps at that
	// time, that hold's id and end. ErrUnknownEpoch.
	HeldCoins(ctx context.Context, epoch string, ids []ID, at time.Time) (map[ID]Hold, error)
	// PruneHolds forgets holds that ended before then, and returns how many.
	// An id that was pruned can be held again.
	PruneHolds(ctx context.Context, before time.Time) (int64, error)

	// Count returns what was counted toward a quota.
	Count(ctx context.Context, name string) (int64, error)

	// OpenEpoch makes the spent set of epoch, once; repeating it is harmless.
	OpenEpoch(ctx context.Context, epoch string) error
	// SpentBy returns, for those ids that are spent in epoch, the op that
	// spent them. ErrUnknownEpoch.
	SpentBy(ctx context.Context, epoch string, ids []ID) (map[ID]ID, error)

	// Balance returns an account's balance, zero for one never posted to.
	Balance(ctx context.Context, account, currency string) (int64, error)
	// BalanceAt returns what an account held before that time: the sum of its
	// postings with an earlier At.
	BalanceAt(ctx context.Context, account, currency string, at time.Time) (int64, error)
	// Entries lists an account's postings, newest first, within the page's
	// From and Until. The cursor is empty on the last page.
	Entries(ctx context.Context, account string, page Page) ([]Entry, Cursor, error)
	// Totals returns the balances of all accounts whose path begins with
	// prefix, of all accounts if it is empty, ordered by account and
	// currency. It is one consistent picture: all of it sums to zero.
	Totals(ctx context.Context, prefix string) ([]Balance, error)

	// CreateAccount adds a record and tokens that open it; Rev is ignored.
	// ErrMalformed, ErrFull, or a *DuplicateError for FieldAccount or
	// FieldToken.
	CreateAccount(ctx context.Context, a Account, tokens ...AccessToken) error
	// UpdateAccount replaces the record whose ID and Rev are given; ID,
	// Kind, Currency and CreatedAt must stay (ErrMalformed). ErrNotFound,
	// ErrStale.
	UpdateAccount(ctx context.Context, a Account) error
	// Account returns a record, or ErrNotFound.
	Account(ctx context.Context, id string) (*Account, error)
	// CreateToken adds a token to an account. ErrNotFound for the account,
	// ErrMalformed, a *DuplicateError for FieldToken, or ErrFull when MaxTokens
	// others are neither revoked nor, at t.CreatedAt, past their time.
	CreateToken(ctx context.Context, t AccessToken) error
	// RevokeToken marks a token as revoked at that time, which may be ahead. If
	// it was revoked before, the earlier of both times stands. ErrNotFound,
	// ErrMalformed.
	RevokeToken(ctx context.Context, hash [32]byte, at time.Time) error
	// Token returns the token with that hash and the account it opens, revoked
	// or not, or ErrNotFound.
	Token(ctx context.Context, hash [32]byte) (*AccessToken, *Account, error)
	// Tokens lists an account's tokens, oldest first: all that may still open it,
	// and the newest MaxTokens of the others.
	Tokens(ctx context.Context, account string) ([]AccessToken, error)
	// Accounts returns at most limit (see Page.Size) records whose path
	// begins with prefix and sorts after after, in the order of their paths.
	Accounts(ctx context.Context, prefix, after string, limit int) ([]Account, error)

	// Meta returns a value of the store's identity, or ErrNotFound.
	Meta(ctx context.Context, key string) ([]byte, error)
	// SetMeta sets it, at most MaxMeta bytes. ErrMalformed.
	SetMeta(ctx context.Context, key string, value []byte) error

	// Verify recomputes everything from the rows: journals are unbroken and
	// agree with what they record, the postings of each op sum to zero,
	// balances are the postings folded, and spent sets and ops refer to each
	// other. What is found is in Audit.Problems, with ErrCorrupt. It reads
	// the whole store in one consistent picture, and writing goes on beside it.
	Verify(ctx context.Context, v Verification) (*Audit, error)

	// Flows adds up what the ops of a part of a journal moved, in no order that
	// means something. It reads the postings of that part and nothing else: what
	// it costs goes by the range, of which a caller takes as much at a time as it
	// likes. ErrMalformed; a sum that leaves 63 bits is an error too.
	Flows(ctx context.Context, r FlowRange) ([]Flow, error)
	// Condition says how the store is.
	Condition(ctx context.Context) (*Condition, error)
	// WriterStats are what the store's writer has done. It may be called at any
	// time.
	WriterStats() WriterStats

	// Heads returns the ends of all journals as they are now, ordered by lane.
	Heads(ctx context.Context) ([]Head, error)
	// Head returns where the journal of a lane ended when it had seq records, or
	// where it ends now if seq is zero. ErrNotFound if it has not so many, or
	// none.
	Head(ctx context.Context, lane string, seq uint64) (Head, error)

	// Dump shows the whole store to row, in one consistent picture and in the
	// order that Load takes it. Writing goes on beside it. row may keep what it
	// is shown; its error ends Dump. progress is as in Verification. ErrCorrupt,
	// when all was shown, if rows do not agree with their journal.
	Dump(ctx context.Context, row func(*Row) error, progress func(done, total int64)) error
	// Load fills an empty store with what Dump showed, all or nothing, and
	// raises its fence (MetaFence): what the other store recorded later is not
	// in it. next returns io.EOF at the end; Load may keep what it returns, and
	// calls it no more when it has returned itself. ErrState if the store is not
	// empty, ErrCorrupt if the rows do not agree with each other (see
	// RowChecker), or the error of next.
	Load(ctx context.Context, next func() (*Row, error)) error

	// Close waits for writes under way and releases the store.
	Close() error
}

// Verification is what a Verify is asked for besides. The zero value is good.
type Verification struct {
	// Progress, if not nil, is told now and then how many of how many rows are
	// done; at the end, all.
	Progress func(done, total int64)
	// Op, if not nil, is shown every op of the journal, lane by lane in their
	// order, as its rows have it and with the state and answer that it was
	// recorded with. It may keep the op. Its error ends Verify.
	Op func(*Op) error
}

// MaxProblems bounds Audit.Problems.
const MaxProblems = 100

// Audit is what Verify saw.
type Audit struct {
	// Rows counted.
	Ops, Answers, Postings, Spends, Accounts, Records int64
	// Heads are the ends of the journals, ordered by lane.
	Heads []Head
	// Problems are the first MaxProblems found, and Found counts them all.
	Problems []string
	Found    int64
}

// Problem notes something wrong.
func (a *Audit) Problem(format string, args ...any) {
	a.Found++
	if len(a.Problems) < MaxProblems {
		a.Problems = append(a.Problems, fmt.Sprintf(format, args...))
	}
}

// Err returns nil, or ErrCorrupt with the first problem and the number of
// all.
func (a *Audit) Err() error {
	if a.Found == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s (problems found: %d)", ErrCorrupt, a.Problems[0], a.Found)
}
