package coin_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/frame"
)

func qrLink(t testing.TB) (*coin.Link, string) {
	l := must(newOffer(t).Link("https://shop.example/pay"))
	return l, must(l.QR())
}

func TestALinkForPicturesIsTheSameLink(t *testing.T) {
	l, text := qrLink(t)
	if diff := cmp.Diff(l, must(coin.ParseLink(text))); diff != "" {
		t.Fatal(diff)
	}
	if long := must(l.Text()); len(text) > 800 || len(text) > len(long)*55/100 {
		t.Errorf("%d characters instead of %d", len(text), len(long))
	}
	if strings.Trim(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+-./:") != "" {
		t.Errorf("not for alphanumeric mode: %s", text)
	}
}

// TestTheDictionaryIsForEver: pictures that were printed are read by later
// versions.
func TestTheDictionaryIsForEver(t *testing.T) {
	const path = "testdata/link-qr.txt"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := coin.ParseLink(strings.TrimSpace(string(old)))
	if err != nil {
		t.Fatal(err)
	}
	if o, err := l.Verify(now); err != nil || o.Private.Name == "" {
		t.Errorf("%v", err)
	}
}

func TestLinksInPicturesThatAreRefused(t *testing.T) {
	l, text := qrLink(t)
	packed := must(coin.Decode41(strings.TrimPrefix(text, "SPECIE:PAY1/"), coin.MaxLink))
	pack := func(raw []byte) string {
		var b bytes.Buffer
		w := must(flate.NewWriter(&b, flate.BestCompression))
		must(w.Write(raw))
		must(0, w.Close())
		return "SPECIE:PAY1/" + coin.Encode41(b.Bytes())
	}
	parts := func(n int, to string) [][]byte {
		return append(slices.Repeat([][]byte{[]byte("a")}, n), []byte(to))
	}
	good := frame.Join(parts(4, l.To)...)
	if _, err := coin.ParseLink(pack(good)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":               {"SPECIE:PAY1/", coin.ErrMalformed},
		"another version":       {"SPECIE:PAY2/" + text[12:], coin.ErrMalformed},
		"small letters":         {strings.ToLower(text), coin.ErrMalformed},
		"cut off":               {text[:len(text)-6], coin.ErrMalformed},
		"more behind it":        {"SPECIE:PAY1/" + coin.Encode41(append(packed, 0, 0)), coin.ErrMalformed},
		"not deflated":          {"SPECIE:PAY1/" + coin.Encode41([]byte("rubbish")), coin.ErrMalformed},
		"a bomb":                {pack(make([]byte, 1<<20)), coin.ErrTooLarge},
		"four parts":            {pack(frame.Join(parts(3, l.To)...)), coin.ErrMalformed},
		"six parts":             {pack(frame.Join(append(parts(4, l.To), nil)...)), coin.ErrMalformed},
		"a part that is longer": {pack(good[:len(good)-1]), coin.ErrMalformed},
		"an address elsewhere":  {pack(frame.Join(parts(4, "http://shop.example")...)), coin.ErrMalformed},
		"no private part":       {pack(frame.Join([]byte("a"), []byte("a"), []byte("a"), nil, []byte(l.To))), coin.ErrMalformed},
		"too long":              {"SPECIE:PAY1/" + strings.Repeat("A", coin.MaxLink), coin.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := coin.ParseLink(c.text)
			expect(t, err, c.want)
		})
	}
}

func TestALinkThatHasNoPicture(t *testing.T) {
	for name, l := range map[string]*coin.Link{
		"no offer":       {To: "https://x.example"},
		"two segments":   {JWS: []byte("YQ.YQ"), Private: []byte("x"), To: "https://x.example"},
		"not base64url":  {JWS: []byte("YQ.YQ.Y="), Private: []byte("x"), To: "https://x.example"},
		"a foreign form": {JWS: []byte("YQ.YQ.YR"), Private: []byte("x"), To: "https://x.example"},
	} {
		if _, err := l.QR(); !errors.Is(err, coin.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBase41(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "bytes")
		got, err := coin.Decode41(coin.Encode41(b), len(b))
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%x: %v", got, err)
		}
	})
	for _, s := range []string{"0", "0000", ":::", "::", "a00", "00 ", "6A0"} {
		if b, err := coin.Decode41(s, 100); err == nil && coin.Encode41(b) != s {
			t.Errorf("%q is read as %x", s, b)
		}
	}
	for _, s := range []string{"0", ":::", "::", "a00", "00%"} {
		if _, err := coin.Decode41(s, 100); !errors.Is(err, coin.ErrMalformed) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := coin.Decode41("000000", 3); !errors.Is(err, coin.ErrTooLarge) && err != nil {
		t.Error(err)
	}
	if _, err := coin.Decode41("000000000", 3); !errors.Is(err, coin.ErrTooLarge) {
		t.Error(err)
	}
}
