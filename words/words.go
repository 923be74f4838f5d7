package words

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"slices"
	"strings"
	"unicode"
)

// Count is how many words there are, Size how many bytes they stand for.
const (
	Count = 26
	Size  = 32
	// data of the words are BIP 39's.
	data = 24
)

// MaxText bounds what is read, in bytes.
const MaxText = 4 << 10

// english is the list of BIP 39, one word a line, as its authors publish it
// (bitcoin/bips, bip-0039/english.txt).
//
//go:embed english.txt
var english string

// list is the list; it is cut up anew each time, which nobody notices.
func list() []string { return strings.Fields(english) }

// Encode writes bytes as words.
func Encode(secret [Size]byte) []string {
	w := slices.Repeat([]int{-1}, Count)
	copy(w, numbers(secret))
	fillIn(w)
	all, out := list(), make([]string, Count)
	for i, x := range w {
		out[i] = all[x]
	}
	return out
}

// numbers are the data words': 256 bits and the first 8 of their SHA-256, in
// groups of 11.
func numbers(secret [Size]byte) []int {
	sum := sha256.Sum256(secret[:])
	bits := append(secret[:], sum[0])
	w := make([]int, data)
	for i := range data * 11 {
		w[i/11] = w[i/11]<<1 | int(bits[i/8]>>(7-i%8)&1)
	}
	return w
}

// secretOf is the reverse of numbers; it says no if the 8 bits are others.
func secretOf(w []int) (secret [Size]byte, ok bool) {
	var check byte
	for i := range data * 11 {
		bit := byte(w[i/11] >> (10 - i%11) & 1)
		if i < Size*8 {
			secret[i/8] |= bit << (7 - i%8)
		} else {
			check = check<<1 | bit
		}
	}
	sum := sha256.Sum256(secret[:])
	return secret, check == sum[0]
}

// whole says that w is what was written down, and what it stands for.
func whole(w []int) (secret [Size]byte, ok bool) {
	s0, s1 := sums(w)
	secret, ok = secretOf(w)
	return secret, ok && s0 == 0 && s1 == 0
}

// Decode reads words: whatever is no letter separates them (numbers before them,
// commas, line ends), case does not matter, and four letters of a word are enough.
// It returns an *[Error] that says what is wrong.
func Decode(text string) (secret [Size]byte, err error) {
	if len(text) > MaxText {
		return secret, &Error{Kind: Number}
	}
	typed := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) })
	all := list()
	w := make([]int, len(typed))
	for i, t := range typed {
		w[i] = find(all, t)
	}
	if len(w) != Count {
		return secret, miscounted(all, typed, w)
	}
	if slices.Contains(w, -1) {
		return secret, unknown(all, typed, w)
	}
	if secret, ok := whole(w); ok {
		return secret, nil
	}
	return [Size]byte{}, wrong(all, typed, w)
}

// find is the number of a word, or of the one that begins so, -1 if there is none.
func find(all []string, word string) int {
	if i := slices.Index(all, word); i >= 0 || len(word) < 4 {
		return i
	}
	return slices.IndexFunc(all, func(s string) bool { return strings.HasPrefix(s, word) })
}

// Known says whether a word is in the list, and which it is when it is written out.
func Known(word string) (string, bool) {
	all := list()
	i := find(all, strings.ToLower(word))
	if i < 0 {
		return "", false
	}
	return all[i], true
}

// ErrWords: these are not words that were written down.
var ErrWords = errors.New("not the words that were written down")
