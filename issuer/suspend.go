package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/ledger"
)

// Kinds of operation that record what was done about an account, as evidence.
const (
	KindStrike        = "strike"
	KindSuspension    = "suspension"
	KindReinstatement = "reinstatement"
)

// strikesAccount is the account that strikes, suspensions and reinstatements
// are filed under. Nothing is posted to it.
const strikesAccount = "strikes"

// MaxReason bounds the reason of a suspension or reinstatement, in bytes.
const MaxReason = 500

// suspensionRecord is what the ledger keeps of a suspension or reinstatement.
type suspensionRecord struct {
	Account string `json:"account"`
	Reason  string `json:"reason"`
	// Cause tells one from the next of the same account: the hold that was
	// struck, or a hash of the account's version.
	Cause []byte `json:"cause"`
	// Struck says that Cause is a hold.
	Struck bool `json:"struck,omitempty"`
}

// op is the operation that records it.
func (r *suspensionRecord) op(bank, kind string) (ledger.Op, error) {
	request, err := json.Marshal(r)
	if err != nil {
		return ledger.Op{}, fmt.Errorf("issuer: %s: %w", kind, err)
	}
	return ledger.Op{
		ID: r.id(bank, kind), Kind: kind, Account: strikesAccount, Issuer: bank, State: ledger.StateDone, Request: request,
	}, nil
}

func (r *suspensionRecord) id(bank, kind string) ledger.ID {
	return frame.Digest([]byte("specie/"+kind+"/1"), []byte(bank), []byte(r.Account), r.Cause)
}

// versionCause is the cause of what an operator does to a version of an account.
func versionCause(account *ledger.Account, rev uint64) []byte {
	d := frame.Digest([]byte("specie/account-version/1"), []byte(account.ID), frame.Uint64(rev))
	return d[:]
}

// active returns ErrSuspended for a suspended account. It is asked once no
// recorded operation was found: what was promised is kept.
func (a *Account) active() error {
	if a.Suspended {
		return ErrSuspended
	}
	return nil
}

// Suspend shuts an account until Reinstate opens it again: with its tokens one
// sees what is in it, gets recorded answers again and revokes tokens, and all
// else is ErrSuspended. The reason, for the operator, is on the
// account and in the ledger. An account that is suspended stays as it is.
// ErrMalformed, ErrNotFound.
func (b *Bank) Suspend(ctx context.Context, account, reason string) error {
	if err := checkReason(reason); err != nil {
		return err
	}
	return b.suspend(ctx, account, reason, nil)
}

// suspend shuts an account, because of a struck hold unless that is nil. The
// account comes first: a crash in between leaves it shut, and whoever repeats
// this writes the record, under the same id.
func (b *Bank) suspend(ctx context.Context, account, reason string, hold []byte) error {
	for {
		a, err := b.account(ctx, account)
		if err != nil {
			return fmt.Errorf("issuer: suspend: %w", err)
		}
		rev := a.Rev
		if a.Suspended {
			reason, rev = a.Reason, rev-1
		} else {
			a.Suspended, a.Reason = true, reason
			err := b.cfg.Ledger.UpdateAccount(ctx, *a)
			if errors.Is(err, ledger.ErrStale) {
				continue
			}
			if err != nil {
				return fmt.Errorf("issuer: suspend: %w", store(err))
			}
			b.log.WarnContext(ctx, "an account is suspended", "account", account)
		}
		r := &suspensionRecord{Account: account, Reason: reason, Cause: hold, Struck: hold != nil}
		if hold == nil {
			r.Cause = versionCause(a, rev)
		}
		return b.recordAct(ctx, r, KindSuspension)
	}
}

// Reinstate opens a suspended account again; reason says why. An account that
// is not suspended stays as it is. ErrMalformed, ErrNotFound.
func (b *Bank) Reinstate(ctx context.Context, account, reason string) error {
	if err := checkReason(reason); err != nil {
		return err
	}
	for {
		a, err := b.account(ctx, account)
		if err != nil {
			return fmt.Errorf("issuer: reinstate: %w", err)
		}
		if !a.Suspended {
			return nil
		}
		// The record comes first: what was opened without one would leave none.
		r := &suspensionRecord{Account: account, Reason: reason, Cause: versionCause(a, a.Rev)}
		if err := b.recordAct(ctx, r, KindReinstatement); err != nil {
			return err
		}
		a.Suspended, a.Reason = false, ""
		err = b.cfg.Ledger.UpdateAccount(ctx, *a)
		if errors.Is(err, ledger.ErrStale) {
			continue
		}
		if err != nil {
			return fmt.Errorf("issuer: reinstate: %w", store(err))
		}
		return nil
	}
}

// account reads the record of an account that somebody logs in to.
func (b *Bank) account(ctx context.Context, id string) (*ledger.Account, error) {
	if err := checkAccountID(id, Holder, Merchant, Operator, Supervisor); err != nil {
		return nil, err
	}
	a, err := b.cfg.Ledger.Account(ctx, id)
	if err != nil {
		return nil, store(err)
	}
	return a, nil
}

func (b *Bank) recordAct(ctx context.Context, r *suspensionRecord, kind string) error {
	op, err := r.op(b.id, kind)
	if err != nil {
		return err
	}
	op.At = b.now()
	if _, err := b.cfg.Ledger.Apply(ctx, op); err != nil {
		return fmt.Errorf("issuer: %s: %w", kind, store(err))
	}
	return nil
}

func checkReason(reason string) error {
	if reason == "" || len(reason) > MaxReason || !utf8.ValidString(reason) || strings.ContainsRune(reason, 0) {
		return fmt.Errorf("%w: a reason is 1 to %d bytes of UTF-8", ErrMalformed, MaxReason)
	}
	return nil
}

// rebuildSuspension recomputes a suspension or reinstatement.
func (f *inForce) rebuildSuspension(op *ledger.Op) (*rebuilt, error) {
	var r suspensionRecord
	if err := json.Unmarshal(op.Request, &r); err != nil {
		return nil, fmt.Errorf("request does not read: %v", err)
	}
	if op.Account != strikesAccount || r.Reason == "" {
		return nil, errors.New("it is filed under another account, or gives no reason")
	}
	return &rebuilt{id: r.id(f.keyset.Bank, op.Kind)}, nil
}
