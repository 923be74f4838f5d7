package tpm

import (
	"encoding/asn1"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

const (
	// maxCertificate bounds a certificate, in bytes.
	maxCertificate = 8 << 10
	// maxChain bounds how many certificates of authorities a TPM is believed to
	// store, and maxChainSize their size in bytes, all together.
	maxChain     = 7
	maxChainSize = 32 << 10
	// smallestChunk is what every TPM reads from non-volatile memory at a time.
	smallestChunk = 512

	// chainFirst and chainLast are the indices of non-volatile memory for
	// certificates of the authorities above an endorsement key's: TCG EK Credential
	// Profile, §2.2.1.5.2.
	chainFirst = tpm2.TPMHandle(0x01c00100)
	chainLast  = tpm2.TPMHandle(0x01c001ff)
)

// readNV reads an index of non-volatile memory, which must not be larger than
// most bytes. Which of the two empty passwords opens it depends on its maker.
func (s *sequence) readNV(index tpm2.TPMHandle, most int) ([]byte, error) {
	pub, err := tpm2.NVReadPublic{NVIndex: index}.Execute(s)
	if err != nil {
		return nil, err
	}
	area, err := pub.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	if int(area.DataSize) > most {
		return nil, fmt.Errorf("%w: %d bytes in index %#x", ErrResponse, area.DataSize, uint32(index))
	}
	chunk, err := s.property(tpm2.TPMPTNVBufferMax)
	if err != nil {
		return nil, err
	}
	step := int(min(max(chunk, smallestChunk), maxResponse/2))
	auth := tpm2.AuthHandle{Handle: index, Name: pub.NVName, Auth: tpm2.PasswordAuth(nil)}
	if !area.Attributes.AuthRead && area.Attributes.OwnerRead {
		auth = tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	}
	data := make([]byte, 0, area.DataSize)
	for len(data) < int(area.DataSize) {
		rsp, err := tpm2.NVRead{
			AuthHandle: auth,
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: pub.NVName},
			Size:       uint16(min(step, int(area.DataSize)-len(data))),
			Offset:     uint16(len(data)),
		}.Execute(s)
		if err != nil {
			return nil, err
		}
		if n := len(rsp.Data.Buffer); n == 0 || n > int(area.DataSize)-len(data) {
			return nil, fmt.Errorf("%w: %d bytes read", ErrResponse, n)
		}
		data = append(data, rsp.Data.Buffer...)
	}
	return data, nil
}

// absent says that there is no such index, or that nothing was written to it.
func absent(err error) bool { return isRC(err, tpm2.TPMRCHandle, tpm2.TPMRCNVUninitialized) }

// readCertificate reads the certificate in an index and cuts off what follows
// it: makers fill the index up with 0xFF.
func (s *sequence) readCertificate(index tpm2.TPMHandle) ([]byte, error) {
	data, err := s.readNV(index, maxCertificate)
	if err != nil {
		return nil, err
	}
	certs := splitCertificates(data)
	if len(certs) == 0 {
		return nil, fmt.Errorf("%w: no certificate in index %#x", ErrResponse, uint32(index))
	}
	return certs[0], nil
}

// readChain reads the certificates of authorities that the TPM stores, if any:
// one after the other, in as many indices as they need. They are a help to the
// verifier, who finds out what they are worth; where one can't be read, the rest
// is done without.
func (s *sequence) readChain() ([][]byte, error) {
	var data []byte
	for index := chainFirst; index <= chainLast && len(data) < maxChainSize; index++ {
		part, err := s.readNV(index, maxChainSize-len(data))
		if s.ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			break
		}
		data = append(data, part...)
	}
	return splitCertificates(data), nil
}

// splitCertificates cuts a row of DER sequences up, until something else comes.
func splitCertificates(data []byte) [][]byte {
	var certs [][]byte
	for len(certs) < maxChain {
		var cert asn1.RawValue
		rest, err := asn1.Unmarshal(data, &cert)
		if err != nil || cert.Class != asn1.ClassUniversal || cert.Tag != asn1.TagSequence || !cert.IsCompound || len(cert.FullBytes) > maxCertificate {
			break
		}
		certs, data = append(certs, cert.FullBytes), rest
	}
	return certs
}
