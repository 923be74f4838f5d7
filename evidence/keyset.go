package evidence

import (
	"errors"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
)

// ErrNoKeyset: none of the keysets has the keys of the coins.
var ErrNoKeyset = errors.New("evidence: no keyset at hand has the keys of these coins")

// KeysetFor chooses, of signed keysets that somebody has kept, one that a payment's
// coins were good by when they were spent; of several, the first. Without one it is
// ErrNoKeyset.
func KeysetFor(root *trust.Root, kept [][]byte, s *coin.Spend, at time.Time) ([]byte, error) {
	for _, jws := range kept {
		k, err := coin.ParseKeptKeyset(root, jws)
		if err == nil && coin.VerifyShown(s, k, at) == nil {
			return jws, nil
		}
	}
	return nil, ErrNoKeyset
}

// IsGroup says whether a signed document is of that group.
func IsGroup(root *trust.Root, jws []byte, id [32]byte) bool {
	d, err := groupdoc.ParseKept(root, jws)
	return err == nil && d.GroupID() == id
}
