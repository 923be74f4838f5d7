package hsm

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"

	"github.com/miekg/pkcs11"
)

// Classes of an Item.
const (
	ClassPrivate     = "private key"
	ClassPublic      = "public key"
	ClassSecret      = "secret key"
	ClassCertificate = "certificate"
	ClassOther       = "object"
)

// An Item is an object on a token, as the token describes it. It is neither
// audited nor tried: it is for taking stock, and says nothing about whether a
// key may be used.
type Item struct {
	Class string // ClassPrivate, …
	Type  string // of a key: "RSA", "EC", "AES" or "other"; else ""
	Label string // CKA_LABEL, whatever its bytes are
	ID    []byte // CKA_ID
	// Public is the public key of a private or public RSA or EC key, nil if
	// the token does not tell it.
	Public crypto.PublicKey
}

// Items returns everything that lies on the token, by class, label and id:
// loosened keys and foreign objects too.
func (t *Token) Items(ctx context.Context) ([]Item, error) {
	var items []Item
	err := t.do(ctx, func(s pkcs11.SessionHandle) error {
		items = items[:0]
		found, err := t.search(s, attr(pkcs11.CKA_TOKEN, true))
		if err != nil {
			return err
		}
		for _, h := range found {
			item, err := t.item(s, h)
			if err != nil {
				return err
			}
			items = append(items, *item)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// A private EC object does not hold its point: the public one beside it
	// does.
	for i := range items {
		if items[i].Class == ClassPrivate && items[i].Type == "EC" && items[i].Public == nil {
			items[i].Public = pointBeside(items, items[i])
		}
	}
	slices.SortFunc(items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Label, b.Label), slices.Compare(a.ID, b.ID))
	})
	return items, nil
}

func pointBeside(items []Item, private Item) crypto.PublicKey {
	for _, o := range items {
		if o.Class == ClassPublic && o.Type == "EC" && o.Label == private.Label && slices.Equal(o.ID, private.ID) {
			return o.Public
		}
	}
	return nil
}

func (t *Token) item(s pkcs11.SessionHandle, h pkcs11.ObjectHandle) (*Item, error) {
	v, err := t.read(s, h, pkcs11.CKA_CLASS, pkcs11.CKA_LABEL)
	if err != nil {
		return nil, err
	}
	item := &Item{Class: ClassOther, Label: string(v[1])}
	switch ulong(v[0]) {
	case pkcs11.CKO_PRIVATE_KEY:
		item.Class = ClassPrivate
	case pkcs11.CKO_PUBLIC_KEY:
		item.Class = ClassPublic
	case pkcs11.CKO_SECRET_KEY:
		item.Class = ClassSecret
	case pkcs11.CKO_CERTIFICATE:
		item.Class = ClassCertificate
	}
	if item.Class == ClassOther {
		return item, nil
	}
	if v, err = t.read(s, h, pkcs11.CKA_ID); err != nil {
		return nil, err
	}
	item.ID = v[0]
	if item.Class == ClassCertificate {
		return item, nil
	}
	return item, t.keyItem(s, h, item)
}

// keyItem reads what a key is.
func (t *Token) keyItem(s pkcs11.SessionHandle, h pkcs11.ObjectHandle, item *Item) error {
	v, err := t.read(s, h, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return err
	}
	switch ulong(v[0]) {
	case pkcs11.CKK_AES:
		item.Type = "AES"
	case pkcs11.CKK_RSA:
		item.Type = "RSA"
		if v, err = t.read(s, h, pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT); err != nil {
			return err
		}
		if e := new(big.Int).SetBytes(v[1]); e.IsInt64() && e.Int64() <= 1<<31-1 && len(v[0]) > 0 {
			item.Public = &rsa.PublicKey{N: new(big.Int).SetBytes(v[0]), E: int(e.Int64())}
		}
	case pkcs11.CKK_EC:
		item.Type = "EC"
		if item.Class != ClassPublic {
			return nil
		}
		if v, err = t.read(s, h, pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT); err != nil {
			return err
		}
		if public, err := parsePoint(v[0], v[1]); err == nil {
			item.Public = public
		}
	default:
		item.Type = "other"
	}
	return nil
}

// ulong reads a CK_ULONG; what is none is no value that anything has.
func ulong(b []byte) uint64 {
	if len(b) != 8 {
		return ^uint64(0)
	}
	return binary.NativeEndian.Uint64(b)
}

// Unused returns ErrDuplicateLabel if any object of the token bears one of
// the labels.
func (t *Token) Unused(ctx context.Context, labels ...string) error {
	for _, label := range labels {
		if err := checkKeyLabel(label); err != nil {
			return err
		}
		if err := t.unused(ctx, label); err != nil {
			return fmt.Errorf("token %q: %w", t.info.Label, err)
		}
	}
	return nil
}

// FindRSA returns the RSA key under label, audited and tried. ErrKeyNotFound
// if there is none.
func (t *Token) FindRSA(ctx context.Context, label string) (*RSAKey, error) {
	id, err := t.single(ctx, pkcs11.CKO_PRIVATE_KEY, pkcs11.CKK_RSA, label)
	if err != nil {
		return nil, err
	}
	return t.loadRSA(ctx, label, id, rsaRules())
}
