package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/trust"
)

var showAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// must ends the test on an error and passes the value on.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// receipt is a deposit receipt of a bank under g's root.
func receipt(t *testing.T, g *groupdoctest.Group) []byte {
	t.Helper()
	issue := func(parent *x509.Certificate, signer *ecdsa.PrivateKey, role trust.Role, curve elliptic.Curve) (*x509.Certificate, *ecdsa.PrivateKey) {
		key := must(ecdsa.GenerateKey(curve, rand.Reader))(t)
		der := must(trust.Issue(parent, signer, trust.Name{Role: role, ID: "TESTBANK"}, key.Public(),
			showAt.AddDate(0, -1, 0), showAt.AddDate(0, 1, 0), role == trust.RoleBank))(t)
		return must(x509.ParseCertificate(der))(t), key
	}
	master, masterKey := issue(g.Root.Certificate(), g.RootKey, trust.RoleBank, elliptic.P384())
	leaf, key := issue(master, masterKey, trust.RoleSigning, elliptic.P256())
	r := coin.DepositReceipt{Bank: "TESTBANK", Op: [32]byte{1}, Amount: 1234, Currency: "EUR", At: showAt}
	return must(r.Sign(key, []*x509.Certificate{leaf, master}))(t)
}

func TestDocumentsAreShownOnceVerified(t *testing.T) {
	g := groupdoctest.New(t, showAt, []byte("template"), [32]byte{})
	for _, tt := range []struct {
		name string
		doc  []byte
		want string
	}{
		{"a deposit receipt", receipt(t, g), "1234 in minor units of EUR"},
		{"a group document", g.Sign(t), "group TESTGROUP"},
		{"a supervisor's signature", g.SupervisionJWS[1], "one of 3 signatures"},
		{"the root", g.Root.PEM(), "certificate of urn:specie:root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := must(show(g.Root, tt.doc, "", showAt))(t)
			var text bytes.Buffer
			if r.text(&text); !strings.Contains(text.String(), tt.want) {
				t.Errorf("shown as %s", text.String())
			}
			var out bytes.Buffer
			a := &app{out: &cli.Out{JSON: true, Stdout: &out}}
			if err := a.print(r); err != nil || !json.Valid(out.Bytes()) {
				t.Errorf("JSON: %v", err)
			}
		})
	}
}

func TestWhatDoesNotVerifyIsNotShown(t *testing.T) {
	g, other := groupdoctest.New(t, showAt, []byte("template"), [32]byte{}), groupdoctest.New(t, showAt, []byte("template"), [32]byte{})
	doc := g.Sign(t)
	flipped := bytes.Clone(doc)
	// Another character of the alphabet: a flipped bit may leave base64url.
	if at := len(flipped) - 9; flipped[at] != 'A' {
		flipped[at] = 'A'
	} else {
		flipped[at] = 'B'
	}
	foreign := must(trust.Sign("specie-hello+jws", []byte("{}"), g.Manager.Key, g.Manager.Chain))(t)
	for _, tt := range []struct {
		name string
		root *trust.Root
		doc  []byte
		at   time.Time
		want error
	}{
		{"without a root", nil, doc, showAt, errNoRoot},
		{"under another root", other.Root, doc, showAt, trust.ErrChain},
		{"with a bit flipped", g.Root, flipped, showAt, trust.ErrSignature},
		{"after its certificate", g.Root, doc, showAt.AddDate(3, 0, 0), trust.ErrExpired},
		{"of an unknown type", g.Root, foreign, showAt, errShow},
		{"another root certificate", g.Root, other.Root.PEM(), showAt, trust.ErrRole},
		{"a PEM block of another type", g.Root, []byte("-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n"), showAt, errShow},
		{"bytes of no kind", g.Root, []byte("hello"), showAt, errShow},
		{"nothing", g.Root, nil, showAt, errShow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := show(tt.root, tt.doc, "", tt.at); !errors.Is(err, tt.want) {
				t.Errorf("got %v, %v, want %v", r, err, tt.want)
			}
		})
	}
}
