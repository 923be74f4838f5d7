package hsm_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/cloudflare/circl/blindsign/blindrsa"
	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

// figures reads testdata/rfc9474-a1.txt.
func figures(t testing.TB) map[string][]byte {
	t.Helper()
	f, err := os.Open("testdata/rfc9474-a1.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := make(map[string][]byte)
	name := ""
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		switch {
		case line == "" || line[0] == '#':
		case line[0] != ' ':
			name = line
		default:
			b, err := hex.DecodeString(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			out[name] = append(out[name], b...)
		}
	}
	return out
}

// importRSA puts the RFC's key into the token. BlindSign itself knows no
// imported key: the audit refuses it (see TestAudit).
func importRSA(t testing.TB, tok *hsm.Token, label string, fig map[string][]byte) []byte {
	t.Helper()
	p, q, d := new(big.Int).SetBytes(fig["p"]), new(big.Int).SetBytes(fig["q"]), new(big.Int).SetBytes(fig["d"])
	one := big.NewInt(1)
	mod := func(m *big.Int) []byte { return new(big.Int).Mod(d, new(big.Int).Sub(m, one)).Bytes() }
	id := bytes.Repeat([]byte{0x94}, 16)
	write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
		_, err := ctx.CreateObject(s, append(hsm.RSATemplate(label, id),
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS, fig["n"]),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, fig["e"]),
			pkcs11.NewAttribute(pkcs11.CKA_PRIVATE_EXPONENT, fig["d"]),
			pkcs11.NewAttribute(pkcs11.CKA_PRIME_1, fig["p"]),
			pkcs11.NewAttribute(pkcs11.CKA_PRIME_2, fig["q"]),
			pkcs11.NewAttribute(pkcs11.CKA_EXPONENT_1, mod(p)),
			pkcs11.NewAttribute(pkcs11.CKA_EXPONENT_2, mod(q)),
			pkcs11.NewAttribute(pkcs11.CKA_COEFFICIENT, new(big.Int).ModInverse(q, p).Bytes()),
		))
		return err
	})
	return id
}

// RFC 9474, Appendix A.1, with the signer's step done by SoftHSM.
func TestBlindSignGivesTheSignaturesOfRFC9474(t *testing.T) {
	fig := figures(t)
	tok := newToken(t)
	key, err := tok.LoadImportedRSA(t.Context(), "rfc9474", importRSA(t, tok, "rfc9474", fig))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key.Public().N.Bytes(), fig["n"]) {
		t.Fatal("the token shows another modulus")
	}
	blindSig, err := key.BlindSign(t.Context(), fig["blinded"])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(blindSig, fig["blind_signature"]) {
		t.Fatalf("blind signature\n got %x\nwant %x", blindSig, fig["blind_signature"])
	}

	client, err := blindrsa.NewClient(blindrsa.SHA384PSSRandomized, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	// circl draws the salt and then the blinding factor; it gets the RFC's.
	n := new(big.Int).SetBytes(fig["n"])
	factor := new(big.Int).ModInverse(new(big.Int).SetBytes(fig["inverse"]), n).FillBytes(make([]byte, len(fig["n"])))
	blinded, state, err := client.Blind(io.MultiReader(bytes.NewReader(fig["salt"]), bytes.NewReader(factor)), fig["prepared"])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(blinded, fig["blinded"]) {
		t.Fatalf("blinded message\n got %x\nwant %x", blinded, fig["blinded"])
	}
	sig, err := client.Finalize(state, blindSig)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sig, fig["signature"]) {
		t.Fatalf("signature\n got %x\nwant %x", sig, fig["signature"])
	}
	if err := client.Verify(fig["prepared"], sig); err != nil {
		t.Fatal(err)
	}
}
