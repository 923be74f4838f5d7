package attest

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// readStored reads a certificate as it lies in a TPM and hands it to parse: it may
// have a header, and padding up to the end of its index may follow.
func readStored(stored []byte, parse func([]byte) (*x509.Certificate, error)) (*x509.Certificate, error) {
	if len(stored) > MaxCertificate {
		return nil, fmt.Errorf("%d bytes, at most %d are possible", len(stored), MaxCertificate)
	}
	der, rest, err := unwrap(stored)
	if err != nil {
		return nil, err
	}
	if len(bytes.Trim(rest, "\xff")) > 0 {
		return nil, errors.New("followed by something else")
	}
	return parse(der)
}

// unwrap returns the first DER element, without the header that the TCG's PC
// client specification for TPM 1.2 (§7.3.2) puts before it, and what follows. The
// header is TCG_TAG_PCCLIENT_STORED_CERT, TCG_FULL_CERT and the size of the rest,
// which may begin with TCG_TAG_PCCLIENT_FULL_CERT.
func unwrap(stored []byte) (der, rest []byte, err error) {
	body := stored
	if header := []byte{0x10, 0x01, 0x00}; len(stored) > 5 && bytes.HasPrefix(stored, header) {
		n := int(binary.BigEndian.Uint16(stored[3:]))
		if len(stored) < 5+n {
			return nil, nil, errors.New("shorter than its header says")
		}
		body, rest = bytes.TrimPrefix(stored[5:5+n], []byte{0x10, 0x02}), stored[5+n:]
	}
	var outer asn1.RawValue
	after, err := asn1.Unmarshal(body, &outer)
	if err != nil {
		return nil, nil, err
	}
	return outer.FullBytes, append(after[:len(after):len(after)], rest...), nil
}

// parseX509 parses a certificate in DER, also one whose serial number is negative
// or has superfluous leading bytes, both of which manufacturers have issued and
// Go's parser refuses. The number plays no part in what is checked here: a copy
// with another number is parsed, and given the bytes back that were signed.
func parseX509(der []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err == nil {
		return c, nil
	}
	plain, tbs, serial := withSerialOne(der)
	if plain == nil {
		return nil, err
	}
	if c, err = x509.ParseCertificate(plain); err != nil {
		return nil, err
	}
	c.Raw, c.RawTBSCertificate, c.SerialNumber = bytes.Clone(der), bytes.Clone(tbs), serial
	return c, nil
}

// withSerialOne returns a copy of a certificate with the serial number 1, the
// tbsCertificate of the original and its serial number; nothing if the original's
// is one that DER allows and that is not negative.
func withSerialOne(der []byte) (plain, tbs []byte, serial *big.Int) {
	in := cryptobyte.String(der)
	var outer, inner, version, number cryptobyte.String
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Element((*cryptobyte.String)(&tbs), cbasn1.SEQUENCE) {
		return nil, nil, nil
	}
	body := cryptobyte.String(tbs)
	if !body.ReadASN1(&inner, cbasn1.SEQUENCE) {
		return nil, nil, nil
	}
	tag := cbasn1.Tag(0).Constructed().ContextSpecific()
	if inner.PeekASN1Tag(tag) && !inner.ReadASN1Element(&version, tag) {
		return nil, nil, nil
	}
	if !inner.ReadASN1(&number, cbasn1.INTEGER) || len(number) == 0 || len(number) > maxSerial {
		return nil, nil, nil
	}
	serial = new(big.Int).SetBytes(number)
	if number[0]&0x80 != 0 {
		serial.Sub(serial, new(big.Int).Lsh(big.NewInt(1), uint(8*len(number))))
	} else if len(number) == 1 || number[0] != 0 || number[1]&0x80 != 0 {
		return nil, nil, nil
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(version)
			b.AddASN1Int64(1)
			b.AddBytes(inner)
		})
		b.AddBytes(outer)
	})
	plain, err := b.Bytes()
	if err != nil {
		return nil, nil, nil
	}
	return plain, tbs, serial
}

// maxSerial bounds a malformed serial number, in bytes: RFC 5280 §4.1.2.2 asks
// for 20 at the most, and superfluous bytes come before.
const maxSerial = 32
