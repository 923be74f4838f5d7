package approval_test

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/ceremony/approval"
)

// lists reads both word lists through Words: byte v at an even or odd place.
func lists() (even, odd []string) {
	for v := range 256 {
		var d [32]byte
		d[0], d[1] = byte(v), byte(v)
		w := approval.Words(d)
		even, odd = append(even, w[0]), append(odd, w[1])
	}
	return even, odd
}

func TestTheWordListsAreWhole(t *testing.T) {
	even, odd := lists()
	seen := map[string]bool{}
	for _, w := range slices.Concat(even, odd) {
		if seen[strings.ToLower(w)] {
			t.Errorf("%s stands twice", w)
		}
		seen[strings.ToLower(w)] = true
	}
	if len(seen) != 512 {
		t.Errorf("%d words", len(seen))
	}
	// The standard's own slip in the alphabet.
	if odd[9] != "applicant" || odd[10] != "Apollo" {
		t.Errorf("9 and 10 are %s and %s", odd[9], odd[10])
	}
	odd[9], odd[10] = odd[10], odd[9]
	for name, list := range map[string][]string{"even": even, "odd": odd} {
		if !slices.IsSortedFunc(list, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }) {
			t.Errorf("the %s list is not in the order of the standard", name)
		}
	}
	odd[9], odd[10] = odd[10], odd[9]
	for _, tt := range []struct {
		v         int
		even, odd string
	}{{0, "aardvark", "adroitness"}, {0x3f, "cowbell", "customer"}, {0x80, "merit", "intention"}, {0xc0, "slowdown", "recipe"}, {0xff, "Zulu", "Yucatan"}} {
		if even[tt.v] != tt.even || odd[tt.v] != tt.odd {
			t.Errorf("%#x is %s and %s", tt.v, even[tt.v], odd[tt.v])
		}
	}
}

// The fingerprint that the word list is explained with everywhere.
const (
	knownHex   = "E582 94F2 E9A2 2748 6E8B 061B 31CC 528F D7FA 3F19"
	knownWords = "topmost Istanbul Pluto vagabond treadmill Pacific brackish dictator goldfish Medusa " +
		"afflict bravado chatter revolver Dupont midsummer stopwatch whimsical cowbell bottomless"
)

func TestAKnownFingerprintReadsAsItShould(t *testing.T) {
	var d [32]byte
	if _, err := hex.Decode(d[:20], []byte(strings.ReplaceAll(knownHex, " ", ""))); err != nil {
		t.Fatal(err)
	}
	words := approval.Words(d)
	if got := strings.Join(words[:20], " "); got != knownWords || len(words) != 32 {
		t.Errorf("got %s", got)
	}
	groups := strings.Fields(approval.Hex(d))
	if got := strings.Join(groups[:10], " "); got != strings.ToLower(knownHex) || len(groups) != 16 {
		t.Errorf("got %s", approval.Hex(d))
	}
}
