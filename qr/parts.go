package qr

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A part is "SPECIE:PART/", its number from 1, how many there are, the beginning
// of SHA-256 of the whole text in hexadecimal capitals, and its piece of the
// text:
//
//	SPECIE:PART/2/3/0A1B2C3D/…
//
// All but the piece is in QR's alphanumeric set, so a text in that set stays in
// it.
const (
	partPrefix = "SPECIE:PART/"
	// maxParts bounds the pictures of one text.
	maxParts = 32
	// MaxText bounds a text that is split, in bytes.
	MaxText   = 32 << 10
	partSum   = 4 // bytes of the digest
	partExtra = len(partPrefix) + 2*3 + 2*partSum + 1
)

// Split cuts a text into the texts of several pictures, of at most size
// characters each; one that fits stays as it is and alone. The size is
// PartSize where there is no reason for another; it is raised where more than 32
// pictures would be made. A text of more than MaxText bytes does not
// fit into any, and comes back as it is: encoding it gives ErrTooLong.
func Split(text string, size int) []string {
	if len(text) <= size || len(text) > MaxText {
		return []string{text}
	}
	piece := max(size-partExtra, (len(text)+maxParts-1)/maxParts, 1)
	n := (len(text) + piece - 1) / piece
	piece = (len(text) + n - 1) / n // pictures of one size
	parts := make([]string, 0, n)
	for i := range n {
		parts = append(parts, fmt.Sprintf("%s%d/%d/%s/%s", partPrefix, i+1, n, sum(text), text[i*piece:min((i+1)*piece, len(text))]))
	}
	return parts
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return strings.ToUpper(hex.EncodeToString(h[:partSum]))
}

// IsPart says whether a text claims to be one part of several.
func IsPart(text string) bool { return strings.HasPrefix(text, partPrefix) }

type part struct {
	number, of int
	sum, piece string
}

func parsePart(text string) (part, error) {
	var p part
	fields := strings.SplitN(strings.TrimPrefix(text, partPrefix), "/", 4)
	if !IsPart(text) || len(fields) != 4 || len(fields[2]) != 2*partSum || fields[3] == "" {
		return p, fmt.Errorf("%w: one of them is no part", ErrParts)
	}
	var err1, err2 error
	p.number, err1 = strconv.Atoi(fields[0])
	p.of, err2 = strconv.Atoi(fields[1])
	p.sum, p.piece = fields[2], fields[3]
	canonical := fields[0] == strconv.Itoa(p.number) && fields[1] == strconv.Itoa(p.of)
	if err1 != nil || err2 != nil || !canonical || p.of < 2 || p.of > maxParts || p.number < 1 || p.number > p.of {
		return p, fmt.Errorf("%w: one of them has no good number", ErrParts)
	}
	return p, nil
}

// Join puts the parts of a text together, in whatever order and however often
// each is there. One text that is no part comes back as it is. Otherwise
// ErrParts says why not: parts of two texts, a text beside parts, or which parts
// are missing.
func Join(texts []string) (string, error) {
	texts = slices.Compact(slices.Sorted(slices.Values(texts)))
	if len(texts) == 0 {
		return "", fmt.Errorf("%w: there are none", ErrParts)
	}
	if len(texts) == 1 && !IsPart(texts[0]) {
		return texts[0], nil
	}
	var have []part
	for _, t := range texts {
		if len(t) > MaxText {
			return "", fmt.Errorf("%w: one of them is too long", ErrParts)
		}
		p, err := parsePart(t)
		if err != nil {
			return "", err
		}
		if len(have) > 0 && (p.of != have[0].of || p.sum != have[0].sum) {
			return "", fmt.Errorf("%w: they are of different texts", ErrParts)
		}
		have = append(have, p)
	}
	pieces := make([]string, have[0].of)
	for _, p := range have {
		if pieces[p.number-1] != "" {
			return "", fmt.Errorf("%w: two different ones are number %d", ErrParts, p.number)
		}
		pieces[p.number-1] = p.piece
	}
	var missing []string
	for i, p := range pieces {
		if p == "" {
			missing = append(missing, strconv.Itoa(i+1))
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("%w: %s of %d is missing", ErrParts, strings.Join(missing, ", "), len(pieces))
	}
	text := strings.Join(pieces, "")
	if sum(text) != have[0].sum {
		return "", fmt.Errorf("%w: together they are another text", ErrParts)
	}
	return text, nil
}
