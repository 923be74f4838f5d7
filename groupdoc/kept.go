package groupdoc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/speciecash/specie/trust"
)

// ParseKept reads a document that the caller has kept, as of the time when it
// says that it was issued: the certificate under it may have ended since. What
// came from somebody else is for Parse. Errors: those of Parse.
func ParseKept(root *trust.Root, jws []byte) (*Document, error) {
	_, rest, _ := bytes.Cut(jws, []byte("."))
	text, _, ok := bytes.Cut(rest, []byte("."))
	if !ok || len(jws) > trust.MaxJWS {
		return nil, fmt.Errorf("%w: no compact JWS", ErrMalformed)
	}
	payload, err := base64.RawURLEncoding.DecodeString(string(text))
	if err != nil {
		return nil, fmt.Errorf("%w: payload: %v", ErrMalformed, err)
	}
	var j struct {
		IssuedAt string `json:"issued_at"`
	}
	if err := json.Unmarshal(payload, &j); err != nil {
		return nil, fmt.Errorf("%w: payload: %v", ErrMalformed, err)
	}
	at, err := parseTime("issued_at", j.IssuedAt)
	if err != nil {
		return nil, err
	}
	return Parse(root, jws, at)
}
