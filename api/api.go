// Package api owns the contract of the REST interfaces: the OpenAPI files and
// how bytes are written in JSON.
//
// Server interfaces and clients are generated from the same files, so the
// package must build without cgo and must never import a room of Specie.
//
// # Errors
//
// [Bytes] refuses what is not base64url in its one form, with [ErrBytes].
//
// # Concurrency
//
// The package keeps no state.
package api

import (
	"embed"
	"encoding/base64"
	"errors"
	"strings"
)

// Files holds the contracts: issuer.yaml, group.yaml, till.yaml, desk.yaml.
//
//go:embed *.yaml
var Files embed.FS

// ErrBytes means that a text is not base64url without padding (RFC 4648 §5)
// in its one form.
var ErrBytes = errors.New("api: not base64url")

// Bytes are written in JSON as base64url without padding.
type Bytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. Go's decoder skips line
// breaks even when strict; they are refused here.
func (b *Bytes) UnmarshalText(text []byte) error {
	if strings.ContainsAny(string(text), "\r\n") {
		return ErrBytes
	}
	out, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return ErrBytes
	}
	*b = out
	return nil
}
