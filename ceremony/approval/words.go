package approval

import (
	_ "embed"
	"encoding/hex"
	"strings"
)

// wordList has 256 lines, one a byte value: the word for it at an even
// position (two syllables), and the one at an odd position (three).
//
//go:embed pgpwords.txt
var wordList string

// Words returns a digest as 32 words to read aloud, from the PGP word list
// (Juola and Zimmermann 1995) that the ceremonies of the DNSSEC root use too.
// Two-syllable words stand at even positions and three-syllable ones at odd:
// a word that is left out or exchanged with its neighbour is heard.
func Words(digest [32]byte) []string {
	pairs := strings.Fields(wordList)
	out := make([]string, len(digest))
	for i, b := range digest {
		out[i] = pairs[2*int(b)+i%2]
	}
	return out
}

// Hex returns a digest as 16 groups of 4 hex digits.
func Hex(digest [32]byte) string {
	groups := make([]string, 0, len(digest)/2)
	for i := 0; i < len(digest); i += 2 {
		groups = append(groups, hex.EncodeToString(digest[i:i+2]))
	}
	return strings.Join(groups, " ")
}
