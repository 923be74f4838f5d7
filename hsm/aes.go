package hsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

const (
	ivSize  = 12 // bytes
	tagSize = 16 // bytes

	// MaxPlaintext is the most that Seal takes, in bytes.
	MaxPlaintext = 64 << 10
	// Overhead is how much longer a sealed box is than its content, in bytes:
	// the nonce before and the tag behind.
	Overhead = ivSize + tagSize
)

// An AESKey seals small secrets at rest: an AES-256 key that was generated in
// its token and does CKM_AES_GCM only. Safe for concurrent use.
type AESKey struct{ *object }

// GenerateAES makes a key inside the token, audits it and tries it. label (1
// to 64 printable ASCII bytes) must be unused by any object of the token.
func (t *Token) GenerateAES(ctx context.Context, label string) (*AESKey, error) {
	id, err := t.generate(ctx, label, func(s pkcs11.SessionHandle, id []byte) error {
		_, err := t.api.GenerateKey(s,
			[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)},
			template(t.absent, secretRules(), label, id))
		return called("C_GenerateKey", err)
	})
	if err != nil {
		return nil, err
	}
	return t.loadAES(ctx, label, id, secretRules())
}

// FindAES returns the AES key under label, audited and tried. ErrKeyNotFound
// if there is none.
func (t *Token) FindAES(ctx context.Context, label string) (*AESKey, error) {
	id, err := t.single(ctx, pkcs11.CKO_SECRET_KEY, pkcs11.CKK_AES, label)
	if err != nil {
		return nil, err
	}
	return t.loadAES(ctx, label, id, secretRules())
}

func (t *Token) loadAES(ctx context.Context, label string, id []byte, rules []rule) (*AESKey, error) {
	k := &AESKey{&object{tok: t, class: pkcs11.CKO_SECRET_KEY, label: label, id: id, rules: rules}}
	if err := k.Check(ctx); err != nil {
		return nil, err
	}
	t.remember(k.object)
	return k, nil
}

// Seal encrypts and authenticates plaintext (1 to MaxPlaintext bytes) and
// authenticates aad with it. The box is nonce (12) || ciphertext || tag (16);
// the nonce is random, which is good for 2^32 boxes under one key. The box is
// opened again before it is returned: one that does not open loses what was
// sealed, and is ErrFaulty.
func (k *AESKey) Seal(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	if len(plaintext) == 0 || len(plaintext) > MaxPlaintext || len(aad) > MaxPlaintext {
		return nil, fmt.Errorf("%w: %d bytes to seal with %d bytes of associated data", ErrInput, len(plaintext), len(aad))
	}
	var iv [ivSize]byte
	rand.Read(iv[:]) // crypto/rand.Read never fails
	var body []byte
	// The module may still read copies when ctx has ended and the caller has
	// his bytes back.
	message, aad := bytes.Clone(plaintext), bytes.Clone(aad)
	err := k.tok.do(ctx, func(s pkcs11.SessionHandle) error {
		h, err := k.handle(s)
		if err != nil {
			return err
		}
		params := pkcs11.NewGCMParams(iv[:], aad, 8*tagSize)
		defer params.Free()
		if err := k.tok.api.EncryptInit(s, gcm(params), h); err != nil {
			return called("C_EncryptInit", err)
		}
		body, err = k.tok.api.Encrypt(s, message)
		if err == nil && !bytes.Equal(params.IV(), iv[:]) {
			// Some modules put a nonce of their own in place of ours.
			copy(iv[:], params.IV())
		}
		return called("C_Encrypt", err)
	})
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", k.label, err)
	}
	clear(message)
	box := append(iv[:], body...)
	back, err := k.open(ctx, box, aad)
	defer clear(back)
	if err != nil && ctx.Err() != nil || errors.Is(err, ErrUnavailable) && !hasCode(err, ckrGeneralError) {
		return nil, err // no answer, so nothing against the box
	}
	if err != nil || len(body) != len(plaintext)+tagSize || subtle.ConstantTimeCompare(back, plaintext) != 1 {
		k.tok.log.Error("a sealed box does not open", "key", k.label, "err", err)
		return nil, fmt.Errorf("%w: box sealed by key %q", ErrFaulty, k.label)
	}
	return box, nil
}

// Open returns what was sealed, if box and aad are the ones of Seal. Anything
// else is ErrSealed.
func (k *AESKey) Open(ctx context.Context, box, aad []byte) ([]byte, error) {
	plaintext, err := k.open(ctx, box, aad)
	if hasCode(err, ckrGeneralError) {
		// Some modules answer a wrong tag like a broken token. If the token
		// opens a box of its own, this one is at fault.
		if cerr := k.Check(ctx); cerr != nil {
			return nil, cerr
		}
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return plaintext, err
}

func (k *AESKey) open(ctx context.Context, box, aad []byte) ([]byte, error) {
	if len(box) <= Overhead || len(box) > MaxPlaintext+Overhead || len(aad) > MaxPlaintext {
		return nil, fmt.Errorf("%w: %d bytes with %d bytes of associated data", ErrSealed, len(box), len(aad))
	}
	var plaintext []byte
	box, aad = bytes.Clone(box), bytes.Clone(aad)
	err := k.tok.do(ctx, func(s pkcs11.SessionHandle) error {
		h, err := k.handle(s)
		if err != nil {
			return err
		}
		params := pkcs11.NewGCMParams(box[:ivSize], aad, 8*tagSize)
		defer params.Free()
		if err := k.tok.api.DecryptInit(s, gcm(params), h); err != nil {
			return called("C_DecryptInit", err)
		}
		plaintext, err = k.tok.api.Decrypt(s, box[ivSize:])
		return called("C_Decrypt", err)
	})
	if hasCode(err, ckrEncryptedDataInvalid, ckrEncryptedDataLen, ckrAEADDecryptFailed) {
		return nil, fmt.Errorf("%w: key %q: %w", ErrSealed, k.label, err)
	}
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", k.label, err)
	}
	return plaintext, nil
}

// Check seals and opens a few bytes: a real operation on the token.
func (k *AESKey) Check(ctx context.Context) error {
	_, err := k.Seal(ctx, []byte("specie"), nil)
	return err
}

func gcm(params *pkcs11.GCMParams) []*pkcs11.Mechanism {
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}
}
