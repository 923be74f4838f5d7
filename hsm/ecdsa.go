package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/miekg/pkcs11"
)

// signTimeout bounds ECDSAKey.Sign, which crypto.Signer gives no context.
const signTimeout = 30 * time.Second

// An ECDSAKey signs documents and certificates: a key on P-256 or P-384 that
// was generated in its token and does CKM_ECDSA only. It is a crypto.Signer.
// Safe for concurrent use.
type ECDSAKey struct {
	*object
	public *ecdsa.PublicKey
	half   *object // the public object
}

// GenerateECDSA makes a key on P-256 or P-384 inside the token, audits both
// halves and tries them. label (1 to 64 printable ASCII bytes) must be unused
// by any object of the token.
func (t *Token) GenerateECDSA(ctx context.Context, label string, curve elliptic.Curve) (*ECDSAKey, error) {
	params, err := curveParams(curve)
	if err != nil {
		return nil, err
	}
	id, err := t.generatePair(ctx, label, pkcs11.CKM_EC_KEY_PAIR_GEN, ecdsaRules(), publicRules(pkcs11.CKK_EC),
		attr(pkcs11.CKA_EC_PARAMS, params))
	if err != nil {
		return nil, err
	}
	key, err := t.loadECDSA(ctx, label, id, ecdsaRules(), publicRules(pkcs11.CKK_EC))
	if err != nil {
		return nil, err
	}
	if key.public.Curve != curve {
		return nil, fmt.Errorf("%w: key %q: CKA_EC_PARAMS is %s, must be %s", ErrAudit, label, key.public.Params().Name, curve.Params().Name)
	}
	return key, nil
}

// FindECDSA returns the EC key under label, audited and tried. ErrKeyNotFound
// if there is none.
func (t *Token) FindECDSA(ctx context.Context, label string) (*ECDSAKey, error) {
	id, err := t.single(ctx, pkcs11.CKO_PRIVATE_KEY, pkcs11.CKK_EC, label)
	if err != nil {
		return nil, err
	}
	return t.loadECDSA(ctx, label, id, ecdsaRules(), publicRules(pkcs11.CKK_EC))
}

// ECDSAKeys returns all EC private keys of the token in the order of their
// labels, each audited and tried. One key that fails fails the call.
func (t *Token) ECDSAKeys(ctx context.Context) ([]*ECDSAKey, error) {
	return loadAll(ctx, t, pkcs11.CKK_EC, func(label string, id []byte) (*ECDSAKey, error) {
		return t.loadECDSA(ctx, label, id, ecdsaRules(), publicRules(pkcs11.CKK_EC))
	})
}

func ecdsaRules() []rule {
	return privateRules(pkcs11.CKK_EC, pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.CKM_ECDSA)
}

func (t *Token) loadECDSA(ctx context.Context, label string, id []byte, private, public []rule) (*ECDSAKey, error) {
	k := &ECDSAKey{
		object: &object{tok: t, class: pkcs11.CKO_PRIVATE_KEY, label: label, id: id, rules: private},
		half:   &object{tok: t, class: pkcs11.CKO_PUBLIC_KEY, label: label, id: id, rules: public},
	}
	k.half.same = k.samePoint
	// A private EC object does not hold its point. Loading it loads the public
	// object too; that the two belong together is what Check shows.
	k.same = func(s pkcs11.SessionHandle, _ pkcs11.ObjectHandle) error {
		_, err := k.half.handle(s)
		return err
	}
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

func (k *ECDSAKey) samePoint(s pkcs11.SessionHandle, h pkcs11.ObjectHandle) error {
	v, err := k.tok.read(s, h, pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT)
	if err != nil {
		return err
	}
	public, err := parsePoint(v[0], v[1])
	if err != nil {
		return fmt.Errorf("%w: key %q: %w", ErrAudit, k.label, err)
	}
	if k.public == nil {
		k.public = public
		return nil
	}
	if !k.public.Equal(public) {
		return fmt.Errorf("%w: key %q: CKA_EC_POINT changed", ErrAudit, k.label)
	}
	return nil
}

// Public returns an *ecdsa.PublicKey.
func (k *ECDSAKey) Public() crypto.PublicKey {
	public := *k.public
	return &public
}

// Sign is SignDigest within 30 seconds. The random source is not used: the
// token has its own.
func (k *ECDSAKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signTimeout)
	defer cancel()
	return k.SignDigest(ctx, digest, opts)
}

// SignDigest signs the digest of a message and returns the signature as
// ASN.1 DER. The hash is SHA-256 or, on P-384, SHA-384 too; another hash or a
// digest of another length is ErrInput. The signature is verified before it is
// released; a wrong one is ErrFaulty.
func (k *ECDSAKey) SignDigest(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil {
		return nil, fmt.Errorf("%w: no hash named", ErrInput)
	}
	hash, size := opts.HashFunc(), k.scalarSize()
	if hash != crypto.SHA256 && hash != crypto.SHA384 || hash.Size() > size {
		return nil, fmt.Errorf("%w: %s does not go with %s", ErrInput, hash, k.public.Params().Name)
	}
	if len(digest) != hash.Size() {
		return nil, fmt.Errorf("%w: a %s digest has %d bytes, not %d", ErrInput, hash, hash.Size(), len(digest))
	}
	var raw []byte
	digest = bytes.Clone(digest) // the module may still read it when ctx has ended
	err := k.tok.do(ctx, func(s pkcs11.SessionHandle) error {
		h, err := k.handle(s)
		if err != nil {
			return err
		}
		if err := k.tok.api.SignInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, h); err != nil {
			return called("C_SignInit", err)
		}
		raw, err = k.tok.api.Sign(s, digest)
		return called("C_Sign", err)
	})
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", k.label, err)
	}
	if len(raw) == 2*size {
		sig, err := derSignature(raw)
		if err == nil && ecdsa.VerifyASN1(k.public, digest, sig) {
			return sig, nil
		}
	}
	k.tok.log.Error("the token returned a wrong ECDSA signature", "key", k.label)
	return nil, fmt.Errorf("%w: ECDSA signature by key %q", ErrFaulty, k.label)
}

// Check signs 32 random bytes, the digest of nothing anybody knows: a real
// operation that shows that the private key belongs to the public one.
func (k *ECDSAKey) Check(ctx context.Context) error {
	digest := make([]byte, crypto.SHA256.Size())
	rand.Read(digest) // crypto/rand.Read never fails
	_, err := k.SignDigest(ctx, digest, crypto.SHA256)
	return err
}

func (k *ECDSAKey) scalarSize() int { return (k.public.Params().BitSize + 7) / 8 }

// derSignature turns r || s of equal halves into the DER of RFC 3279.
func derSignature(raw []byte) ([]byte, error) {
	half := len(raw) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
}

// The curves by their names in RFC 5480.
func oidP256() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7} }
func oidP384() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 132, 0, 34} }

func curveParams(curve elliptic.Curve) ([]byte, error) {
	switch curve {
	case elliptic.P256():
		return asn1.Marshal(oidP256())
	case elliptic.P384():
		return asn1.Marshal(oidP384())
	default:
		return nil, fmt.Errorf("%w: an ECDSA key is on P-256 or P-384", ErrInput)
	}
}

// parsePoint reads CKA_EC_PARAMS (a named curve) and CKA_EC_POINT (an
// uncompressed point in an OCTET STRING), both DER without anything behind.
func parsePoint(params, point []byte) (*ecdsa.PublicKey, error) {
	var oid asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(params, &oid); err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("CKA_EC_PARAMS names no curve")
	}
	var curve elliptic.Curve
	switch {
	case oid.Equal(oidP256()):
		curve = elliptic.P256()
	case oid.Equal(oidP384()):
		curve = elliptic.P384()
	default:
		return nil, fmt.Errorf("CKA_EC_PARAMS is %v, neither P-256 nor P-384", oid)
	}
	var raw []byte
	if rest, err := asn1.Unmarshal(point, &raw); err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("CKA_EC_POINT is no OCTET STRING")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, raw)
	if err != nil {
		return nil, fmt.Errorf("CKA_EC_POINT is not on the curve")
	}
	return public, nil
}
