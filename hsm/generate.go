package hsm

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/miekg/pkcs11"
)

// generate runs build in a read-write session of its own, one at a time, under
// a label that no object of the token bears, with a random CKA_ID. It is not
// repeated after a failure: the key may exist although the answer was lost.
// The sessions of the pool are read-only and can make nothing.
func (t *Token) generate(ctx context.Context, label string, build func(s pkcs11.SessionHandle, id []byte) error) ([]byte, error) {
	if err := checkKeyLabel(label); err != nil {
		return nil, err
	}
	select {
	case t.generating <- struct{}{}:
		defer func() { <-t.generating }()
	case <-t.done:
		return nil, errClosed()
	case <-ctx.Done():
		return nil, fmt.Errorf("hsm: waiting to generate a key: %w", ctx.Err())
	}
	if err := t.unused(ctx, label); err != nil {
		return nil, err
	}
	id := randomID()
	err := t.withTemporary(pkcs11.CKF_RW_SESSION, func(s pkcs11.SessionHandle) error { return build(s, id) })
	if refused(err) {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err != nil {
		return nil, fmt.Errorf("generate %q: %w", label, err)
	}
	t.log.Info("key generated", "key", label)
	return id, nil
}

func (t *Token) generatePair(ctx context.Context, label string, mechanism uint, private, public []rule, more ...*pkcs11.Attribute) ([]byte, error) {
	return t.generate(ctx, label, func(s pkcs11.SessionHandle, id []byte) error {
		_, _, err := t.api.GenerateKeyPair(s,
			[]*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)},
			template(t.absent, public, label, id, more...),
			template(t.absent, private, label, id))
		return called("C_GenerateKeyPair", err)
	})
}

func randomID() []byte {
	id := make([]byte, idSize)
	rand.Read(id) // crypto/rand.Read never fails
	return id
}
