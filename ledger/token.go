package ledger

import (
	"slices"
	"time"

	"github.com/speciecash/specie/frame"
)

// Bounds of access tokens.
const (
	// MaxScopes bounds the scopes of one token.
	MaxScopes = 16
	// MaxTokens bounds the tokens of one account that are neither revoked nor
	// past their time when another is made. Those that open nothing any more
	// are kept for ever, since the journal stands for them, and Tokens lists the
	// newest MaxTokens of them.
	MaxTokens = 64
)

// AccessToken is what somebody logs in to an account with.
type AccessToken struct {
	// Hash is SHA-256 of the token, unique and never zero.
	Hash [32]byte
	// Account is the path of the account that it opens.
	Account string
	// Label is for people, at most 200 bytes of UTF-8; may be empty.
	Label string
	// Scopes are what it allows, names as Op.Kind, each once; may be empty.
	Scopes []string
	// CreatedAt, ExpiresAt and RevokedAt are kept in UTC to the microsecond;
	// a zero ExpiresAt is never, a zero RevokedAt not yet. The ledger does
	// not look at them.
	CreatedAt, ExpiresAt, RevokedAt time.Time
}

// Validate reports whether the token is well formed, or ErrMalformed.
func (t *AccessToken) Validate() error {
	switch {
	case t.Hash == [32]byte{}:
		return malformed("token hash is zero")
	case !ValidAccount(t.Account):
		return malformed("token of account %q", t.Account)
	case !validText(t.Label, 200):
		return malformed("token label of %d bytes", len(t.Label))
	case len(t.Scopes) > MaxScopes:
		return malformed("%d scopes", len(t.Scopes))
	case !validTime(t.CreatedAt),
		!t.ExpiresAt.IsZero() && !validTime(t.ExpiresAt),
		!t.RevokedAt.IsZero() && !validTime(t.RevokedAt):
		return malformed("token times")
	}
	for i, s := range t.Scopes {
		if !ValidName(s) || slices.Contains(t.Scopes[:i], s) {
			return malformed("scope %q", s)
		}
	}
	return nil
}

// Digest returns SHA-256 over the token's canonical bytes.
func (t *AccessToken) Digest() [32]byte {
	scopes := make([][]byte, len(t.Scopes))
	for i, s := range t.Scopes {
		scopes[i] = []byte(s)
	}
	return frame.Digest([]byte("specie/ledger/token/1"), t.Hash[:], []byte(t.Account), []byte(t.Label),
		frame.Join(scopes...), micro(t.CreatedAt), micro(t.ExpiresAt), micro(t.RevokedAt))
}

// micro is a time in microseconds since 1970, zero for the zero time.
func micro(t time.Time) []byte {
	if t.IsZero() {
		return frame.Uint64(0)
	}
	return frame.Uint64(uint64(t.UnixMicro()))
}
