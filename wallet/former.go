package wallet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/sqlitefile"
)

// former is a membership that a later one has succeeded, because its TPM was
// cleared or is gone. Coins that were bound to its key can't be spent any more.
type former struct {
	membership
	// Succession is the manager's word that the member who follows is the same
	// person (compact JWS, see enrol.ParseSuccession).
	Succession []byte `json:"succession"`
	// Left is when the wallet took it up.
	Left time.Time `json:"left"`
}

// formerly lists the former memberships, oldest first.
func (w *Wallet) formerly(ctx context.Context) ([]former, error) {
	var list []former
	if _, err := w.purse.get(ctx, metaFormer, &list); err != nil {
		return nil, err
	}
	for i := range list {
		if err := list[i].complete(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// leave puts a membership among the former ones. Coins that are bound to its key
// are stranded from then on: nothing chooses them any more.
func (w *Wallet) leave(ctx context.Context, tx *sql.Tx, old *membership, succession []byte) error {
	var raw []byte
	err := tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", metaFormer).Scan(&raw)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("purse: %s: %w", metaFormer, err)
	}
	var list []former
	if raw != nil {
		if err := json.Unmarshal(raw, &list); err != nil {
			return fmt.Errorf("purse: %s: %w: %w", metaFormer, sqlitefile.ErrDamaged, err)
		}
	}
	// Coins of before the purse knew more than one key are of this one.
	if _, err := tx.ExecContext(ctx, "UPDATE coins SET key = ? WHERE kind = 'bound' AND key IS NULL", old.Name); err != nil {
		return fmt.Errorf("purse: coins: %w", err)
	}
	list = append(list, former{membership: *old, Succession: succession, Left: w.now()})
	return putMeta(ctx, tx, metaFormer, list)
}

// complete checks what was read, and fills in what is not written.
func (m *membership) complete() error {
	if len(m.GroupID) != 32 || len(m.Tag) != 33 {
		return fmt.Errorf("%w: membership", sqlitefile.ErrDamaged)
	}
	m.groupID = [32]byte(m.GroupID)
	return m.keyRef.check()
}

// loadMembership reads the membership. A key that lies in the purse, where it
// was kept by earlier versions of this program, moves into a file.
func (w *Wallet) loadMembership(ctx context.Context) error {
	var m membership
	found, err := w.purse.get(ctx, metaMembership, &m)
	if err != nil || !found {
		return err
	}
	if m.Blob != nil {
		if m.keyRef, err = w.moveKey(m.Group, *m.Blob); err != nil {
			return err
		}
		m.Blob = nil
		if err := w.purse.put(ctx, metaMembership, m); err != nil {
			return err
		}
	}
	if err := m.complete(); err != nil {
		return err
	}
	w.enrolled = &m
	return nil
}
