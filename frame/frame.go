// Package frame owns one rule: how byte strings are joined before they are
// hashed or signed, so that no two different lists give the same bytes.
//
// Every part is preceded by its length, 4 bytes big-endian. The encoding is
// injective, so a boundary can't be moved from one field to its neighbour.
//
// The package imports the standard library only.
package frame

import (
	"crypto/sha256"
	"encoding/binary"
)

// Join returns the concatenation of parts, each preceded by its length as
// 4 bytes big-endian. A nil part and an empty part are the same part.
func Join(parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += 4 + len(p)
	}
	out := make([]byte, 0, n)
	for _, p := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}

// Digest returns SHA-256(Join(parts...)).
func Digest(parts ...[]byte) [32]byte {
	return sha256.Sum256(Join(parts...))
}

// Uint64 returns v as 8 bytes big-endian, the form in which integers enter
// a frame.
func Uint64(v uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, v)
}
