package wallet

import (
	"context"
	"database/sql"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/words"
)

// SeedWords are the words of a seed, see package words.
func SeedWords(seed coin.Seed) []string { return words.Encode(seed) }

// ParseWords reads the words of a seed: a *words.Error says what is wrong.
func ParseWords(text string) (coin.Seed, error) {
	secret, err := words.Decode(text)
	return secret, err
}

// WordsDue says whether nobody has written down this purse's words yet.
func (w *Wallet) WordsDue(ctx context.Context) (due bool, err error) {
	_, err = w.purse.get(ctx, metaWordsDue, &due)
	return due, err
}

// Words are this purse's words, for who has not written them down yet; afterwards
// it is ErrWordsShown.
func (w *Wallet) Words(ctx context.Context) ([]string, error) {
	due, err := w.WordsDue(ctx)
	if err != nil {
		return nil, err
	}
	if !due {
		return nil, ErrWordsShown
	}
	return SeedWords(w.seed), nil
}

// WordsWritten notes that the person has written the words down.
func (w *Wallet) WordsWritten(ctx context.Context) error {
	return w.purse.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM meta WHERE key = ?", metaWordsDue)
		return err
	})
}
