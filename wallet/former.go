package wallet

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/sqlitefile"
)

// former is a membership that a later one has succeeded, because its TPM was
// cleared or is gone. Coins that were bound to its key can't be spent any more.
type former struct {
	membership
	// Succession is the manager's word that the member who follows is the same
	// person (compact JWS, see enrol.ParseSuccession).
	Succession []byte `json:"succession"`
	// GoodUntil is what Succession says (enrol.Succession.GoodUntil): a newer word
	// that says later is not taken. It is zero where an earlier version of this
	// program read it.
	GoodUntil time.Time `json:"good_until,omitzero"`
	// Then are his words about those in between who follow him, and whom this wallet
	// never was: their activations' answers were lost.
	Then [][]byte `json:"then,omitempty"`
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
func (w *Wallet) leave(ctx context.Context, tx *sql.Tx, old *membership, words line, next []byte) error {
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
	list = append(list, former{membership: *old, Left: w.now()})
	words.link(list, next)
	return putMeta(ctx, tx, metaFormer, list)
}

// line are the manager's words about who continued whom, oldest first.
type line struct {
	jws  [][]byte
	read []*enrol.Succession
}

// readLine verifies the words that lead to the member with this tag.
func (w *Wallet) readLine(group string, jws [][]byte, tag []byte) (line, error) {
	if len(tag) != 33 {
		return line{}, fmt.Errorf("%w: a tag of %d bytes", sqlitefile.ErrDamaged, len(tag))
	}
	read, err := enrol.ParseLine(w.root, group, jws, [33]byte(tag), w.now())
	if errors.Is(err, enrol.ErrSuccession) {
		err = fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return line{jws, read}, err
}

// from is the place of the word by which a member is followed, -1 if there is
// none.
func (l line) from(tag []byte) int {
	return slices.IndexFunc(l.read, func(s *enrol.Succession) bool { return bytes.Equal(s.Old[:], tag) })
}

// link puts the words where they belong among former memberships, in the place of
// older ones, which count only while the certificate does under which they were
// signed. One that puts off what the older one promised is passed over.
func (l line) link(list []former, present []byte) {
	for i := range list {
		next := present
		if i+1 < len(list) {
			next = list[i+1].Tag
		}
		begin := l.from(list[i].Tag)
		if begin < 0 {
			continue
		}
		until := l.read[begin].GoodUntil
		if had := list[i].GoodUntil; !had.IsZero() && until.After(had) {
			continue
		}
		for end := begin; end < len(l.read); end++ {
			if bytes.Equal(l.read[end].New[:], next) {
				list[i].Succession, list[i].GoodUntil, list[i].Then = l.jws[begin], until, l.jws[begin+1:end+1]
				break
			}
		}
	}
}

// notPutOff refuses the manager's word that somebody may still take what the old
// membership signs for longer than he knows to be true: until then its coins are not
// recovered. Its last credential may be of one epoch more than the one that came
// here, and of the present epoch if somebody else has the TPM and the purse.
func (c *candidate) notPutOff(old *membership, until time.Time) error {
	cred, err := group.ParseCredential(old.Credential)
	if err != nil {
		return err
	}
	last := c.doc.Current
	if cred.Epoch >= last.Number || !c.w.now().Add(groupdoc.EpochSkew).Before(last.Ends) {
		length := last.Ends.Sub(last.Starts)
		if last = c.doc.Next; last.Number == 0 { // not announced
			last.Ends = c.doc.Current.Ends.Add(length)
		}
	}
	if until.After(last.Ends) {
		return fmt.Errorf("%w: the manager says that your old membership is over on %s, and its last epoch ends on %s: its coins could not be recovered before",
			ErrAnswer, until.UTC().Format("2006-01-02 15:04 UTC"), last.Ends.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return nil
}

// words are the manager's on this membership and on those until the next one that
// the wallet was.
func (f *former) words() [][]byte { return append([][]byte{f.Succession}, f.Then...) }

// keepWords puts newer words in the place of those that are kept.
func (w *Wallet) keepWords(ctx context.Context, words line) error {
	if len(words.jws) == 0 {
		return nil
	}
	list, err := w.formerly(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	words.link(list, w.enrolled.Tag)
	return w.purse.put(ctx, metaFormer, list)
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
