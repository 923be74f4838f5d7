package ceremony

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
)

// The kinds of keys besides RSA.
const (
	kindAES  = "AES 256"
	kindP256 = "EC P-256"
	kindP384 = "EC P-384"
)

func rsaKind(bits int) string { return fmt.Sprintf("RSA %d", bits) }

// tokenKey is a key of package hsm, which audits every key that it makes or
// finds, and tries it.
type tokenKey interface {
	Label() string
	ID() []byte
}

// generate makes a key in a token.
func generate(ctx context.Context, t *hsm.Token, k newKey) (tokenKey, error) {
	switch k.kind {
	case kindAES:
		return t.GenerateAES(ctx, k.uri.Object)
	case kindP256:
		return t.GenerateECDSA(ctx, k.uri.Object, elliptic.P256())
	case kindP384:
		return t.GenerateECDSA(ctx, k.uri.Object, elliptic.P384())
	}
	for _, bits := range []int{2048, 3072, 4096} {
		if k.kind == rsaKind(bits) {
			return t.GenerateRSA(ctx, k.uri.Object, bits)
		}
	}
	return nil, fmt.Errorf("%w: unknown kind of key %q", ErrInput, k.kind)
}

// find finds a key of a token: hsm.ErrKeyNotFound if nothing of that kind has
// the label.
func find(ctx context.Context, t *hsm.Token, k newKey) (tokenKey, error) {
	switch k.kind {
	case kindAES:
		return t.FindAES(ctx, k.uri.Object)
	case kindP256, kindP384:
		return t.FindECDSA(ctx, k.uri.Object)
	}
	return t.FindRSA(ctx, k.uri.Object)
}

// describeKey reads a key as the transcript has it. A key of another size or
// curve than the kind says is ErrKey.
func describeKey(k newKey, key tokenKey) (*transcript.Key, error) {
	out := &transcript.Key{
		Token: k.uri.Token, Label: key.Label(), Kind: k.kind, SPKI: []byte{},
		CKAID: hex.EncodeToString(key.ID()), Audited: true, SelfTest: true, Made: true,
	}
	kind := kindAES
	var err error
	switch key := key.(type) {
	case *hsm.RSAKey:
		kind = rsaKind(key.Public().N.BitLen())
		out.ID, out.SPKI, err = rsaID(key)
	case *hsm.ECDSAKey:
		kind = "EC " + key.Public().(*ecdsa.PublicKey).Params().Name
		out.ID, out.SPKI, err = ecID(key)
	}
	if err == nil && kind != k.kind {
		err = fmt.Errorf("%w: %s is %s, not %s", ErrKey, keyName(k.uri.Token, key.Label()), kind, k.kind)
	}
	return out, err
}

// rsaID names a denomination key: its key id, and the DER that it is the hash
// of.
func rsaID(key *hsm.RSAKey) (id string, spki []byte, err error) {
	if spki, err = coin.MarshalKey(key.Public()); err != nil {
		return "", nil, err
	}
	kid, err := coin.NewKeyID(key.Public())
	return kid.String(), spki, err
}

// ecID names a signing key: the hex SHA-256 of its SubjectPublicKeyInfo, which
// coin.SignerKey computes from a certificate.
func ecID(key *hsm.ECDSAKey) (id string, spki []byte, err error) {
	if spki, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return "", nil, fmt.Errorf("ceremony: public key: %w", err)
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:]), spki, nil
}

// itemIDs names the keys among the items: by id where they have one, else by
// label.
func itemIDs(items []hsm.Item) []string {
	out := []string{}
	for _, item := range items {
		id := item.Label
		switch pub := item.Public.(type) {
		case *rsa.PublicKey:
			if kid, err := coin.NewKeyID(pub); err == nil {
				id = kid.String()
			}
		case *ecdsa.PublicKey:
			if spki, err := x509.MarshalPKIXPublicKey(pub); err == nil {
				id = fmt.Sprintf("%x", sha256.Sum256(spki))
			}
		}
		if item.Class == hsm.ClassPrivate || item.Class == hsm.ClassSecret {
			out = append(out, id)
		}
	}
	return out
}

func keyName(token, label string) string { return token + "/" + label }

// inspect holds a token against a list of what should be on it. Every key is
// audited, tried and compared with the list before the first is noted; what
// is there and not on the list is ErrStranger.
func inspect(ctx context.Context, t *hsm.Token, list *stocklist, note func(transcript.Key) error) error {
	items, err := t.Items(ctx)
	if err != nil {
		return err
	}
	if err := list.compare(items, t.Info().Label); err != nil {
		return err
	}
	var found []transcript.Key
	for _, want := range list.keys {
		if slices.Contains(list.missing, want.Label) {
			continue
		}
		k := newKey{&hsm.URI{Token: want.Token, Object: want.Label}, want.Kind}
		key, err := find(ctx, t, k)
		if err != nil {
			return fmt.Errorf("key %s: %w", keyName(want.Token, want.Label), err)
		}
		got, err := describeKey(k, key)
		if err != nil {
			return err
		}
		if got.ID != want.ID || got.CKAID != want.CKAID {
			return fmt.Errorf("%w: %s", ErrKey, keyName(want.Token, want.Label))
		}
		got.Made = false
		found = append(found, *got)
	}
	for _, k := range found {
		if err := note(k); err != nil {
			return err
		}
	}
	return nil
}

// compare finds what is on the token and not on the list, or the other way
// round, by labels.
func (l *stocklist) compare(items []hsm.Item, token string) error {
	there := make(map[string]bool)
	var strangers []string
	for _, item := range items {
		there[item.Label] = true
		if !slices.ContainsFunc(l.keys, func(k transcript.Key) bool { return k.Label == item.Label }) {
			strangers = append(strangers, fmt.Sprintf("%q", item.Label))
		}
	}
	if len(strangers) > 0 {
		return fmt.Errorf("%w: in token %q: %s; the transcripts of the ceremonies that made them are listed in the plan under made_by:",
			ErrStranger, token, list(strangers))
	}
	var gone []string
	for _, k := range l.keys {
		missing := slices.Contains(l.missing, k.Label)
		switch {
		case missing && there[k.Label]:
			return fmt.Errorf("%w: missing: %s is there", ErrInput, keyName(token, k.Label))
		case !missing && !there[k.Label]:
			gone = append(gone, k.Label)
		}
	}
	if len(gone) > 0 {
		return fmt.Errorf("%w: not in token %q, and not listed as missing: %s", hsm.ErrKeyNotFound, token, strings.Join(gone, ", "))
	}
	return nil
}
