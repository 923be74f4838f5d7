package coin

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// MaxLink bounds a payment link, in bytes.
const MaxLink = 16 << 10

const (
	linkPrefix = "specie:pay?o="
	maxTo      = 1024
)

// Link is an offer and the address that the payer posts his spend to. It is
// not signed as a whole: whoever changes To gets a spend that only the
// offer's merchant can deposit, and change that only the payer can unblind.
type Link struct {
	JWS     []byte // SignedOffer.JWS
	Private []byte // SignedOffer.PrivateBytes
	To      string // https URL, or http on the same machine
}

type linkJSON struct {
	JWS     string  `json:"jws"`
	Private bytes64 `json:"private"`
	To      string  `json:"to"`
}

// Link returns the link of an offer whose spends are to be posted to the URL.
func (o *SignedOffer) Link(to string) (*Link, error) {
	if err := checkTo(to); err != nil {
		return nil, err
	}
	return &Link{JWS: o.JWS, Private: o.PrivateBytes, To: to}, nil
}

// Text returns the link as "specie:pay?o=" and base64url of its JSON: for a
// QR code, a page or a mail. It returns ErrMalformed or ErrTooLarge for one
// that ParseLink would refuse.
func (l *Link) Text() (string, error) {
	if err := checkTo(l.To); err != nil {
		return "", err
	}
	if len(l.JWS) == 0 || len(l.Private) == 0 {
		return "", fmt.Errorf("%w: a payment link without an offer", ErrMalformed)
	}
	data, err := marshal(linkJSON{JWS: string(l.JWS), Private: l.Private, To: l.To})
	if err != nil {
		return "", err
	}
	text := linkPrefix + encode64(data)
	if len(text) > MaxLink {
		return "", fmt.Errorf("%w: link of %d bytes", ErrTooLarge, len(text))
	}
	return text, nil
}

// ParseLink reads the forms that Text and QR write. It verifies nothing: see
// Link.Verify.
func ParseLink(text string) (*Link, error) {
	if len(text) > MaxLink {
		return nil, fmt.Errorf("%w: link of %d bytes", ErrTooLarge, len(text))
	}
	if rest, ok := strings.CutPrefix(text, linkQRPrefix); ok {
		return parseLinkQR(rest)
	}
	rest, ok := strings.CutPrefix(text, linkPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: a payment link begins with %s", ErrMalformed, linkPrefix)
	}
	data, err := decode64(rest, MaxLink)
	if err != nil {
		return nil, err
	}
	var j linkJSON
	if err := unmarshal(data, MaxLink, &j); err != nil {
		return nil, err
	}
	if j.JWS == "" || len(j.Private) == 0 {
		return nil, fmt.Errorf("%w: a payment link without an offer", ErrMalformed)
	}
	if err := checkTo(j.To); err != nil {
		return nil, err
	}
	return &Link{JWS: []byte(j.JWS), Private: j.Private, To: j.To}, nil
}

// Verify verifies the offer in the link, as VerifyOffer.
func (l *Link) Verify(at time.Time) (*SignedOffer, error) {
	return VerifyOffer(l.JWS, l.Private, at)
}

// checkTo returns ErrMalformed unless to is an https URL, or an http URL of
// this machine, with neither user nor fragment.
func checkTo(to string) error {
	bad := fmt.Errorf("%w: a spend is posted to an https URL, or http on this machine", ErrMalformed)
	if len(to) > maxTo {
		return bad
	}
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return bad
	}
	if u.Scheme == "https" || (u.Scheme == "http" && isLocal(u.Hostname())) {
		return nil
	}
	return bad
}

func isLocal(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && addr.IsLoopback())
}
