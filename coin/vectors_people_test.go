package coin_test

import (
	"bytes"
	"compress/flate"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/words"
)

// linkQRVector is the offer's link as pictures have it.
type linkQRVector struct {
	Dictionary string `json:"dictionary"`
	Frame      string `json:"frame"`
	Deflated   string `json:"deflated"`
	Text       string `json:"text"`
}

// envelopeVector is money from one person to another: two coins of the wallet
// seed's, each the first of its key.
type envelopeVector struct {
	Root     string               `json:"root_fingerprint"`
	Currency string               `json:"currency"`
	Amount   uint64               `json:"amount"`
	Coins    []envelopeCoinVector `json:"coins"`
	Frame    string               `json:"frame"`
	Text     string               `json:"text"`
	QR       string               `json:"qr"`
}

type envelopeCoinVector struct {
	KeyID      string `json:"kid"`
	ID         string `json:"id"`
	Randomizer string `json:"randomizer"`
	Signature  string `json:"signature"`
	OwnerSeed  string `json:"owner_ed25519_seed"`
}

// wordsVector is a seed as it is written down.
type wordsVector struct {
	Seed    string   `json:"seed"`
	Numbers []int    `json:"numbers"`
	Words   []string `json:"words"`
}

func newLinkQRVector(t *testing.T, link string) linkQRVector {
	t.Helper()
	l := must(coin.ParseLink(link))
	v := linkQRVector{Dictionary: coin.LinkDictionary, Text: must(l.QR())}
	deflated := must(coin.Decode41(strings.TrimPrefix(v.Text, "SPECIE:PAY1/"), coin.MaxLink))
	v.Deflated, v.Frame = hex.EncodeToString(deflated), hex.EncodeToString(inflate(t, deflated, v.Dictionary))
	return v
}

func newEnvelopeVector(t *testing.T, coins ...coin.EnvelopeCoin) envelopeVector {
	t.Helper()
	e := coin.Envelope{Bank: bankID, Root: [32]byte(bytes.Repeat([]byte{5}, 32)), Currency: "EUR", Amount: 9, Coins: coins}
	e.Sort()
	x := hex.EncodeToString
	v := envelopeVector{Root: x(e.Root[:]), Currency: e.Currency, Amount: uint64(e.Amount), Text: must(e.Text()), QR: must(e.QR())}
	for _, c := range e.Coins {
		id := c.Coin.ID()
		v.Coins = append(v.Coins, envelopeCoinVector{c.Coin.KeyID.String(), x(id[:]), x(c.Coin.Randomizer[:]), x(c.Coin.Signature), x(c.Owner.Seed())})
	}
	v.Frame = x(must(base64.RawURLEncoding.DecodeString(strings.TrimPrefix(v.Text, "specie:coins?c="))))
	return v
}

func newWordsVectors() (out []wordsVector) {
	list := strings.Fields(string(must(os.ReadFile(wordsFile))))
	rising := [words.Size]byte{}
	for i := range rising {
		rising[i] = byte(i)
	}
	for _, seed := range [][words.Size]byte{{}, [words.Size]byte(bytes.Repeat([]byte{7}, words.Size)), rising} {
		v := wordsVector{Seed: hex.EncodeToString(seed[:]), Words: words.Encode(seed)}
		for _, w := range v.Words {
			v.Numbers = append(v.Numbers, slices.Index(list, w))
		}
		out = append(out, v)
	}
	return out
}

const wordsFile = "../words/english.txt"

// inflate undoes DEFLATE with a preset dictionary.
func inflate(t *testing.T, b []byte, dictionary string) []byte {
	t.Helper()
	return must(io.ReadAll(flate.NewReaderDict(bytes.NewReader(b), []byte(dictionary))))
}

// base41 writes bytes as docs/protocol.md says.
func base41(b []byte) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+-./:"
	var out strings.Builder
	for pair := range slices.Chunk(b, 2) {
		digits := make([]byte, len(pair)+1)
		n := new(big.Int).SetBytes(pair).Int64()
		for i := range digits {
			digits[len(pair)-i], n = alphabet[n%41], n/41
		}
		out.Write(digits)
	}
	return out.String()
}

// TestTheVectorsForPeopleFollowFromThePage recomputes what people hand each other
// by what docs/protocol.md says, with the standard library alone.
func TestTheVectorsForPeopleFollowFromThePage(t *testing.T) {
	var v vectors
	if err := json.Unmarshal(must(os.ReadFile(vectorsFile)), &v); err != nil {
		t.Fatal(err)
	}
	got := map[string][2]string{
		"the link's frame":     {v.LinkQR.Frame, linkFrame(t, v.Offer.Link)},
		"the link inflated":    {hex.EncodeToString(inflate(t, un(v.LinkQR.Deflated), v.LinkQR.Dictionary)), v.LinkQR.Frame},
		"the link for QR":      {v.LinkQR.Text, "SPECIE:PAY1/" + base41(un(v.LinkQR.Deflated))},
		"the envelope's frame": {v.Envelope.Frame, envelopeFrame(t, &v)},
		"the envelope":         {v.Envelope.Text, "specie:coins?c=" + base64.RawURLEncoding.EncodeToString(un(v.Envelope.Frame))},
		"the envelope for QR":  {v.Envelope.QR, "SPECIE:COINS1/" + base41(un(v.Envelope.Frame))},
	}
	for _, w := range v.Words {
		numbers, list := wordNumbers(un(w.Seed)), strings.Fields(string(must(os.ReadFile(wordsFile))))
		var text []string
		for _, n := range numbers {
			text = append(text, list[n])
		}
		got["the words of "+w.Seed] = [2]string{strings.Join(w.Words, " "), strings.Join(text, " ")}
		if diff := cmp.Diff(w.Numbers, numbers); diff != "" {
			t.Errorf("the numbers of %s: %s", w.Seed, diff)
		}
		if back, err := words.Decode(strings.Join(w.Words, " ")); err != nil || hex.EncodeToString(back[:]) != w.Seed {
			t.Errorf("the words of %s read as %x, %v", w.Seed, back, err)
		}
	}
	for name, c := range got {
		if diff := cmp.Diff(c[0], c[1]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if l, err := coin.ParseLink(v.LinkQR.Text); err != nil || must(l.Text()) != v.Offer.Link {
		t.Errorf("the link for QR does not read as the link: %v", err)
	}
	for _, text := range []string{v.Envelope.Text, v.Envelope.QR} {
		if e, err := coin.ParseEnvelope(text); err != nil || must(e.Text()) != v.Envelope.Text {
			t.Errorf("the envelope does not read: %v", err)
		}
	}
}

// linkFrame takes a link apart and joins what is in it.
func linkFrame(t *testing.T, link string) string {
	t.Helper()
	var l struct{ JWS, Private, To string }
	if err := json.Unmarshal(un64(strings.TrimPrefix(link, "specie:pay?o=")), &l); err != nil {
		t.Fatal(err)
	}
	jws := []byte(l.JWS)
	return hex.EncodeToString(joined(segment(t, jws, 0), segment(t, jws, 1), segment(t, jws, 2), un64(l.Private), []byte(l.To)))
}

// envelopeFrame makes the envelope's coins again from the wallet's seed: their ids
// from their messages, their order from their ids.
func envelopeFrame(t *testing.T, v *vectors) string {
	t.Helper()
	e := &v.Envelope
	parts := [][]byte{[]byte("specie/coins/1"), []byte(bankID), un(e.Root), []byte(e.Currency), binary.BigEndian.AppendUint64(nil, e.Amount)}
	last := ""
	for _, c := range e.Coins {
		owner := ed25519.NewKeyFromSeed(un(c.OwnerSeed)).Public().(ed25519.PublicKey)
		message := coinMessage(un64(c.KeyID), owner)
		if id := sum(un(c.Randomizer), message); id != c.ID || id <= last {
			t.Errorf("coin %s has id %s, behind %s", c.ID, id, last)
		}
		last = c.ID
		parts = append(parts, un64(c.KeyID), un(c.Randomizer), un(c.Signature), un(c.OwnerSeed))
	}
	if !slices.ContainsFunc(e.Coins, func(c envelopeCoinVector) bool {
		return c.ID == v.Coin.ID && c.Signature == v.Coin.Signature && c.OwnerSeed == v.Coin.OwnerSeed
	}) {
		t.Error("the vectors' coin is not in the envelope")
	}
	return hex.EncodeToString(joined(parts...))
}

// wordNumbers are BIP 39's 24 of a seed, and the two that make both sums nothing,
// found by trying.
func wordNumbers(seed []byte) []int {
	check := must(hex.DecodeString(sum(seed)))[0]
	bits := new(big.Int).SetBytes(append(slices.Clone(seed), check))
	w := make([]int, 26)
	for i := 23; i >= 0; i-- {
		w[i] = int(new(big.Int).And(bits, big.NewInt(2047)).Int64())
		bits.Rsh(bits, 11)
	}
	first := 0
	for _, x := range w {
		first ^= x
	}
	for w[25] = range 2048 {
		w[24] = first ^ w[25]
		// Horner's rule, at a.
		value := 0
		for i := 25; i >= 0; i-- {
			if value <<= 1; value >= 2048 {
				value ^= 2048 | 4 | 1
			}
			value ^= w[i]
		}
		if value == 0 {
			return w
		}
	}
	return nil
}
