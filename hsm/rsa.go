package hsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"

	"filippo.io/bigmod"
	"github.com/miekg/pkcs11"
)

const publicExponent = 65537

// An RSAKey is a denomination key: an RSA key that was generated in its token
// and does nothing but raw RSA (CKM_RSA_X_509) on what BlindSign lets
// through. Safe for concurrent use.
type RSAKey struct {
	*object
	public  *rsa.PublicKey
	modulus []byte // big-endian, without leading zeros
	e       *big.Int
	// mod is the modulus where bigmod is the faster one: it has assembly for
	// 2048 bits, half the time of math/big, and is three times slower above.
	mod *bigmod.Modulus
}

func rsaRules() []rule {
	return privateRules(pkcs11.CKK_RSA, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, pkcs11.CKM_RSA_X_509)
}

// GenerateRSA makes a key of 2048, 3072 or 4096 bits with exponent 65537
// inside the token, audits it and tries it. label (1 to 64 printable ASCII
// bytes) must be unused by any object of the token. A token that ignores what
// it was asked for is ErrAudit; the key then stays on the token, refused.
func (t *Token) GenerateRSA(ctx context.Context, label string, bits int) (*RSAKey, error) {
	if bits != 2048 && bits != 3072 && bits != 4096 {
		return nil, fmt.Errorf("%w: %d bits; an RSA key has 2048, 3072 or 4096", ErrInput, bits)
	}
	id, err := t.generatePair(ctx, label, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, rsaRules(), publicRules(pkcs11.CKK_RSA),
		attr(pkcs11.CKA_MODULUS_BITS, bits),
		attr(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	if err != nil {
		return nil, err
	}
	key, err := t.loadRSA(ctx, label, id, rsaRules())
	if err != nil {
		return nil, err
	}
	if got := key.public.N.BitLen(); got != bits {
		return nil, fmt.Errorf("%w: key %q: CKA_MODULUS has %d bits, must have %d", ErrAudit, label, got, bits)
	}
	return key, nil
}

// RSAKeys returns all RSA private keys of the token in the order of their
// labels, each audited and tried. One key that fails fails the call: a token
// with a loosened key on it is not one to sign with.
func (t *Token) RSAKeys(ctx context.Context) ([]*RSAKey, error) {
	return loadAll(ctx, t, pkcs11.CKK_RSA, func(label string, id []byte) (*RSAKey, error) {
		return t.loadRSA(ctx, label, id, rsaRules())
	})
}

func (t *Token) loadRSA(ctx context.Context, label string, id []byte, rules []rule) (*RSAKey, error) {
	if err := checkID(label, id); err != nil {
		return nil, err
	}
	k := &RSAKey{object: &object{tok: t, class: pkcs11.CKO_PRIVATE_KEY, label: label, id: id, rules: rules}, e: big.NewInt(publicExponent)}
	k.same = k.sameModulus
	err := t.do(ctx, func(s pkcs11.SessionHandle) error {
		_, err := k.handle(s)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := k.Check(ctx); err != nil {
		return nil, err
	}
	t.remember(k.object)
	return k, nil
}

// sameModulus takes the public key from the private object: the public object
// next to it is not needed, and anybody with the PIN could have put it there.
func (k *RSAKey) sameModulus(s pkcs11.SessionHandle, h pkcs11.ObjectHandle) error {
	v, err := k.tok.read(s, h, pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT)
	if err != nil {
		return err
	}
	n := new(big.Int).SetBytes(v[0])
	e := new(big.Int).SetBytes(v[1])
	switch bits := n.BitLen(); {
	case bits != 2048 && bits != 3072 && bits != 4096:
		return fmt.Errorf("%w: key %q: CKA_MODULUS has %d bits", ErrAudit, k.label, bits)
	case n.Bit(0) == 0:
		return fmt.Errorf("%w: key %q: CKA_MODULUS is even", ErrAudit, k.label)
	case e.Cmp(k.e) != 0:
		return fmt.Errorf("%w: key %q: CKA_PUBLIC_EXPONENT is not %d", ErrAudit, k.label, publicExponent)
	}
	if k.public == nil {
		k.public = &rsa.PublicKey{N: n, E: publicExponent}
		k.modulus = n.Bytes()
		if n.BitLen() == 2048 {
			k.mod, err = bigmod.NewModulus(k.modulus)
		}
		return err
	}
	if k.public.N.Cmp(n) != 0 {
		return fmt.Errorf("%w: key %q: CKA_MODULUS changed", ErrAudit, k.label)
	}
	return nil
}

// Public returns the key's public half. The caller may keep and change it.
func (k *RSAKey) Public() *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Set(k.public.N), E: k.public.E}
}

// Size returns the length of the modulus in bytes: that of every message and
// signature.
func (k *RSAKey) Size() int { return len(k.modulus) }

// BlindSign is the signer of RFC 9474, section 4.3: m^d mod N for a blinded
// message m of exactly Size bytes, 0 < m < N. Anything else is ErrInput and
// does not reach the module: one well-known module ends the whole process
// over a long input, and signs a short one.
//
// The signature is released only if s^e mod N is m: one wrong signature of a
// key that computes by the Chinese remainder theorem gives away its factors
// (Boneh, DeMillo, Lipton 1997). A wrong one is ErrFaulty. The signature is a
// function of m, so a caller may ask again at any time.
func (k *RSAKey) BlindSign(ctx context.Context, m []byte) ([]byte, error) {
	signatures, err := k.tok.BlindSignBatch(ctx, []*RSAKey{k}, [][]byte{m})
	if err != nil {
		return nil, err
	}
	return signatures[0], nil
}

// BlindSignBatch is BlindSign for many messages, each under the key of the
// same place, all keys of this token. They are signed one after the other in
// one session: what it costs to get a session and to be woken by it is paid
// once. Any error means that no signature was released, those that were made
// included. A batch holds its session until it is done, so a caller with much
// to sign asks for a few at a time, or others wait.
func (t *Token) BlindSignBatch(ctx context.Context, keys []*RSAKey, messages [][]byte) ([][]byte, error) {
	if len(keys) != len(messages) {
		return nil, fmt.Errorf("%w: %d keys for %d messages", ErrInput, len(keys), len(messages))
	}
	own := make([][]byte, len(messages)) // the module may still read them when ctx has ended
	for i, k := range keys {
		if k.tok != t {
			return nil, fmt.Errorf("%w: key %q is on another token", ErrInput, k.label)
		}
		if err := k.checkBlinded(messages[i]); err != nil {
			return nil, err
		}
		own[i] = bytes.Clone(messages[i])
	}
	signatures := make([][]byte, len(messages))
	var at int
	err := t.do(ctx, func(s pkcs11.SessionHandle) error {
		// From where it stopped, if it is run again: what was made is good.
		for ; at < len(keys); at++ {
			sig, err := keys[at].blind(s, own[at])
			if err != nil {
				return fmt.Errorf("key %q: %w", keys[at].label, err)
			}
			signatures[at] = sig
			if ctx.Err() != nil {
				return fmt.Errorf("hsm: %w", ctx.Err())
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return signatures, nil
}

// checkBlinded refuses what the module must not see.
func (k *RSAKey) checkBlinded(m []byte) error {
	if len(m) != len(k.modulus) {
		return fmt.Errorf("%w: a blinded message has %d bytes, not %d", ErrInput, len(k.modulus), len(m))
	}
	if bytes.Compare(m, k.modulus) >= 0 {
		return fmt.Errorf("%w: the blinded message is not below the modulus", ErrInput)
	}
	if allZero(m) {
		return fmt.Errorf("%w: the blinded message is zero", ErrInput)
	}
	return nil
}

// blind makes one signature and checks it.
func (k *RSAKey) blind(s pkcs11.SessionHandle, m []byte) ([]byte, error) {
	h, err := k.handle(s)
	if err != nil {
		return nil, err
	}
	sig, err := k.raw(s, h, m)
	if err != nil {
		return nil, err
	}
	if !k.signs(sig, m) {
		k.tok.log.Error("the token returned a wrong RSA signature", "key", k.label)
		return nil, fmt.Errorf("%w: RSA signature by key %q", ErrFaulty, k.label)
	}
	return sig, nil
}

func (k *RSAKey) raw(s pkcs11.SessionHandle, h pkcs11.ObjectHandle, m []byte) ([]byte, error) {
	if err := k.tok.api.SignInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_X_509, nil)}, h); err != nil {
		return nil, called("C_SignInit", err)
	}
	sig, err := k.tok.api.Sign(s, m)
	return sig, called("C_Sign", err)
}

// signs tells whether sig^e mod N is m. All three are public to the signer.
func (k *RSAKey) signs(sig, m []byte) bool {
	if len(sig) != len(k.modulus) || bytes.Compare(sig, k.modulus) >= 0 {
		return false
	}
	if k.mod != nil {
		x, err := bigmod.NewNat().SetBytes(sig, k.mod)
		return err == nil && bytes.Equal(bigmod.NewNat().ExpShortVarTime(x, publicExponent, k.mod).Bytes(k.mod), m)
	}
	x := new(big.Int).SetBytes(sig)
	x.Exp(x, k.e, k.public.N)
	return x.Cmp(new(big.Int).SetBytes(m)) == 0
}

// Check lets the key sign r^e for a random r and looks whether r comes back:
// a real operation that tells nobody a signature he did not have before.
func (k *RSAKey) Check(ctx context.Context) error {
	r, m, err := k.known()
	if err != nil {
		return err
	}
	sig, err := k.BlindSign(ctx, m)
	if err != nil {
		return err
	}
	if !bytes.Equal(sig, r) {
		// BlindSign verified it, so it is another root: the modulus has none.
		return fmt.Errorf("%w: RSA key %q does not invert its exponent", ErrFaulty, k.label)
	}
	return nil
}

// known returns a random r and m = r^e mod N, both of Size bytes.
func (k *RSAKey) known() (r, m []byte, err error) {
	x, err := rand.Int(rand.Reader, new(big.Int).Sub(k.public.N, big.NewInt(3)))
	if err != nil {
		return nil, nil, fmt.Errorf("hsm: %w", err)
	}
	x.Add(x, big.NewInt(2)) // 2 to N-2: 0, 1 and N-1 are their own signatures
	r = x.FillBytes(make([]byte, len(k.modulus)))
	m = x.Exp(x, k.e, k.public.N).FillBytes(make([]byte, len(k.modulus)))
	return r, m, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
