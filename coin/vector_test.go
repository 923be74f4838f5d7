package coin

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/cloudflare/circl/blindsign/blindrsa"
)

// ReadFigures reads a file of named hexadecimal figures.
func ReadFigures(path string) (map[string][]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	digits, name := map[string]string{}, ""
	for line := range strings.Lines(string(data)) {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "" || line[0] == '#':
		case line[0] == ' ':
			digits[name] += trimmed
		default:
			name = trimmed
		}
	}
	out := map[string][]byte{}
	for name, text := range digits {
		if out[name], err = hex.DecodeString(text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, nil
}

func rfc9474(t *testing.T) map[string][]byte {
	t.Helper()
	v, err := ReadFigures("testdata/rfc9474-a1.txt")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func number(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

// rfcKey is the RFC's key pair, built of p, q, e and d.
func rfcKey(t *testing.T, v map[string][]byte) *rsa.PrivateKey {
	t.Helper()
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: number(v["n"]), E: int(number(v["e"]).Int64())},
		D:         number(v["d"]),
		Primes:    []*big.Int{number(v["p"]), number(v["q"])},
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		t.Fatal(err)
	}
	return key
}

// rawSign is the bank's side in its plainest form: m^d mod n.
func rawSign(key *rsa.PrivateKey, m []byte) []byte {
	s := new(big.Int).Exp(number(m), key.D, key.N)
	return s.FillBytes(make([]byte, key.Size()))
}

// TestBlindIsTheRFCs feeds the RFC's salt and blinding factor through the same
// function that NewPlanchet uses. The RFC's message is no coin's, so the
// client is asked for it in place of a coin.
func TestBlindIsTheRFCs(t *testing.T) {
	v := rfc9474(t)
	key := rfcKey(t, v)
	if got := prepare([32]byte(v["msg_prefix"]), v["msg"]); !bytes.Equal(got, v["input_msg"]) {
		t.Fatal("prepared message differs")
	}
	r := new(big.Int).ModInverse(number(v["inv"]), key.N)
	b, err := blind(&key.PublicKey, v["input_msg"], v["salt"], r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.message, v["blinded_msg"]) {
		t.Fatal("blinded message differs")
	}
	if got := rawSign(key, b.message); !bytes.Equal(got, v["blind_sig"]) {
		t.Fatal("blind signature differs")
	}
	sig, err := b.client.Finalize(b.state, v["blind_sig"])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sig, v["sig"]) {
		t.Fatal("signature differs")
	}
	if err := b.client.Verify(v["input_msg"], v["sig"]); err != nil {
		t.Fatal(err)
	}
}

func TestBlindRefusesALibraryThatReadsOtherwise(t *testing.T) {
	v := rfc9474(t)
	pub := &rfcKey(t, v).PublicKey
	r := big.NewInt(2)
	if _, err := blind(pub, v["input_msg"], v["salt"], r); err != nil {
		t.Fatal(err)
	}
	if _, err := blind(pub, v["input_msg"], append(v["salt"], 0), r); err == nil {
		t.Fatal("a byte too many was not noticed")
	}
	if _, err := blind(pub, v["input_msg"], v["salt"][1:], r); err == nil {
		t.Fatal("a byte too few was not noticed")
	}
	// At or above the modulus circl would draw again.
	if _, err := blind(pub, v["input_msg"], v["salt"], pub.N); err == nil {
		t.Fatal("a factor that is not below the modulus was not noticed")
	}
}

func TestFactorIsNeverZeroNorTheModulus(t *testing.T) {
	v := rfc9474(t)
	pub := &rfcKey(t, v).PublicKey
	wide := make([]byte, pub.Size()+16)
	last := new(big.Int).Sub(pub.N, big.NewInt(1))
	for name, in := range map[string]*big.Int{
		"zero": big.NewInt(0), "one": big.NewInt(1), "N-2": new(big.Int).Sub(pub.N, big.NewInt(2)), "N-1": last, "N": pub.N,
		"all ones": new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(8*len(wide))), big.NewInt(1)),
	} {
		r := factor(in.FillBytes(wide), pub)
		if r.Sign() <= 0 || r.Cmp(pub.N) >= 0 {
			t.Errorf("%s gives %s", name, r)
		}
	}
}

// TestPlanchetNeverChanges pins every derived byte. If it fails, wallets
// restored from their seed make other blinded messages than they once sent,
// and their coins are lost: mend the code, not the figures.
func TestPlanchetNeverChanges(t *testing.T) {
	key := rfcKey(t, rfc9474(t))
	d := &Denomination{Kind: Bearer, PublicKey: &key.PublicKey}
	var err error
	if d.KeyID, err = NewKeyID(d.PublicKey); err != nil {
		t.Fatal(err)
	}
	var seed Seed
	for i := range seed {
		seed[i] = byte(i)
	}
	owner, err := OwnerKey(seed, "DEMOBANK", d.KeyID, 7)
	if err != nil {
		t.Fatal(err)
	}
	nonce, err := BoundNonce(seed, "DEMOBANK", d.KeyID, 7)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlanchet(seed, "DEMOBANK", d, 7, Owner(owner[32:]))
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Finalize(rawSign(key, p.Blinded()))
	if err != nil {
		t.Fatal(err)
	}
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	sum := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	id := c.ID()
	for _, f := range []struct{ name, got, want string }{
		{"key id", fmt.Sprintf("%x", d.KeyID[:]), "26a804c9715f10318e964c3754d1e38b96b48ade842357b62314d8ae464b2e31"},
		{"owner", fmt.Sprintf("%x", owner[32:]), "e0cfbaefc2f660c6af6dfae28ecc0b9f68d65c47baae29f1422f180c25cd73af"},
		{"nonce of a bound coin", fmt.Sprintf("%x", nonce[:]), "190c3848a0b6d3389d8dd8d17aaa8d6139c1812151f65fbf4f3a40abc3897e2c"},
		{"message", sum(c.Message()), "33f62e5d787dc82fdebb07c291cd089b69866f7d3b9798ed9f09983ea89e0af2"},
		{"coin id", fmt.Sprintf("%x", id[:]), "7c462a66b551dab864680d1ac7d4e8a804315605d3a6c6cef70686519b36c128"},
		{"blinded message", sum(p.Blinded()), "3c4c202d0a9542d32f16c7bc0bf82a0695467b57a25a58a521256e71be7d6fb8"},
		{"coin", sum(data), "27dd52048c2de369de59f049e0c8003a1dbde29e0d10a2692f96d405c2f9aae4"},
	} {
		if f.got != f.want {
			t.Errorf("%s: got %s, want %s", f.name, f.got, f.want)
		}
	}
}

func TestFinalizeRefuses(t *testing.T) {
	key := rfcKey(t, rfc9474(t))
	d := &Denomination{Kind: Bearer, PublicKey: &key.PublicKey}
	d.KeyID, _ = NewKeyID(d.PublicKey)
	owner, _ := OwnerKey(Seed{}, "DEMOBANK", d.KeyID, 0)
	p, err := NewPlanchet(Seed{}, "DEMOBANK", d, 0, Owner(owner[32:]))
	if err != nil {
		t.Fatal(err)
	}
	good := rawSign(key, p.Blinded())
	flipped := bytes.Clone(good)
	flipped[100] ^= 1
	for name, sig := range map[string][]byte{
		"nothing": nil, "one byte short": good[1:], "one byte long": append([]byte{0}, good...), "one bit flipped": flipped,
		"the blinded message itself": p.Blinded(), "the signature of another message": rawSign(key, []byte{2}),
	} {
		if _, err := p.Finalize(sig); !errors.Is(err, ErrBlindSignature) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := p.Finalize(good); err != nil {
		t.Fatalf("after the refusals: %v", err)
	}
	v, err := blindrsa.NewVerifier(blindrsa.SHA384PSSRandomized, d.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := p.Finalize(good)
	if err := v.Verify(c.Prepared(), c.Signature); err != nil {
		t.Fatalf("another verifier: %v", err)
	}
	sum := sha512.Sum384(c.Prepared())
	if err := rsa.VerifyPSS(d.PublicKey, crypto.SHA384, sum[:], c.Signature, &rsa.PSSOptions{SaltLength: 48}); err != nil {
		t.Fatalf("the standard library's verifier: %v", err)
	}
}
