package tpm

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

const (
	// MaxKeyFile is the largest key file that is read, in bytes.
	MaxKeyFile = 8 << 10
	// MaxDescription is the longest description of a key file, in bytes.
	MaxDescription = 200

	keyFileType = "TSS2 PRIVATE KEY"
	// ownerParent says that the key is wrapped by the owner hierarchy's ECC P-256
	// storage key, which is made anew each time.
	ownerParent = int64(tpm2.TPMRHOwner)
)

// loadableKey is id-loadablekey: a key that TPM2_Load takes under its parent.
func loadableKey() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 23, 133, 10, 1, 3} }

// KeyFile is a group key as a file holds it. See the package comment for the
// format. Nothing in it is secret, but for whoever holds the TPM as well.
type KeyFile struct {
	Blob
	// NeedsAuth: the key was made with an authorisation value, such as a PIN,
	// which is to be asked for before the key is used.
	NeedsAuth bool
	// Description tells a person what the key is for: one line of printable
	// UTF-8, at most MaxDescription bytes; it may be empty.
	Description string
}

// Marshal writes the key as PEM. The error is ErrKeyFile for what ParseKeyFile
// would not read.
func (k *KeyFile) Marshal() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(loadableKey())
		if !k.NeedsAuth {
			b.AddASN1(optional(0), func(b *cryptobyte.Builder) { b.AddASN1Boolean(true) })
		}
		if k.Description != "" {
			b.AddASN1(optional(4), func(b *cryptobyte.Builder) {
				b.AddASN1(der.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(k.Description)) })
			})
		}
		b.AddASN1Int64(ownerParent)
		b.AddASN1OctetString(sized(k.Public))
		b.AddASN1OctetString(sized(k.Private))
	})
	bytes, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyFileType, Bytes: bytes}), nil
}

// ParseKeyFile reads what Marshal writes, and what other tools write for a key
// of this kind: a loadable key under the owner's ECC P-256 storage key, without
// a policy of its own. Anything else is ErrKeyFile.
func ParseKeyFile(text []byte) (*KeyFile, error) {
	if len(text) > MaxKeyFile {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrKeyFile, MaxKeyFile)
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil || block.Type != keyFileType || len(block.Headers) > 0:
		return nil, fmt.Errorf("%w: it does not begin with -----BEGIN %s-----", ErrKeyFile, keyFileType)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("%w: something follows the key", ErrKeyFile)
	}
	k, err := parseTPMKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	if err := k.check(); err != nil {
		return nil, err
	}
	return k, nil
}

// parseTPMKey reads the structure TPMKey.
func parseTPMKey(b []byte) (*KeyFile, error) {
	s := cryptobyte.String(b)
	var body cryptobyte.String
	var kind asn1.ObjectIdentifier
	if !s.ReadASN1(&body, der.SEQUENCE) || !s.Empty() || !body.ReadASN1ObjectIdentifier(&kind) {
		return nil, errors.New("no TPMKey")
	}
	if !kind.Equal(loadableKey()) {
		return nil, fmt.Errorf("kind %v instead of a loadable key", kind)
	}
	k := &KeyFile{NeedsAuth: true}
	if err := k.readOptions(&body); err != nil {
		return nil, err
	}
	var parent int64
	var public, private []byte
	if !body.ReadASN1Integer(&parent) || !body.ReadASN1Bytes(&public, der.OCTET_STRING) ||
		!body.ReadASN1Bytes(&private, der.OCTET_STRING) || !body.Empty() {
		return nil, errors.New("parent, public and private part expected")
	}
	if parent != ownerParent {
		return nil, fmt.Errorf("its parent is %#x, and not the owner hierarchy", parent)
	}
	var ok bool
	if k.Public, ok = unsized(public); !ok {
		return nil, errors.New("public part has another length than it says")
	}
	if k.Private, ok = unsized(private); !ok {
		return nil, errors.New("private part has another length than it says")
	}
	return k, nil
}

// readOptions reads the fields that have a tag.
func (k *KeyFile) readOptions(body *cryptobyte.String) error {
	var field cryptobyte.String
	var there bool
	if !body.ReadOptionalASN1(&field, &there, optional(0)) {
		return errors.New("emptyAuth")
	}
	if there {
		var value cryptobyte.String // TRUE is 0xff in DER; some tools write 1
		if !field.ReadASN1(&value, der.BOOLEAN) || len(value) != 1 || !field.Empty() {
			return errors.New("emptyAuth")
		}
		k.NeedsAuth = value[0] == 0
	}
	for tag, name := range map[uint8]string{1: "a policy", 2: "a secret to import it with", 3: "a signed policy"} {
		if body.PeekASN1Tag(optional(tag)) {
			return fmt.Errorf("it has %s, as no group key has", name)
		}
	}
	if !body.ReadOptionalASN1(&field, &there, optional(4)) {
		return errors.New("description")
	}
	if there {
		var value cryptobyte.String
		if !field.ReadASN1(&value, der.UTF8String) || !field.Empty() {
			return errors.New("description")
		}
		k.Description = string(value)
	}
	if body.PeekASN1Tag(optional(5)) {
		return errors.New("its parent is an RSA key")
	}
	return nil
}

// check holds a key file to what LoadGroupKey takes and a terminal can print.
func (k *KeyFile) check() error {
	if _, _, err := parsePublic(k.Public); err != nil {
		return fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	if len(k.Private) == 0 || len(k.Private) > maxArea {
		return fmt.Errorf("%w: private part of %d bytes", ErrKeyFile, len(k.Private))
	}
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(k.Description) > MaxDescription || !utf8.ValidString(k.Description) || strings.ContainsFunc(k.Description, unprintable) {
		return fmt.Errorf("%w: the description is no line of at most %d bytes", ErrKeyFile, MaxDescription)
	}
	return nil
}

// optional is the tag of an optional field, all of which are explicit.
func optional(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }

// sized puts a TPM2B's length in front.
func sized(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// unsized takes it off again.
func unsized(b []byte) ([]byte, bool) {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
		return nil, false
	}
	return b[2:], true
}
