package ceremony

import (
	"errors"
	"fmt"

	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/trust"
)

// word says whether an earlier transcript is what others may build on: closed
// by one who answers for that kind of ceremony, of the plan and the inputs
// that its digest is of, approved by enough of its officers, with the planned
// keys and no others. A good signature alone is not enough: everybody with a
// certificate under the root can make one, over whatever he likes. That the
// officers are the right ones, and what became of the outputs, is not asked.
//
// One that was abandoned is transcript.ErrAbandoned; its plan was approved, and
// it names planned keys only, but that those were made is nobody's word.
func word(root *trust.Root, t *transcript.Transcript) error {
	c, err := (&Verifier{Root: root}).open(t)
	if err != nil {
		return err
	}
	_, closed := c.closedBy()
	if closed != nil && !errors.Is(closed, transcript.ErrAbandoned) {
		return closed
	}
	for _, look := range []func() (string, error){c.digest, c.approvals} {
		if _, err := look(); err != nil {
			return err
		}
	}
	missing, err := c.planned()
	if err == nil && closed == nil && len(missing) > 0 {
		err = fmt.Errorf("%w: %s was not made", ErrKey, keyName(missing[0].uri.Token, missing[0].uri.Object))
	}
	if err != nil {
		return err
	}
	return closed
}
