package tpm

import (
	"bytes"
	"context"
	"encoding/asn1"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

const (
	// maxCertificate bounds an endorsement key certificate, in bytes.
	maxCertificate = 8 << 10
	// smallestChunk is what every TPM reads from non-volatile memory at a time.
	smallestChunk = 512
)

// EK is an endorsement key that has a manufacturer's certificate: what makes a
// TPM distinguishable from a program that claims to be one.
type EK struct {
	// Kind is "rsa2048", "p256" or "p384". A TPM may have several.
	Kind string
	// CertificateDER is the manufacturer's certificate as stored in the TPM,
	// without the padding.
	CertificateDER []byte
	// Public is the key's TPMT_PUBLIC.
	Public []byte
}

// EKs returns the endorsement keys for which the TPM stores a certificate, RSA
// first. If there is none, the error is ErrNoEK: some makers publish the
// certificate on a server instead, and virtual TPMs often have none.
func (d *Device) EKs(ctx context.Context) ([]EK, error) {
	var eks []EK
	err := d.use(ctx, "read endorsement keys", func(s *sequence) error {
		for _, p := range ekProfiles() {
			cert, err := s.readCertificate(p.certificate)
			if isRC(err, tpm2.TPMRCHandle) {
				continue
			}
			if err != nil {
				return fmt.Errorf("%s certificate: %w", p.kind, err)
			}
			ek, err := s.loadEK(p, cert)
			if err != nil {
				return fmt.Errorf("%s key: %w", p.kind, err)
			}
			ek.release()
			eks = append(eks, EK{Kind: p.kind, CertificateDER: cert, Public: ek.public})
		}
		if len(eks) == 0 {
			return ErrNoEK
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return eks, nil
}

// readCertificate reads an index of non-volatile memory and cuts off what
// follows the certificate: makers fill the index up with 0xFF.
func (s *sequence) readCertificate(index tpm2.TPMHandle) ([]byte, error) {
	pub, err := tpm2.NVReadPublic{NVIndex: index}.Execute(s)
	if err != nil {
		return nil, err
	}
	area, err := pub.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	if area.DataSize > maxCertificate {
		return nil, fmt.Errorf("%w: certificate of %d bytes", ErrResponse, area.DataSize)
	}
	chunk, err := s.property(tpm2.TPMPTNVBufferMax)
	if err != nil {
		return nil, err
	}
	step := int(min(max(chunk, smallestChunk), maxResponse/2))
	named := tpm2.NamedHandle{Handle: index, Name: pub.NVName}
	data := make([]byte, 0, area.DataSize)
	for len(data) < int(area.DataSize) {
		rsp, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: pub.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    named,
			Size:       uint16(min(step, int(area.DataSize)-len(data))),
			Offset:     uint16(len(data)),
		}.Execute(s)
		if err != nil {
			return nil, err
		}
		if len(rsp.Data.Buffer) == 0 {
			return nil, fmt.Errorf("%w: nothing read", ErrResponse)
		}
		data = append(data, rsp.Data.Buffer...)
	}
	var cert asn1.RawValue
	if _, err := asn1.Unmarshal(data, &cert); err != nil {
		return nil, fmt.Errorf("%w: no certificate in index %#x: %w", ErrResponse, uint32(index), err)
	}
	return cert.FullBytes, nil
}

// loadedEK is an endorsement key ready for use.
type loadedEK struct {
	handle  tpm2.TPMHandle
	name    tpm2.TPM2BName
	public  []byte // TPMT_PUBLIC
	release func()
}

// loadEK finds the key that a certificate speaks of: at its persistent handle,
// or by making it again from the template, which gives the same key each time.
// If none fits the certificate, the one from the first template is returned: it
// is the verifier who judges.
func (s *sequence) loadEK(p ekProfile, cert []byte) (*loadedEK, error) {
	for _, h := range p.persistent {
		rsp, err := tpm2.ReadPublic{ObjectHandle: h}.Execute(s)
		if isRC(err, tpm2.TPMRCHandle) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if p.shapeOf(rsp.OutPublic.Bytes()) && carries(cert, &rsp.OutPublic) {
			return &loadedEK{handle: h, name: rsp.Name, public: rsp.OutPublic.Bytes(), release: func() {}}, nil
		}
	}
	for i := range p.templates {
		ek, fits, err := s.createEK(p.templates[i], cert)
		if err != nil {
			return nil, err
		}
		if fits || i == len(p.templates)-1 {
			return ek, nil
		}
		ek.release()
	}
	return nil, ErrNoEK
}

func (s *sequence) createEK(template tpm2.TPMTPublic, cert []byte) (ek *loadedEK, fits bool, err error) {
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(template),
	}.Execute(s)
	if err != nil {
		return nil, false, fmt.Errorf("make it from the template: %w", endorsement(err))
	}
	ek = &loadedEK{
		handle: rsp.ObjectHandle, name: rsp.Name, public: rsp.OutPublic.Bytes(),
		release: func() { s.flush(rsp.ObjectHandle) },
	}
	return ek, carries(cert, &rsp.OutPublic), nil
}

// carries says whether the certificate contains the key, without parsing a
// certificate that might be odd: 48 bytes and more that are random do not occur
// in it by chance. It selects only; the verifier compares properly.
func carries(cert []byte, public *tpm2.TPM2BPublic) bool {
	area, err := public.Contents()
	if err != nil {
		return false
	}
	if n, err := area.Unique.RSA(); err == nil {
		return len(n.Buffer) > 0 && bytes.Contains(cert, n.Buffer)
	}
	if q, err := area.Unique.ECC(); err == nil {
		point := append(bytes.Clone(q.X.Buffer), q.Y.Buffer...)
		return len(point) > 0 && bytes.Contains(cert, point)
	}
	return false
}

// endorsement says that the endorsement hierarchy has a password, if err does.
func endorsement(err error) error {
	if isRC(err, tpm2.TPMRCAuthFail, tpm2.TPMRCBadAuth) {
		return fmt.Errorf("%w: the endorsement hierarchy's; who set it can take it away (tpm2_changeauth -c endorsement -p PASSWORD): %w", ErrHierarchy, err)
	}
	return err
}
