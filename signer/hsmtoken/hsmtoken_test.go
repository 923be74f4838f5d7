package hsmtoken

import (
	"errors"
	"fmt"
	"testing"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/signer"
)

func TestErrorsOfTheTokenAreTheSignersAndStillTheirOwn(t *testing.T) {
	other := errors.New("something else")
	for name, c := range map[string]struct{ err, want error }{
		"a message refused":             {hsm.ErrInput, signer.ErrInput},
		"a box that does not open":      {hsm.ErrSealed, signer.ErrSealed},
		"a key that is not there":       {hsm.ErrKeyNotFound, signer.ErrUnknownKey},
		"a token that is away":          {hsm.ErrUnavailable, signer.ErrUnavailable},
		"too many calls":                {hsm.ErrBusy, signer.ErrBusy},
		"a key that fails its audit":    {hsm.ErrAudit, signer.ErrFailed},
		"a wrong signature":             {hsm.ErrFaulty, signer.ErrFailed},
		"a refused login":               {hsm.ErrPIN, signer.ErrFailed},
		"a login refused in an outage":  {fmt.Errorf("%w: %w", hsm.ErrUnavailable, hsm.ErrPIN), signer.ErrFailed},
		"a box that confuses the token": {fmt.Errorf("%w: %w", hsm.ErrSealed, hsm.ErrUnavailable), signer.ErrSealed},
		"what has no name":              {other, other},
	} {
		if err := translate(fmt.Errorf("call: %w", c.err)); !errors.Is(err, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := translate(nil); err != nil {
		t.Errorf("nothing became %v", err)
	}
}
