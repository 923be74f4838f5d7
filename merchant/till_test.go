package merchant_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestTheTillFile(t *testing.T) {
	town := wallettest.New(t)
	good := merchant.Settings{RootPEM: town.RootPEM, BankURL: town.BankURL, Name: "Café", TillName: "1"}
	fresh := func() string { return filepath.Join(t.TempDir(), "till.db") }

	t.Run("is made once, and keeps its key", func(t *testing.T) {
		path := fresh()
		must(t, merchant.Create(t.Context(), path, good))
		var ids []string
		for range 2 {
			want(t, merchant.Create(t.Context(), path, good), merchant.ErrExists)
			till, err := merchant.Open(t.Context(), path, merchant.Options{})
			must(t, err)
			ids = append(ids, till.MerchantID())
			must(t, till.Close())
		}
		if ids[0] != ids[1] || len(ids[0]) != 43 {
			t.Errorf("ids %v", ids)
		}
		fi, err := os.Stat(path)
		must(t, err)
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", fi.Mode())
		}
	})
	t.Run("has a root, and servers that can be asked in secret", func(t *testing.T) {
		for _, c := range []struct {
			change func(*merchant.Settings)
			want   error
		}{
			{func(s *merchant.Settings) { s.RootPEM = nil }, trust.ErrMalformed},
			{func(s *merchant.Settings) { s.BankURL = "http://bank.example" }, client.ErrAddress},
			{func(s *merchant.Settings) { s.GroupURLs = []string{"group.example"} }, client.ErrAddress},
		} {
			bad := good
			c.change(&bad)
			path := fresh()
			want(t, merchant.Create(t.Context(), path, bad), c.want)
			if _, err := os.Stat(path); err == nil {
				t.Error("it left a file")
			}
		}
	})
	t.Run("is not made by opening it", func(t *testing.T) {
		_, err := merchant.Open(t.Context(), fresh(), merchant.Options{})
		want(t, err, merchant.ErrNoTill)
	})
	t.Run("is a database", func(t *testing.T) {
		path := fresh()
		must(t, os.WriteFile(path, bytes.Repeat([]byte("no database "), 100), 0o600))
		_, err := merchant.Open(t.Context(), path, merchant.Options{})
		want(t, err, sqlitefile.ErrDamaged)
	})
	t.Run("does not print its token", func(t *testing.T) {
		s := good
		s.Token = "spt_secret"
		if text := fmt.Sprintf("%v %+v %#v %s", s, s, s, s); strings.Contains(text, "secret") {
			t.Errorf("%s", text)
		}
	})
}

func TestNewOffer(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	t.Run("takes both kinds for a quarter of an hour", func(t *testing.T) {
		signed, err := shop.NewOffer(t.Context(), merchant.OfferRequest{Amount: 5, Order: "T-17", Purpose: "coffee"})
		must(t, err)
		o := signed.Offer
		if len(o.Kinds) != 2 || len(o.Groups) != 1 || o.Groups[0] != town.Group.GroupID() || o.Acquirer != wallettest.BankID || o.Currency != wallettest.Currency {
			t.Errorf("%+v", o)
		}
		if left := o.Expires.Sub(town.Now()); left < 14*time.Minute || left > 15*time.Minute {
			t.Errorf("open for %s", left)
		}
		again, err := coin.VerifyOffer(signed.JWS, signed.PrivateBytes, town.Now())
		must(t, err)
		if again.Private.Name != "Café Central" || again.Private.Order != "T-17" || again.Private.MerchantID != shop.MerchantID() {
			t.Errorf("%+v", again.Private)
		}
		for _, secret := range []string{"coffee", "T-17", "Café", shop.MerchantID()} {
			if bytes.Contains(signed.Public, []byte(secret)) {
				t.Errorf("the bank would learn %q", secret)
			}
		}
	})
	t.Run("over nothing is refused", func(t *testing.T) {
		for _, amount := range []coin.Amount{0, -5, coin.MaxAmount + 1} {
			_, err := shop.NewOffer(t.Context(), merchant.OfferRequest{Amount: amount})
			want(t, err, merchant.ErrOffer)
		}
	})
	t.Run("of bound coins needs a group manager", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "till.db")
		must(t, merchant.Create(t.Context(), path, merchant.Settings{RootPEM: town.RootPEM, BankURL: town.BankURL, Name: "Kiosk", TillName: "1"}))
		kiosk, err := merchant.Open(t.Context(), path, merchant.Options{Now: town.Now})
		must(t, err)
		defer kiosk.Close()
		signed, err := kiosk.NewOffer(t.Context(), merchant.OfferRequest{Amount: 5})
		must(t, err)
		if len(signed.Offer.Kinds) != 1 || signed.Offer.Kinds[0] != coin.Bearer {
			t.Errorf("takes %v", signed.Offer.Kinds)
		}
		_, err = kiosk.NewOffer(t.Context(), merchant.OfferRequest{Amount: 5, Kinds: []coin.Kind{coin.Bound}})
		want(t, err, merchant.ErrOffer)
	})
	t.Run("goes on without bank and group manager, once they were seen", func(t *testing.T) {
		town.BankGate.Shut(true)
		town.GroupGate.Shut(true)
		defer town.BankGate.Shut(false)
		defer town.GroupGate.Shut(false)
		town.Group.Clock.Forward(time.Hour)
		shop.Reopen(t)
		_, err := shop.NewOffer(t.Context(), merchant.OfferRequest{Amount: 5})
		must(t, err)
	})
}

func TestTheTillsKeysetIsNeverRolledBack(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	shop.Ask(t, 5)
	old := town.Rotate(t, nil)
	keys := func(jws []byte) {
		answerWith(&town.BankGate, "/v1/keys", 200, "application/json", `{"keyset":"`+string(jws)+`"}`)
	}
	town.Group.Clock.Forward(time.Hour)
	k, err := shop.Keyset(t.Context())
	must(t, err)
	if k.Seq != 2 {
		t.Fatalf("keyset %d", k.Seq)
	}
	for name, c := range map[string]struct {
		jws  []byte
		want error
	}{
		"an older one":               {old, coin.ErrRollback},
		"another of the same number": {town.SignKeyset(t, func(k *coin.Keyset) { k.IssuedAt = k.IssuedAt.Add(time.Second) }), coin.ErrFork},
		"no keyset":                  {[]byte("a.b.c"), trust.ErrMalformed},
		"one from years ahead":       {town.SignKeyset(t, func(k *coin.Keyset) { k.IssuedAt = k.IssuedAt.AddDate(4, 0, 0) }), coin.ErrFuture},
	} {
		t.Run(name, func(t *testing.T) {
			keys(c.jws)
			town.Group.Clock.Forward(time.Hour)
			_, err := shop.Keyset(t.Context())
			want(t, err, c.want)
			shop.Reopen(t)
			_, err = shop.Keyset(t.Context())
			want(t, err, c.want)
		})
	}
}

// TestTheTillsDocumentIsNeverRolledBack: an older one may lack a key that
// leaked since.
func TestTheTillsDocumentIsNeverRolledBack(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	shop.Ask(t, 5)
	old, err := town.Group.Document(t.Context())
	must(t, err)
	town.Group.Clock.Forward(13 * time.Hour) // signed anew
	docs, err := shop.GroupDocuments(t.Context())
	must(t, err)
	newest := docs[0].Digest
	if newest == old.Digest {
		t.Fatal("the document was not signed anew")
	}
	for name, body := range map[string]string{
		"an older one": `{"document":"` + string(old.JWS) + `"}`, "one that is none": `{"document":"a.b.c"}`, "no answer": `{`,
	} {
		t.Run(name, func(t *testing.T) {
			answerWith(&town.GroupGate, "/v1/group", 200, "application/json", body)
			town.Group.Clock.Forward(10 * time.Minute)
			docs, err := shop.GroupDocuments(t.Context())
			must(t, err)
			if docs[0].Digest != newest {
				t.Error("the till went back")
			}
		})
	}
	town.GroupGate.Instead("/v1/group", nil)
	town.Group.Clock.Forward(14 * time.Hour)
	docs, err = shop.GroupDocuments(t.Context())
	must(t, err)
	if docs[0].Digest == newest {
		t.Error("the till stands still")
	}
}

// TestATillThatWasShutForLongTakesNoOlderDocument: what it saw is of an epoch
// that is over, and still what the next one must come after.
func TestATillThatWasShutForLongTakesNoOlderDocument(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	town.Group.Clock.Forward(13 * time.Hour) // the second document, so that there is a lower number
	shop.Ask(t, 5)
	seen, err := shop.GroupDocuments(t.Context())
	must(t, err)
	town.Group.Clock.Forward(3 * seen[0].Current.Ends.Sub(seen[0].Current.Starts))
	signed, err := town.Group.Document(t.Context())
	must(t, err)
	g := town.Group.Group
	doc, err := groupdoc.Parse(g.Root, signed.JWS, town.Now())
	must(t, err)
	forged := doc.Contents
	forged.Seq = seen[0].Seq - 1
	jws, err := groupdoc.Sign(g.Root, &forged, g.Manager.Key, g.Manager.Chain)
	must(t, err)
	answerWith(&town.GroupGate, "/v1/group", 200, "application/json", `{"document":"`+string(jws)+`"}`)
	if docs, err := shop.GroupDocuments(t.Context()); !errors.Is(err, groupdoc.ErrRollback) {
		t.Fatalf("got %d documents, %v", len(docs), err)
	}
	town.GroupGate.Instead("/v1/group", nil)
	if _, err := shop.GroupDocuments(t.Context()); err != nil {
		t.Fatalf("the true one: %v", err)
	}
}

// A shop that was told that an offer is over has sold the thing to somebody else.
func TestAnOfferThatWasToldToBeOverIsNotPaid(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	offer, spend := payment(t, town, shop)
	town.Group.Clock.Forward(16 * time.Minute)
	s, err := shop.Sale(t.Context(), offer.Digest)
	must(t, err)
	if s.State != merchant.StepExpired {
		t.Fatalf("%+v", s)
	}
	town.Group.Clock.Forward(-10 * time.Minute) // the clock was wrong
	_, err = shop.Accept(t.Context(), spend)
	want(t, err, coin.ErrOfferExpired)
	holds(t, town, shop.Account, 0)
}
