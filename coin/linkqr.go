package coin

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/speciecash/specie/frame"
)

// linkQRPrefix begins the form of a payment link for pictures. The digit is the
// version of what follows, linkDictionary with it.
const linkQRPrefix = "SPECIE:PAY1/"

// linkDictionary is what the parts of a link look like: preset for DEFLATE
// (RFC 1951) it saves a third of a picture. It must never change; another one
// needs another prefix.
const linkDictionary = `/pay","purpose":"","order":"http://127.0.0.1:8090https://` +
	`{"merchant":"","name":"","payee_salt":"","private_salt":""}` +
	`{"v":1,"mode":"offline"{"v":1,"mode":"online","till":"till-1","nonce":"","acquirer":"","payee":"",` +
	`"amount":0,"currency":"EUR","expires":"2026-01-01T00:00:00Z","kinds":["bearer"],"kinds":["bearer","bound"],` +
	`"groups":[],"epoch":0,"parts":1,"private":""}` +
	`{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":""},"typ":"specie-offer+jws"}`

// QR returns the link in the characters that QR codes are best at, for a
// picture: "SPECIE:PAY1/" and, in base 41, the DEFLATE stream with the preset
// linkDictionary of
//
//	frame(JWS header, JWS payload, JWS signature, private part, to)
//
// each part as it is before base64url. A link with one group, 1560 characters as
// Text writes it, has about 700. Errors are Text's.
func (l *Link) QR() (string, error) {
	if _, err := l.Text(); err != nil {
		return "", err
	}
	segments := strings.Split(string(l.JWS), ".")
	if len(segments) != 3 {
		return "", fmt.Errorf("%w: a payment link without an offer", ErrMalformed)
	}
	parts := make([][]byte, 0, 5)
	for _, s := range segments {
		b, err := decode64(s, MaxLink)
		if err != nil {
			return "", err
		}
		parts = append(parts, b)
	}
	raw := frame.Join(append(parts, l.Private, []byte(l.To))...)
	if len(raw) > MaxLink {
		return "", fmt.Errorf("%w: link of %d bytes", ErrTooLarge, len(raw))
	}
	packed, err := deflate(raw)
	if err != nil {
		return "", err
	}
	return linkQRPrefix + encode41(packed), nil
}

func deflate(raw []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriterDict(&b, flate.BestCompression, []byte(linkDictionary))
	if err == nil {
		_, err = w.Write(raw)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("coin: link: %w", err)
	}
	return b.Bytes(), nil
}

// parseLinkQR reads what follows linkQRPrefix. What is unpacked is bounded, not
// only what is packed.
func parseLinkQR(text string) (*Link, error) {
	packed, err := decode41(text, MaxLink)
	if err != nil {
		return nil, err
	}
	in := bytes.NewReader(packed)
	raw, err := io.ReadAll(io.LimitReader(flate.NewReaderDict(in, []byte(linkDictionary)), MaxLink+1))
	if len(raw) > MaxLink {
		return nil, fmt.Errorf("%w: link of more than %d bytes", ErrTooLarge, MaxLink)
	}
	if err != nil || in.Len() != 0 {
		return nil, fmt.Errorf("%w: a payment link that does not unpack", ErrMalformed)
	}
	parts, err := unframe(raw, 5)
	if err != nil {
		return nil, fmt.Errorf("payment link: %w", err)
	}
	if len(parts) != 5 {
		return nil, fmt.Errorf("%w: a payment link of %d parts", ErrMalformed, len(parts))
	}
	jws := encode64(parts[0]) + "." + encode64(parts[1]) + "." + encode64(parts[2])
	l := &Link{JWS: []byte(jws), Private: parts[3], To: string(parts[4])}
	// What Text refuses is no link in any form.
	if _, err := l.Text(); err != nil {
		return nil, err
	}
	return l, nil
}

// unframe takes apart what frame.Join puts together, at most max parts.
func unframe(raw []byte, max int) ([][]byte, error) {
	var parts [][]byte
	for len(raw) > 0 {
		if len(parts) == max {
			return nil, fmt.Errorf("%w: more than %d parts", ErrMalformed, max)
		}
		if len(raw) < 4 {
			return nil, fmt.Errorf("%w: cut off after %d parts", ErrMalformed, len(parts))
		}
		n := binary.BigEndian.Uint32(raw)
		if raw = raw[4:]; uint64(n) > uint64(len(raw)) {
			return nil, fmt.Errorf("%w: cut off in part %d", ErrMalformed, len(parts))
		}
		parts, raw = append(parts, raw[:n]), raw[n:]
	}
	return parts, nil
}
