package coin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// instantLayout is RFC 3339 in UTC and whole seconds, the only form of a time
// in signed documents.
const instantLayout = "2006-01-02T15:04:05Z"

// instant is a time.Time that is written and read as instantLayout.
type instant time.Time

// MarshalText implements encoding.TextMarshaler.
func (i instant) MarshalText() ([]byte, error) {
	t := time.Time(i).UTC()
	if t.Nanosecond() != 0 || t.Year() < 1970 || t.Year() > 9999 {
		return nil, fmt.Errorf("%w: a time is in whole seconds, 1970 to 9999", ErrMalformed)
	}
	return []byte(t.Format(instantLayout)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *instant) UnmarshalText(text []byte) error {
	t, err := time.Parse(instantLayout, string(text))
	// Parse also takes a fraction of a second; written again it must be same.
	if err != nil || t.Format(instantLayout) != string(text) || t.Year() < 1970 {
		return fmt.Errorf("%w: a time is written like %s", ErrMalformed, instantLayout)
	}
	*i = instant(t.UTC())
	return nil
}

// hash32 is 32 bytes written as base64url without padding, 43 characters.
type hash32 [32]byte

// MarshalText implements encoding.TextMarshaler.
func (h hash32) MarshalText() ([]byte, error) { return []byte(encode64(h[:])), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *hash32) UnmarshalText(text []byte) error {
	b, err := decode64(string(text), len(h))
	if err != nil {
		return err
	}
	if len(b) != len(h) {
		return fmt.Errorf("%w: %d bytes where 32 are due", ErrMalformed, len(b))
	}
	copy(h[:], b)
	return nil
}

// bytes64 is bytes written as base64url without padding.
type bytes64 []byte

// MarshalText implements encoding.TextMarshaler.
func (b bytes64) MarshalText() ([]byte, error) { return []byte(encode64(b)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *bytes64) UnmarshalText(text []byte) (err error) {
	*b, err = decode64(string(text), len(text))
	return err
}

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decode64 reads base64url without padding in its only form. Go's decoder
// skips line breaks even when strict, so those are refused first.
func decode64(s string, max int) ([]byte, error) {
	if base64.RawURLEncoding.DecodedLen(len(s)) > max {
		return nil, fmt.Errorf("%w: more than %d bytes of base64url", ErrTooLarge, max)
	}
	if strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("%w: line break in base64url", ErrMalformed)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrMalformed)
	}
	return b, nil
}

// marshal writes v as JSON without HTML escapes and without a line end.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, named(err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// unmarshal reads JSON of at most max bytes under strictjson's rules.
func unmarshal(data []byte, max int, v any) error {
	if len(data) > max {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), max)
	}
	if err := strictjson.Unmarshal(data, max, v); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	return nil
}

// unmarshalCanonical is unmarshal for documents that are known by a hash of
// their bytes: written again they must be the same.
func unmarshalCanonical(data []byte, max int, v any) error {
	if err := unmarshal(data, max, v); err != nil {
		return err
	}
	again, err := marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, data) {
		return fmt.Errorf("%w: not in canonical form", ErrMalformed)
	}
	return nil
}

// named makes sure that an error out of encoding/json carries a sentinel.
func named(err error) error {
	if errors.Is(err, ErrMalformed) || errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %v", ErrMalformed, err)
}

// checkBank returns ErrMalformed unless id is a bank's id.
func checkBank(id string) error {
	if err := trust.CheckID(id); err != nil {
		return fmt.Errorf("%w: bank id", ErrMalformed)
	}
	return nil
}
