package hsm

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
)

// A keyName is what a private key is found by.
type keyName struct {
	label string
	id    []byte
}

// privateKeys names all private keys of that type in the order of their
// labels. Two keys under one label are ErrDuplicateLabel: nobody could say
// which of them a document means.
func (t *Token) privateKeys(ctx context.Context, keyType uint) ([]keyName, error) {
	var names []keyName
	err := t.do(ctx, func(s pkcs11.SessionHandle) error {
		names = names[:0]
		found, err := t.search(s, attr(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), attr(pkcs11.CKA_KEY_TYPE, keyType))
		if err != nil {
			return err
		}
		for _, h := range found {
			v, err := t.read(s, h, pkcs11.CKA_LABEL, pkcs11.CKA_ID)
			if err != nil {
				return err
			}
			names = append(names, keyName{string(v[0]), v[1]})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(names, func(a, b keyName) int { return cmp.Compare(a.label, b.label) })
	for i, n := range names {
		if i > 0 && names[i-1].label == n.label {
			return nil, fmt.Errorf("%w: two keys are labelled %q", ErrDuplicateLabel, n.label)
		}
	}
	return names, nil
}

// loadAll loads every private key of that type. One that fails fails all: a
// token with a loosened key on it is not one to sign with.
func loadAll[K any](ctx context.Context, t *Token, keyType uint, load func(label string, id []byte) (K, error)) ([]K, error) {
	names, err := t.privateKeys(ctx, keyType)
	if err != nil {
		return nil, err
	}
	keys := make([]K, 0, len(names))
	for _, n := range names {
		key, err := load(n.label, n.id)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
