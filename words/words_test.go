package words_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/speciecash/specie/words"
)

// TestTheListIsBIP39s, by the digest of the file that its authors publish.
func TestTheListIsBIP39s(t *testing.T) {
	text, err := os.ReadFile("english.txt")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	if got := hex.EncodeToString(sum[:]); got != "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda" {
		t.Errorf("SHA-256 %s", got)
	}
}

// TestTheFirst24AreBIP39s, by its published vectors (trezor/python-mnemonic).
func TestTheFirst24AreBIP39s(t *testing.T) {
	for secret, want := range map[string]string{
		strings.Repeat("00", 32): strings.Repeat("abandon ", 23) + "art",
		strings.Repeat("7f", 32): "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title",
		strings.Repeat("ff", 32): strings.Repeat("zoo ", 23) + "vote",
		"f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f": "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol group space point ten exist slush involve unfold",
	} {
		raw, err := hex.DecodeString(secret)
		if err != nil {
			t.Fatal(err)
		}
		got := words.Encode([32]byte(raw))
		if len(got) != words.Count || strings.Join(got[:24], " ") != want {
			t.Errorf("%s is %q", secret, got)
		}
		back, err := words.Decode(strings.Join(got, " "))
		if err != nil || [32]byte(raw) != back {
			t.Errorf("%s reads %x, %v", secret, back, err)
		}
	}
}

func list(t testing.TB) []string {
	text, err := os.ReadFile("english.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

func secrets(t *rapid.T) [32]byte {
	return [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "secret"))
}

// refusal is what is said of words that have to be refused.
func refusal(t *rapid.T, w []string) *words.Error {
	_, err := words.Decode(strings.Join(w, " "))
	var e *words.Error
	if !errors.As(err, &e) || !errors.Is(err, words.ErrWords) || e.Error() == "" {
		t.Fatalf("%q: %v", w, err)
	}
	return e
}

func TestMistakesAreSaid(t *testing.T) {
	all := list(t)
	place := rapid.IntRange(0, words.Count-1)
	t.Run("none is none, however it is typed", rapid.MakeCheck(func(t *rapid.T) {
		secret := secrets(t)
		w := words.Encode(secret)
		for i := range w {
			if rapid.Bool().Draw(t, "short") && len(w[i]) > 4 {
				w[i] = strings.ToUpper(w[i][:4])
			}
		}
		back, err := words.Decode("1. " + strings.Join(w, ",\r\n2) "))
		if err != nil || back != secret {
			t.Fatalf("%q: %x, %v", w, back, err)
		}
	}))
	t.Run("one wrong word is found and put right", rapid.MakeCheck(func(t *rapid.T) {
		w, i := words.Encode(secrets(t)), place.Draw(t, "place")
		good := w[i]
		w[i] = rapid.SampledFrom(all).Filter(func(s string) bool { return s != good }).Draw(t, "word")
		e := refusal(t, w)
		if e.Kind != words.Wrong || e.Places[0] != i+1 || e.Suggest[0][0] != good {
			t.Fatalf("word %d was %q: %v", i+1, good, e)
		}
	}))
	t.Run("a word that is not in the list is found out from the others", rapid.MakeCheck(func(t *rapid.T) {
		w := words.Encode(secrets(t))
		i, j := place.Draw(t, "one"), place.Draw(t, "other")
		want := []int{i + 1}
		if i != j {
			want = append(want, j+1)
			slices.Sort(want)
		}
		good := slices.Clone(w)
		w[i], w[j] = "qqqqq", "xyzzy"
		e := refusal(t, w)
		if e.Kind != words.Unknown || !slices.Equal(e.Places, want) {
			t.Fatalf("%v, want %v", e, want)
		}
		for n, p := range e.Places {
			if len(e.Suggest[n]) != 1 || e.Suggest[n][0] != good[p-1] {
				t.Fatalf("word %d was %q: %v", p, good[p-1], e)
			}
		}
	}))
	t.Run("two in each other's place are found", rapid.MakeCheck(func(t *rapid.T) {
		w := words.Encode(secrets(t))
		i := rapid.IntRange(0, words.Count-2).Draw(t, "place")
		if w[i] == w[i+1] {
			return
		}
		w[i], w[i+1] = w[i+1], w[i]
		e := refusal(t, w)
		if e.Kind != words.Swapped || !slices.Equal(e.Places, []int{i + 1, i + 2}) {
			t.Fatalf("%d and %d: %v", i+1, i+2, e)
		}
	}))
	t.Run("one left out is found", rapid.MakeCheck(func(t *rapid.T) {
		w, i := words.Encode(secrets(t)), place.Draw(t, "place")
		good := w[i]
		e := refusal(t, slices.Delete(w, i, i+1))
		if e.Kind != words.Missing || e.Suggest[0][0] != good {
			t.Fatalf("word %d, %q: %v", i+1, good, e)
		}
	}))
	t.Run("one too many is found", rapid.MakeCheck(func(t *rapid.T) {
		w, i := words.Encode(secrets(t)), place.Draw(t, "place")
		e := refusal(t, slices.Insert(w, i, rapid.SampledFrom(append(all[:50:50], "qqqqq")).Draw(t, "word")))
		if e.Kind != words.Extra {
			t.Fatalf("word %d: %v", i+1, e)
		}
	}))
	t.Run("much that is wrong is refused", rapid.MakeCheck(func(t *rapid.T) {
		w := words.Encode(secrets(t))
		good := slices.Clone(w)
		for range 5 {
			w[place.Draw(t, "place")] = rapid.SampledFrom(all).Draw(t, "word")
		}
		if !slices.Equal(w, good) {
			refusal(t, w)
		}
	}))
}

func TestWhatIsSaid(t *testing.T) {
	good := words.Encode([32]byte{1})
	for name, tt := range map[string]struct {
		change func(w []string) []string
		want   string
	}{
		"a wrong word":              {func(w []string) []string { w[6] = "cabin"; return w }, `word 7, "cabin", is wrong; is it "abandon"?`},
		"a slip":                    {func(w []string) []string { w[6] = "abandom"; return w }, `word 7, "abandom", is not in the list; is it "abandon"?`},
		"slips among wrong ones":    {func(w []string) []string { w[1], w[2], w[6] = "zoo", "zoo", "cabim"; return w }, `word 7, "cabim", is not in the list; is it "cabin"`},
		"too few":                   {func(w []string) []string { return w[:12] }, "there are 12 words, and 26 are needed"},
		"two in each other's place": {func(w []string) []string { w[0], w[1] = w[1], w[0]; return w }, "words 1 and 2, "},
		"rubbish":                   {func([]string) []string { return []string{strings.Repeat("x ", words.MaxText)} }, "and 26 are needed"},
	} {
		_, err := words.Decode(strings.Join(tt.change(slices.Clone(good)), " "))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	if w, ok := words.Known("ABSE"); !ok || w != "absent" {
		t.Errorf("%q, %v", w, ok)
	}
	if _, ok := words.Known("abs"); ok {
		t.Error("three letters are not enough")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(strings.Join(words.Encode([32]byte{}), " "))
	f.Add(strings.Join(words.Encode([32]byte{7, 8})[1:], " "))
	f.Add("1. able 2. ABSENT, ünknown\x00")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		secret, err := words.Decode(text)
		if err != nil {
			if !errors.Is(err, words.ErrWords) || err.Error() == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if again, err := words.Decode(strings.Join(words.Encode(secret), " ")); err != nil || again != secret {
			t.Fatalf("%x became %x, %v", secret, again, err)
		}
	})
}

// TestTwoWrongWordsAreNotTakenForOne: the code alone would name a word, and a wrong
// one in its place, of 80 such texts once; the 8 bits of SHA-256 make that rare.
func TestTwoWrongWordsAreNotTakenForOne(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	taken := 0
	for range 2000 {
		var secret [words.Size]byte
		for i := range secret {
			secret[i] = byte(r.UintN(256))
		}
		w, other := words.Encode(secret), words.Encode([words.Size]byte{byte(r.UintN(256)), byte(r.UintN(256)), 7})
		i := r.IntN(words.Count - 1)
		w[i], w[i+1] = other[0], other[1]
		var e *words.Error
		if _, err := words.Decode(strings.Join(w, " ")); errors.As(err, &e) && e.Kind == words.Wrong && w[i] != words.Encode(secret)[i] && w[i+1] != words.Encode(secret)[i+1] {
			taken++
		}
	}
	if taken > 3 {
		t.Errorf("%d of 2000", taken)
	}
}

// TestAWrongWordBesideTwoUnknownOnes: what the code makes of them is not suggested.
func TestAWrongWordBesideTwoUnknownOnes(t *testing.T) {
	suggested := 0
	for n := range 50 {
		w, other := words.Encode([words.Size]byte{byte(n), 3}), words.Encode([words.Size]byte{byte(n), 4})
		w[2], w[9], w[23] = "zzzzzzzz", "qqqqqqqq", other[24]
		var e *words.Error
		if _, err := words.Decode(strings.Join(w, " ")); !errors.As(err, &e) || e.Kind != words.Unknown {
			t.Fatal(err)
		}
		if len(e.Suggest[0])+len(e.Suggest[1]) > 0 {
			suggested++
		}
	}
	if suggested > 5 {
		t.Errorf("%d of 50", suggested)
	}
}
