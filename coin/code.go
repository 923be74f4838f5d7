package coin

import "errors"

// codeOf pairs a refusal with its stable code.
type codeOf struct {
	err  error
	code string
}

// wireCodes are the codes of docs/protocol.md. The first that matches counts.
func wireCodes() []codeOf {
	return []codeOf{
		{ErrTooLarge, "too-large"},
		{ErrDuplicateCoin, "duplicate-coin"},
		{ErrUnknownKey, "unknown-key"},
		{ErrUnknownKind, "unknown-key"},
		{ErrKeyExpired, "key-expired"},
		{ErrKeyNotYet, "key-not-yet"},
		{ErrRevoked, "key-revoked"},
		{ErrLost, "key-revoked"},
		{ErrNotRevoked, "key-not-revoked"},
		{ErrClaim, "claim"},
		{ErrTooEarly, "too-early"},
		{ErrDate, "wrong-date"},
		{ErrSuccession, "succession"},
		{ErrHolding, "holding"},
		{ErrCurrency, "wrong-currency"},
		{ErrBank, "wrong-bank"},
		{ErrAmount, "wrong-amount"},
		{ErrOverflow, "wrong-amount"},
		{ErrCoinSignature, "coin-signature"},
		{ErrOwner, "owner-signature"},
		{ErrExpelled, "expelled"},
		{ErrBinding, "binding"},
		{ErrOfferExpired, "offer-expired"},
		{ErrForeignOffer, "foreign-offer"},
		{ErrPurpose, "malformed"},
		{ErrOutput, "malformed"},
		{ErrMalformed, "malformed"},
	}
}

// Code is the stable code under which a refusal of a spend or an offer goes
// over the wire, or "" for any other error.
func Code(err error) string {
	for _, c := range wireCodes() {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return ""
}
