package issuer

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/ledger"
)

// Each key has a made set beside its spent set: what the bank has signed under
// it, or is bound to sign. An operation marks its outputs there after its
// coins, so a blinded message is paid for once: a purse that was restored from
// an old copy, and counts its coins from where it was, would pay again for
// coins that it has, and could spend only one of each two.

// madeClass begins the name of a made set. It is no hex digit, so no spent set
// is named like one.
const madeClass = "m_"

// madeOf names a key's made set: 152 bits of the key id in hex.
func madeOf(kid coin.KeyID) string { return madeClass + hex.EncodeToString(kid[:19]) }

// madeID is what an output is in its key's made set.
func madeID(o *coin.Output) ledger.ID {
	return frame.Digest([]byte("specie/made/1"), o.KeyID[:], o.Blinded)
}

// makes are the marks of an operation that signs these outputs.
func makes(outputs []coin.Output) []ledger.Spend {
	out := make([]ledger.Spend, len(outputs))
	for i := range outputs {
		out[i] = ledger.Spend{Epoch: madeOf(outputs[i].KeyID), ID: madeID(&outputs[i])}
	}
	return out
}

// takenCoins leaves the coins of what was taken: an operation whose coins are
// spent is a double spend, whatever else is wrong with it.
func takenCoins(taken []ledger.Taken) []ledger.Taken {
	return slices.DeleteFunc(slices.Clone(taken), func(t ledger.Taken) bool { return strings.HasPrefix(t.Epoch, madeClass) })
}

// outputUsed refuses an operation of whose outputs n are made.
func outputUsed(n int) error {
	return fmt.Errorf("%w: %d of this request's", ErrOutputUsed, n)
}
