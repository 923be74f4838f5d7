package issuer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/ledger"
)

// strikeRecord is what the ledger keeps of a strike: the evidence.
type strikeRecord struct {
	Account string          `json:"account"`
	Hold    []byte          `json:"hold"`
	Reason  string          `json:"reason"`
	Deposit json.RawMessage `json:"deposit"` // a depositRecord
}

// strikeID names a wrong try under a hold by its content.
func strikeID(bank string, hold, deposit []byte) ledger.ID {
	return frame.Digest([]byte("specie/strike/1"), []byte(bank), hold, deposit)
}

// misauthorised says whether a refusal of coin.Verify is one that the merchant's
// own check of the same bytes must have found: an owner's signature, or a
// presentation, that does not verify. Not that a member was expelled, an epoch is
// over, a key has leaked or a group is not taken: a till may have an older
// document than the bank, or the bank than the till.
func misauthorised(err error) bool {
	if errors.Is(err, ErrUnavailable) {
		return false
	}
	for _, wrong := range []error{coin.ErrOwner, group.ErrProof, group.ErrCredential, group.ErrMalformed, group.ErrClaim} {
		if errors.Is(err, wrong) {
			return true
		}
	}
	return false
}

// refusedDeposit is the refusal of a deposit. Under an open hold of its own, a
// wrong authorisation is a strike.
func (b *Bank) refusedDeposit(ctx context.Context, account *Account, r *DepositRequest, now time.Time, reason error) error {
	if errors.Is(reason, ErrUnavailable) {
		return reason
	}
	hold, err := b.cfg.Ledger.Hold(ctx, r.Spend.Op())
	switch {
	case errors.Is(err, ledger.ErrNotFound) || err == nil && !hold.Open(now):
		return b.refused(ctx, r.Spend, now, reason)
	case err != nil:
		return fmt.Errorf("issuer: look up hold: %w", store(err))
	case hold.Account != account.ID: // he presents another merchant's payment
		return &HeldError{Until: hold.Until}
	}
	if hold.Strikes >= b.limits.Strikes {
		return b.held(ctx, hold.ID, hold)
	}
	if !misauthorised(reason) {
		return reason
	}
	request, err := encodeRecord(r.Offer, r.PayeeSalt[:], r.Spend, r.Authorisation)
	if err != nil {
		return reason // not of a form in which a till could have checked it
	}
	return b.strike(ctx, hold, request, reason)
}

// suspended is the refusal of a deposit of a suspended account: its hold, if that
// was struck, or else reason.
func (b *Bank) suspended(ctx context.Context, op ledger.ID, reason error) error {
	hold, err := b.cfg.Ledger.Hold(ctx, op)
	if errors.Is(err, ledger.ErrNotFound) {
		return reason
	}
	if err != nil {
		return fmt.Errorf("issuer: look up hold: %w", store(err))
	}
	if hold.Open(b.now()) && hold.Strikes >= b.limits.Strikes {
		return &HeldError{Until: hold.Until, Struck: true}
	}
	return reason
}

// strike records a wrong try and counts it; at the limit the hold is struck.
// Each step may be repeated, and whoever finds one undone does it: the same
// request again, another one under the hold (held), or a bank that opens
// (resumeStrikes).
func (b *Bank) strike(ctx context.Context, hold *ledger.Hold, deposit []byte, reason error) error {
	id := strikeID(b.id, hold.ID[:], deposit)
	request, err := json.Marshal(strikeRecord{Account: hold.Account, Hold: hold.ID[:], Reason: reason.Error(), Deposit: deposit})
	if err != nil {
		return fmt.Errorf("issuer: strike: %w", err)
	}
	_, err = b.cfg.Ledger.Apply(ctx, ledger.Op{
		ID: id, Kind: KindStrike, Account: strikesAccount, Issuer: b.id, State: ledger.StateDone, Request: request, At: b.now(),
	})
	if err != nil {
		return fmt.Errorf("issuer: strike: %w", store(err))
	}
	hold, err = b.cfg.Ledger.Strike(ctx, hold.ID, id)
	if err != nil {
		return fmt.Errorf("issuer: strike: %w", store(err))
	}
	b.log.WarnContext(ctx, "a wrong authorisation under a hold", "account", hold.Account, "strikes", hold.Strikes)
	if hold.Strikes >= b.limits.Strikes {
		return b.held(ctx, hold.ID, hold)
	}
	return reason
}

// suspendStruck suspends the merchant of a struck hold, once for the hold: an
// operator who reinstated him since has the last word.
func (b *Bank) suspendStruck(ctx context.Context, h *ledger.Hold) error {
	r := suspensionRecord{Account: h.Account, Cause: h.ID[:]}
	done, err := b.recorded(ctx, r.id(b.id, KindSuspension))
	if err != nil || done != nil {
		return err
	}
	reason := fmt.Sprintf("%d wrong authorisations under hold %s of %s", h.Strikes, base64.RawURLEncoding.EncodeToString(h.ID[:])[:12], h.At.UTC().Format(time.RFC3339))
	return b.suspend(ctx, h.Account, reason, h.ID[:])
}

// resumeStrikes does what a bank that crashed between the steps of a strike left
// undone, as long as the holds are remembered.
func (b *Bank) resumeStrikes(ctx context.Context) error {
	for page := (ledger.Page{}); ; {
		ops, next, err := b.cfg.Ledger.OpsByAccount(ctx, strikesAccount, page)
		if err != nil {
			return fmt.Errorf("issuer: strikes: %w", store(err))
		}
		for i := range ops {
			if ops[i].At.Before(b.now().Add(-holdMemory)) {
				return nil
			}
			if err := b.resumeStrike(ctx, &ops[i]); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		page.After = next
	}
}

func (b *Bank) resumeStrike(ctx context.Context, op *ledger.Op) error {
	if op.Kind != KindStrike {
		return nil
	}
	var r strikeRecord
	if err := json.Unmarshal(op.Request, &r); err != nil || len(r.Hold) != len(ledger.ID{}) {
		return fmt.Errorf("issuer: recorded strike does not read: %v", err)
	}
	hold, err := b.cfg.Ledger.Strike(ctx, ledger.ID(r.Hold), op.ID)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil // forgotten
	}
	if err != nil {
		return fmt.Errorf("issuer: strike: %w", store(err))
	}
	if hold.Strikes < b.limits.Strikes {
		return nil
	}
	return b.suspendStruck(ctx, hold)
}

// Act is a strike, suspension or reinstatement.
type Act struct {
	ID      ledger.ID
	Kind    string // KindStrike, KindSuspension or KindReinstatement
	At      time.Time
	Account string
	Reason  string
	// Hold is the hold that was struck, zero if none was.
	Hold ledger.ID
	// Deposit is the wrong request of a strike: {offer, payee_salt, spend}, as
	// it was sent.
	Deposit json.RawMessage
}

// Acts lists strikes, suspensions and reinstatements, newest first, and the
// cursor of the next page, empty on the last. ErrMalformed for a cursor that the
// bank did not give out.
func (b *Bank) Acts(ctx context.Context, page ledger.Page) ([]Act, ledger.Cursor, error) {
	ops, next, err := b.cfg.Ledger.OpsByAccount(ctx, strikesAccount, page)
	if errors.Is(err, ledger.ErrMalformed) {
		return nil, "", fmt.Errorf("%w: cursor", ErrMalformed)
	}
	if err != nil {
		return nil, "", fmt.Errorf("issuer: strikes: %w", store(err))
	}
	out := make([]Act, len(ops))
	for i := range ops {
		op := &ops[i]
		// A strike's record and a suspension's have these in common.
		var r struct {
			Account string          `json:"account"`
			Reason  string          `json:"reason"`
			Hold    []byte          `json:"hold"`
			Cause   []byte          `json:"cause"`
			Struck  bool            `json:"struck"`
			Deposit json.RawMessage `json:"deposit"`
		}
		if err := json.Unmarshal(op.Request, &r); err != nil {
			return nil, "", fmt.Errorf("issuer: recorded %s does not read: %v", op.Kind, err)
		}
		out[i] = Act{ID: op.ID, Kind: op.Kind, At: op.At, Account: r.Account, Reason: r.Reason, Deposit: r.Deposit}
		if r.Struck {
			r.Hold = r.Cause
		}
		copy(out[i].Hold[:], r.Hold)
	}
	return out, next, nil
}

// rebuildStrike recomputes a strike: the wrong request is as it was, and is
// wrong.
func (f *inForce) rebuildStrike(op *ledger.Op) (*rebuilt, error) {
	var r strikeRecord
	if err := json.Unmarshal(op.Request, &r); err != nil {
		return nil, fmt.Errorf("request does not read: %v", err)
	}
	s, a, err := recordedSpend(&ledger.Op{Kind: op.Kind, Request: r.Deposit})
	if err != nil {
		return nil, err
	}
	if op.Account != strikesAccount || ledger.Class(r.Account) != string(Merchant) {
		return nil, errors.New("it is filed under another account")
	}
	if id := s.Op(); string(id[:]) != string(r.Hold) {
		return nil, errors.New("its hold is of other coins")
	}
	// Presentations are not verified again, see Audit.
	if len(s.BoundClaims()) == 0 && a.VerifyOwners(s) == nil {
		return nil, errors.New("its authorisation is right")
	}
	return &rebuilt{id: strikeID(f.keyset.Bank, r.Hold, r.Deposit)}, nil
}
