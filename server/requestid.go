package server

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"

	"github.com/labstack/echo/v4"
)

// requestIDHeader names one request, in the caller's log and in ours.
const requestIDHeader = "X-Request-Id"

// maxRequestID bounds a caller's id, in characters: room for a UUID, and none
// for an access token, an op or a coin id, which would get into the log.
const maxRequestID = 40

// identify gives each request an id: the caller's, if he named one that is fit
// for a log, or 16 random bytes. It is in the answer's header, in a problem
// document and in each line that is logged of the request.
func identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := ""
		if given := c.Request().Header.Values(requestIDHeader); len(given) == 1 && isRequestID(given[0]) {
			id = given[0]
		}
		if id == "" {
			id = newRequestID()
		}
		c.Response().Header().Set(requestIDHeader, id)
		return next(c)
	}
}

func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// isRequestID says whether an id is 1 to maxRequestID of A-Z a-z 0-9 . _ -.
func isRequestID(id string) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for _, r := range []byte(id) {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_', r == '.':
		default:
			return false
		}
	}
	return true
}

// requestID is the id of the request that is being answered.
func requestID(w http.ResponseWriter) string { return w.Header().Get(requestIDHeader) }
