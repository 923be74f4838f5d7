package coin

import (
	"crypto/sha256"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// PrivateOffer is the part that only payer and payee see.
type PrivateOffer struct {
	MerchantID  string // MerchantID of the merchant's key
	Name        string // what the payer is shown
	Order       string // the merchant's reference
	Purpose     string // what it is for
	PayeeSalt   [32]byte
	PrivateSalt [32]byte
}

type privateJSON struct {
	Merchant    string `json:"merchant"`
	Name        string `json:"name"`
	Order       string `json:"order"`
	Purpose     string `json:"purpose"`
	PayeeSalt   hash32 `json:"payee_salt"`
	PrivateSalt hash32 `json:"private_salt"`
}

// PayeeHash returns SHA-256(salt ‖ merchant id).
func PayeeHash(salt [32]byte, merchantID string) [32]byte {
	return sha256.Sum256(append(salt[:], merchantID...))
}

func privateHash(salt [32]byte, private []byte) [32]byte {
	return sha256.Sum256(append(salt[:], private...))
}

func (p *PrivateOffer) bytes() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	b, err := marshal(privateJSON{
		Merchant: p.MerchantID, Name: p.Name, Order: p.Order, Purpose: p.Purpose,
		PayeeSalt: p.PayeeSalt, PrivateSalt: p.PrivateSalt,
	})
	if err == nil && len(b) > MaxPrivate {
		err = fmt.Errorf("%w: private part of %d bytes", ErrTooLarge, len(b))
	}
	return b, err
}

func parsePrivate(data []byte) (*PrivateOffer, error) {
	var j privateJSON
	if err := unmarshal(data, MaxPrivate, &j); err != nil {
		return nil, fmt.Errorf("private part: %w", err)
	}
	p := &PrivateOffer{
		MerchantID: j.Merchant, Name: j.Name, Order: j.Order, Purpose: j.Purpose,
		PayeeSalt: j.PayeeSalt, PrivateSalt: j.PrivateSalt,
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *PrivateOffer) check() error {
	for _, text := range []string{p.Name, p.Order, p.Purpose} {
		if err := checkText(text); err != nil {
			return err
		}
	}
	return nil
}

// checkText refuses what would let a merchant's text play tricks on the
// screen that shows it: control characters and marks of writing direction.
func checkText(s string) error {
	if len(s) > MaxText {
		return fmt.Errorf("%w: text of %d bytes", ErrTooLarge, len(s))
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: text that is not UTF-8", ErrMalformed)
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.In(r, unicode.Zl, unicode.Zp) {
			return fmt.Errorf("%w: control character in a text", ErrMalformed)
		}
	}
	return nil
}
