package attest_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/speciecash/specie/attest"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Manufacturers' certificates break rules. What is put up with stands beside its
// nearest neighbour that is not.

// malformed are serial numbers as STMicroelectronics' intermediates have them in
// Microsoft's collection of TPM roots (00000006), and negative ones.
var malformed = map[string]string{
	"negative":                        "\x80\x00\x00\x01",
	"with superfluous zeros":          "\x00\x00\x00\x06",
	"zero, at length":                 "\x00\x00",
	"negative, with superfluous ones": "\xff\xff\x01",
	"negative and long":               strings.Repeat("\x9f", 32),
}

func TestAMalformedSerialNumberIsPutUpWith(t *testing.T) {
	root := newAuthority(t, "root", nil)
	under := newAuthority(t, "under", root)
	key := ecKey(t)
	public, leaf := ecPublic(t, key), under.endorse(t, key, nil)
	for name, number := range malformed {
		odd := serial(t, cbasn1.INTEGER, number)
		oddRoot, oddUnder := root.resign(t, root.cert.Raw, odd), root.resign(t, under.cert.Raw, odd)
		for _, c := range []struct {
			where string
			chain [][]byte
			roots *attest.Roots
		}{
			{"in the endorsement key certificate", [][]byte{under.resign(t, leaf, odd)}, rootsOf(t, root.pem(), under.pem())},
			{"in an intermediate that is listed", [][]byte{leaf}, rootsOf(t, root.pem(), pemOf(oddUnder))},
			{"in an intermediate that is listed and sent along", [][]byte{leaf, oddUnder}, rootsOf(t, root.pem(), pemOf(oddUnder))},
			{"in a root", [][]byte{leaf, under.cert.Raw}, rootsOf(t, pemOf(oddRoot))},
		} {
			if _, err := attest.VerifyEK(c.chain, public, c.roots, hardware()); err != nil {
				t.Errorf("%s, %s: %v", name, c.where, err)
			}
		}
		long := append(bytes.Clone(oddRoot), 0)
		manifest := fmt.Sprintf("{version: 1, manufacturers: {TEST: {ek: p256}}, certificates: [{file: r.der, sha256: %s, manufacturer: TEST, root: true}]}", hexOf(long))
		if _, err := attest.ParseRoots([]byte(manifest), map[string][]byte{"r.der": long}); !errors.Is(err, attest.ErrRoots) {
			t.Errorf("%s, in a root with a byte after it: got %v, want ErrRoots", name, err)
		}
		if _, err := attest.VerifyEK([][]byte{leaf, oddUnder}, public, rootsOf(t, root.pem()), hardware()); !errors.Is(err, attest.ErrChain) {
			t.Errorf("%s, in an intermediate that nobody listed: got %v, want ErrChain", name, err)
		}
	}
}

func TestAnUnreadableSerialNumberIsRefused(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	leaf := root.endorse(t, key, nil)
	negative := root.resign(t, leaf, serial(t, cbasn1.INTEGER, "\x80\x01"))
	swapped := bytes.Replace(negative, []byte("\x02\x02\x80\x01"), []byte("\x02\x02\x80\x02"), 1)
	for name, der := range map[string][]byte{
		"without contents":               root.resign(t, leaf, serial(t, cbasn1.INTEGER, "")),
		"negative and longer than any":   root.resign(t, leaf, serial(t, cbasn1.INTEGER, strings.Repeat("\x9f", 33))),
		"of another type":                root.resign(t, leaf, serial(t, cbasn1.ENUM, "\x80\x01")),
		"negative, in another version":   root.resign(t, negative, replacing(t, "\xa0\x03\x02\x01\x02", "\xa0\x03\x02\x01\x03")),
		"negative, changed once signed":  swapped,
		"negative, with a byte after it": append(bytes.Clone(negative), 0),
	} {
		if bytes.Equal(der, negative) {
			t.Fatalf("%s: nothing changed", name)
		}
		if _, err := attest.VerifyEK([][]byte{der}, ecPublic(t, key), rootsOf(t, root.pem()), hardware()); !errors.Is(err, attest.ErrChain) {
			t.Errorf("%s: got %v, want ErrChain", name, err)
		}
	}
}

func TestWhatATPMStoresAroundACertificateIsTakenOff(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	leaf := root.endorse(t, key, nil)
	header := func(tag string, size int, rest ...byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte(tag), uint16(size)), rest...)
	}
	n := len(leaf)
	tagged := append([]byte("\x10\x02"), leaf...)
	for name, c := range map[string]struct {
		stored []byte
		want   error
	}{
		"as it is":                           {leaf, nil},
		"with padding of 0xFF":               {append(bytes.Clone(leaf), "\xff\xff\xff"...), nil},
		"with padding of 0x00":               {append(bytes.Clone(leaf), "\x00\x00\x00"...), attest.ErrChain},
		"with padding of both":               {append(bytes.Clone(leaf), "\xff\x00"...), attest.ErrChain},
		"with something within the padding":  {append(bytes.Clone(leaf), "\xff\x01\xff"...), attest.ErrChain},
		"with a header":                      {header("\x10\x01\x00", n, leaf...), nil},
		"with a header and padding":          {header("\x10\x01\x00", n, append(bytes.Clone(leaf), "\xff\xff"...)...), nil},
		"with a header and padding within":   {header("\x10\x01\x00", n+2, append(bytes.Clone(leaf), "\xff\xff"...)...), nil},
		"with a header and a tag":            {header("\x10\x01\x00", n+2, tagged...), nil},
		"with a tag and no header":           {tagged, attest.ErrChain},
		"with a header that says too much":   {header("\x10\x01\x00", n+1, leaf...), attest.ErrChain},
		"with a header that says too little": {header("\x10\x01\x00", n-1, leaf...), attest.ErrChain},
		"with another header":                {header("\x10\x02\x00", n, leaf...), attest.ErrChain},
		"with the header of a part":          {header("\x10\x01\x01", n, leaf...), attest.ErrChain},
		"with the header of another size":    {header("\x10\x01\x00\x00", n, leaf...), attest.ErrChain},
		"with a header alone":                {header("\x10\x01\x00", 0), attest.ErrChain},
		"with a header and nothing in it":    {header("\x10\x01\x00", 0, 0xff), attest.ErrChain},
	} {
		if _, err := attest.VerifyEK([][]byte{c.stored}, ecPublic(t, key), rootsOf(t, root.pem()), hardware()); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// AMD writes out that an extension is not critical, which DER leaves out.
func TestADefaultMayBeWrittenOut(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	leaf := root.endorse(t, key, nil)
	const use = "\x06\x03\x55\x1d\x25" // extended key usage
	for name, c := range map[string]struct {
		boolean string
		want    error
	}{
		"not critical":       {"\x01\x01\x00", nil},
		"half critical":      {"\x01\x01\x07", attest.ErrChain},
		"critical at length": {"\x01\x02\xff\xff", attest.ErrChain},
	} {
		der := root.resign(t, leaf, func(tbs []byte) []byte { return inserted(t, tbs, use, c.boolean) })
		if !bytes.Contains(der, []byte(use+c.boolean)) {
			t.Fatal("nothing was inserted")
		}
		if _, err := attest.VerifyEK([][]byte{der}, ecPublic(t, key), rootsOf(t, root.pem()), hardware()); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// inserted puts bytes after an element, however deep, and mends the lengths around.
func inserted(t testing.TB, der []byte, after, insert string) []byte {
	t.Helper()
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	if !outer.IsCompound {
		return der
	}
	var body []byte
	for rest := outer.Bytes; len(rest) > 0; {
		var e asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &e); err != nil {
			t.Fatal(err)
		}
		body = append(body, inserted(t, e.FullBytes, after, insert)...)
		if string(e.FullBytes) == after {
			body = append(body, insert...)
		}
	}
	out, err := asn1.Marshal(asn1.RawValue{Class: outer.Class, Tag: outer.Tag, IsCompound: true, Bytes: body})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Some manufacturers certify RSA keys as id-RSAES-OAEP.
func TestAnOAEPKeyIsUnderstood(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const rsaEncryption = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01"
	marked := func(as string) [][]byte {
		return [][]byte{root.resign(t, root.endorse(t, &key.PublicKey, nil), replacing(t, rsaEncryption+"\x01", rsaEncryption+as))}
	}
	roots := rootsTaking(t, "rsa2048", root.pem())
	ek, err := attest.VerifyEK(marked("\x07"), rsaPublic(&key.PublicKey), roots, hardware())
	if err != nil || ek.Kind != "rsa2048" {
		t.Fatalf("id-RSAES-OAEP: %v", err)
	}
	if _, err := attest.VerifyEK(marked("\x63"), rsaPublic(&key.PublicKey), roots, hardware()); !errors.Is(err, attest.ErrEKProfile) {
		t.Errorf("an unknown algorithm: got %v, want ErrEKProfile", err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest.VerifyEK(marked("\x07"), rsaPublic(&other.PublicKey), roots, hardware()); !errors.Is(err, attest.ErrEKMismatch) {
		t.Errorf("id-RSAES-OAEP for another key: got %v, want ErrEKMismatch", err)
	}
}

func TestOnlyTheLeafMayHaveACriticalAlternativeName(t *testing.T) {
	root := newAuthority(t, "root", nil)
	under := newAuthority(t, "under", root)
	key := ecKey(t)
	named := *under.cert
	named.ExtraExtensions = append(named.ExtraExtensions, sanExtension(t, true))
	odd := &authority{cert: root.issue(t, &named, under.key.Public()), key: under.key}
	chain := [][]byte{odd.endorse(t, key, nil), odd.cert.Raw}
	if _, err := attest.VerifyEK(chain, ecPublic(t, key), rootsOf(t, root.pem()), hardware()); !errors.Is(err, attest.ErrChain) {
		t.Errorf("an intermediate with one: got %v, want ErrChain", err)
	}
	plain := root.endorse(t, key, func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = false })
	if _, err := attest.VerifyEK([][]byte{plain}, ecPublic(t, key), rootsOf(t, root.pem()), hardware()); err != nil {
		t.Errorf("a leaf with one that is not critical: %v", err)
	}
}
