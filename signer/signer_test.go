package signer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/signer"
)

// The bank's rules know the client by this.
var _ issuer.BatchSigner = (*signer.Client)(nil)

// TestTheClientsSideLoadsNoModule: the process that faces the world links
// this package, and nothing in it may lead to a PKCS#11 module.
func TestTheClientsSideLoadsNoModule(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "github.com/speciecash/specie/signer").Output()
	check(t, err)
	for _, p := range strings.Fields(string(out)) {
		if strings.HasSuffix(p, "/specie/hsm") || strings.Contains(p, "pkcs11") {
			t.Errorf("signer depends on %s", p)
		}
	}
}

func TestASignerDoesWhatItsKeysDo(t *testing.T) {
	c := open(t, newToken()).client(nil)
	ctx := t.Context()

	keys, err := c.Keys(ctx)
	check(t, err)
	var labels []string
	for _, k := range keys {
		labels = append(labels, k.Label+" "+k.Kind.String())
	}
	if want := []string{"one blind", "receipts digest", "two blind"}; !slices.Equal(labels, want) {
		t.Fatalf("keys %v", labels)
	}

	for _, key := range bench.coins {
		kid, m := message(t, key)
		check(t, c.Has(ctx, kid))
		s, err := c.BlindSign(ctx, kid, m)
		check(t, err)
		if !signs(key.Public(), s, m) {
			t.Error("the signature does not verify")
		}
		check(t, c.Check(ctx, idOf(t, key.Public())))
	}

	receipts, err := c.Signer(ctx, bench.receipts.Public())
	check(t, err)
	digest := sha256.Sum256([]byte("receipt"))
	s, err := receipts.Sign(rand.Reader, digest[:], crypto.SHA256)
	check(t, err)
	if !ecdsa.VerifyASN1(receipts.Public().(*ecdsa.PublicKey), digest[:], s) {
		t.Error("the receipt does not verify")
	}
	check(t, c.Check(ctx, idOf(t, receipts.Public())))

	box, err := bench.seal.Seal(ctx, []byte("secret"), []byte("aad"))
	check(t, err)
	plain, err := c.Box("seal").Open(ctx, box, []byte("aad"))
	check(t, err)
	if string(plain) != "secret" {
		t.Errorf("opened %q", plain)
	}
}

func TestWhatASignerRefuses(t *testing.T) {
	c := open(t, newToken()).client(nil)
	ctx := t.Context()
	kid, m := message(t, bench.coins[0])
	ec, err := c.Signer(ctx, bench.receipts.Public())
	check(t, err)
	strange, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	strangeEC, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	strangeKid, err := coin.NewKeyID(&strange.PublicKey)
	check(t, err)
	box, err := bench.seal.Seal(ctx, []byte("secret"), []byte("aad"))
	check(t, err)
	n := bench.coins[0].Public().N.Bytes()
	digest := sha512.Sum384([]byte("x"))

	blind := func(kid coin.KeyID, m []byte) error {
		_, err := c.BlindSign(ctx, kid, m)
		return err
	}
	sign := func(d []byte, h crypto.SignerOpts) error {
		_, err := ec.SignDigest(ctx, d, h)
		return err
	}
	open := func(label string, box, aad []byte) error {
		_, err := c.Box(label).Open(ctx, box, aad)
		return err
	}
	signerOf := func(p crypto.PublicKey) error {
		_, err := c.Signer(ctx, p)
		return err
	}
	for _, x := range []struct {
		name string
		err  error
		want []error
	}{
		{"a key that no token has", blind(strangeKid, m), []error{signer.ErrUnknownKey, coin.ErrUnknownKey}},
		{"the same, asked for before a keyset comes into force", c.Has(ctx, strangeKid), []error{coin.ErrUnknownKey}},
		{"a check of a key that no token has", c.Check(ctx, idOf(t, &strange.PublicKey)), []error{signer.ErrUnknownKey}},
		{"a message as large as the modulus", blind(kid, n), []error{signer.ErrInput}},
		{"a message one byte short", blind(kid, m[1:]), []error{signer.ErrInput}},
		{"the message zero", blind(kid, make([]byte, len(m))), []error{signer.ErrInput}},
		{"no message", blind(kid, nil), []error{signer.ErrInput}},
		{"a message beyond the protocol", blind(kid, make([]byte, 4096)), []error{signer.ErrInput}},
		{"a hash that the curve is too small for", sign(digest[:], crypto.SHA384), []error{signer.ErrInput}},
		{"a digest of another length", sign(digest[:31], crypto.SHA256), []error{signer.ErrInput}},
		{"a hash of another family", sign(digest[:], crypto.SHA3_384), []error{signer.ErrInput}},
		{"no hash named", sign(digest[:32], nil), []error{signer.ErrInput}},
		{"an EC key that no token has", signerOf(&strangeEC.PublicKey), []error{signer.ErrUnknownKey}},
		{"an RSA key for digests", signerOf(bench.coins[0].Public()), []error{signer.ErrUnknownKey}},
		{"a public key that is none", signerOf("key"), []error{signer.ErrInput}},
		{"a box with other associated data", open("seal", box, []byte("other")), []error{signer.ErrSealed}},
		{"a box too short", open("seal", box[:10], []byte("aad")), []error{signer.ErrSealed}},
		{"a label that no key has", open("seals", box, []byte("aad")), []error{signer.ErrUnknownKey}},
		{"a label of another kind of key", open("receipts", box, []byte("aad")), []error{signer.ErrUnknownKey}},
		{"a box beyond the protocol", open("seal", make([]byte, 16<<10), nil), []error{signer.ErrInput}},
	} {
		t.Run(x.name, func(t *testing.T) { expect(t, x.err, x.want...) })
	}
}

func TestAKeyOfOneKindDoesNotDoTheOthersWork(t *testing.T) {
	h := open(t, newToken())
	raw := h.greeted()
	// A blind signature under the receipts key: raw RSA on what looks like
	// nothing must not become ECDSA on anything.
	_, err := raw.Write(signer.BlindRequest(1, idOf(t, bench.receipts.Public()), 1e9, make([]byte, 32)))
	check(t, err)
	if got := raw.answer(); got.status != "unknown_key" {
		t.Fatalf("got %+v", got)
	}
}

func TestANewKeyIsFoundWithoutARestart(t *testing.T) {
	tok := newToken()
	tok.hide["two"] = true
	c := open(t, tok).client(nil)
	kid, m := message(t, bench.coins[1])
	expect(t, c.Has(t.Context(), kid), signer.ErrUnknownKey)
	tok.set(func(t *token) { delete(t.hide, "two") })
	s, err := c.BlindSign(t.Context(), kid, m)
	check(t, err)
	if !signs(bench.coins[1].Public(), s, m) {
		t.Error("the signature does not verify")
	}
}

func TestAKeyThatFailsItsAuditIsNotTakenInAndTheOthersGoOn(t *testing.T) {
	tok := newToken()
	tok.hide["two"] = true
	h := open(t, tok)
	c := h.client(nil)
	one, m := message(t, bench.coins[0])
	two, _ := message(t, bench.coins[1])
	check(t, c.Has(t.Context(), one))
	tok.set(func(t *token) { t.audit, t.hide = hsm.ErrAudit, map[string]bool{} })
	expect(t, c.Has(t.Context(), two), signer.ErrFailed)
	_, err := c.BlindSign(t.Context(), one, m)
	check(t, err)
	// At a start it is another matter.
	if _, err := signer.NewServer(t.Context(), signer.ServerConfig{Tokens: []signer.Token{tok}}); err == nil {
		t.Fatal("a server starts on a token that fails the audit")
	}
}

// A crowd is a token with keys of the test's making besides its own AES key.
type crowd struct {
	signer.Token
	keys signer.TokenKeys
}

func (c crowd) Keys(context.Context) (*signer.TokenKeys, error) { return &c.keys, nil }

// listed is a key with a public half of its own.
type listed struct {
	signer.DigestKey
	public *ecdsa.PublicKey
}

func (l listed) Public() crypto.PublicKey { return l.public }

func newCrowd(t testing.TB, n int, label string) crowd {
	t.Helper()
	c := crowd{Token: newToken(), keys: signer.TokenKeys{Digest: map[string]signer.DigestKey{}}}
	for i := range n {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(t, err)
		c.keys.Digest[fmt.Sprint(label, i)] = listed{public: &key.PublicKey}
	}
	return c
}

func TestAServerRefusesTokensThatDoNotGoTogether(t *testing.T) {
	for name, tokens := range map[string][]signer.Token{
		"no token":                nil,
		"one key on two of them":  {newToken(), newToken()},
		"more keys than are told": {newCrowd(t, 1025, "")},
	} {
		_, err := signer.NewServer(context.Background(), signer.ServerConfig{Tokens: tokens})
		if err == nil {
			t.Errorf("%s is taken", name)
			continue
		}
		expect(t, err, signer.ErrInput)
	}
	if _, err := signer.NewServer(t.Context(), signer.ServerConfig{
		Tokens: []signer.Token{newCrowd(t, 1, strings.Repeat("l", 64))},
	}); err == nil {
		t.Error("a label longer than the protocol has is taken")
	}
}

func TestASealKeysLabelIsOnOneToken(t *testing.T) {
	ctx := t.Context()
	box, err := bench.seal.Seal(ctx, []byte("secret"), nil)
	check(t, err)
	other := newCrowd(t, 1, "key") // the same AES key, met twice
	c := open(t, newToken(), other).client(nil)
	_, err = c.Box("seal").Open(ctx, box, nil)
	expect(t, err, signer.ErrFailed)
	_, err = c.Box("not there").Open(ctx, box, nil)
	expect(t, err, signer.ErrUnknownKey)
}

func TestACheckAsksEveryToken(t *testing.T) {
	tok, other := newToken(), newCrowd(t, 1, "key")
	check(t, open(t, tok).srv.Check(t.Context()))
	other.keys.Digest["key0"] = broken{other.keys.Digest["key0"]}
	if err := open(t, tok, other).srv.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "token bank") {
		t.Errorf("got %v", err)
	}
}

// broken is a key whose token is away.
type broken struct{ signer.DigestKey }

func (broken) Check(context.Context) error { return signer.ErrUnavailable }
