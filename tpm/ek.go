package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// EK is an endorsement key: what makes a TPM distinguishable from a program that
// claims to be one, if a manufacturer has certified it.
type EK struct {
	// Kind is "rsa2048", "p256" or "p384". A TPM may have several.
	Kind string
	// CertificateDER is the manufacturer's certificate as stored in the TPM,
	// without the padding. It is nil if the TPM stores none for any key: then the
	// certificate is at URL, or there is none.
	CertificateDER []byte
	// Chain are certificates of authorities that the TPM stores, in any order, as
	// DER; most TPMs store none. At most 7 of 8 KiB each.
	Chain [][]byte
	// URL is where the manufacturer publishes the certificate that the TPM does not
	// store; empty if it does, or if the manufacturer publishes none. Intel's
	// server answers with JSON whose field "certificate" is the DER in base64url,
	// AMD's with DER. This package does not ask.
	URL string
	// Public is the key's TPMT_PUBLIC.
	Public []byte
}

// EKs returns the endorsement keys for which the TPM stores a certificate, RSA
// first. If it stores none at all, as some firmware TPMs and many virtual ones do,
// they are those that it makes from the profile's templates, with the vendor's URL
// in place of the certificate. Where the TPM makes none either, the error is
// ErrNoEK. Each time, the keys are the same, also after the TPM was cleared.
//
// A key that has to be made takes a discrete TPM some seconds.
func (d *Device) EKs(ctx context.Context) ([]EK, error) {
	var eks []EK
	err := d.use(ctx, "read endorsement keys", func(s *sequence) (err error) {
		if eks, err = s.certifiedEKs(); err != nil || len(eks) > 0 {
			return err
		}
		if eks, err = s.bareEKs(); err == nil && len(eks) == 0 {
			return ErrNoEK
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return eks, nil
}

// certifiedEKs are those whose certificate is in the TPM.
func (s *sequence) certifiedEKs() ([]EK, error) {
	var eks []EK
	var rubbish error
	for _, p := range ekProfiles() {
		cert, err := s.readCertificate(p.certificate)
		if absent(err) {
			continue
		}
		if err != nil {
			err = fmt.Errorf("%s certificate: %w", p.kind, err)
			if !errors.Is(err, ErrResponse) {
				return nil, err
			}
			rubbish = errors.Join(rubbish, err) // another kind may do
			continue
		}
		ek, err := s.loadEK(p, cert)
		if err != nil {
			return nil, fmt.Errorf("%s key: %w", p.kind, err)
		}
		ek.release()
		eks = append(eks, EK{Kind: p.kind, CertificateDER: cert, Public: ek.public})
	}
	if len(eks) == 0 {
		return nil, rubbish
	}
	chain, err := s.readChain()
	if err != nil {
		return nil, fmt.Errorf("certificate chain: %w", err)
	}
	for i := range eks {
		eks[i].Chain = chain
	}
	return eks, nil
}

// bareEKs are those that the TPM makes from the first template of each profile.
func (s *sequence) bareEKs() ([]EK, error) {
	manufacturer, err := s.property(tpm2.TPMPTManufacturer)
	if err != nil {
		return nil, err
	}
	var eks []EK
	for _, p := range ekProfiles() {
		ek, err := s.loadEK(p, nil)
		if errors.Is(err, ErrNoEK) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s key: %w", p.kind, err)
		}
		ek.release()
		eks = append(eks, EK{Kind: p.kind, URL: vendorURL(manufacturer, ek.public), Public: ek.public})
	}
	return eks, nil
}

// loadedEK is an endorsement key ready for use.
type loadedEK struct {
	handle  tpm2.TPMHandle
	name    tpm2.TPM2BName
	public  []byte // TPMT_PUBLIC
	release func()
}

// loadEK finds the key that a certificate speaks of: at its persistent handle,
// or by making it again from a template, which gives the same key each time. If
// none fits the certificate, the one from the last template is returned: it is
// the verifier who judges. Without a certificate it is the one from the first
// template. ErrNoEK is for a TPM that does not know the template's algorithms.
func (s *sequence) loadEK(p ekProfile, cert []byte) (*loadedEK, error) {
	if cert == nil {
		ek, _, err := s.createEK(p.templates[0], nil)
		return ek, err
	}
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
	templates, err := s.storedTemplates(p)
	if err != nil {
		return nil, err
	}
	templates = append(p.templates, templates...)
	for i := range templates {
		ek, fits, err := s.createEK(templates[i], cert)
		if err != nil {
			return nil, err
		}
		if fits || i == len(templates)-1 {
			return ek, nil
		}
		ek.release()
	}
	return nil, ErrNoEK
}

// storedTemplates are those that the manufacturer has put into the TPM beside a
// certificate of the low range: a whole template, or a nonce that stands in
// unique (TCG EK Credential Profile, §2.2.1.4). What is not of the profile's
// shape is left out: no verifier takes it.
func (s *sequence) storedTemplates(p ekProfile) ([]tpm2.TPMTPublic, error) {
	var templates []tpm2.TPMTPublic
	if p.nonce == 0 {
		return nil, nil
	}
	nonce, err := s.readNV(p.nonce, maxArea)
	switch {
	case err == nil:
		if t, ok := p.withNonce(nonce); ok {
			templates = append(templates, t)
		}
	case !absent(err):
		return nil, fmt.Errorf("nonce: %w", err)
	}
	whole, err := s.readNV(p.template, maxArea)
	switch {
	case err == nil:
		if t, err := tpm2.Unmarshal[tpm2.TPMTPublic](whole); err == nil && p.shapeOf(tpm2.Marshal(*t)) {
			templates = append(templates, *t)
		}
	case !absent(err):
		return nil, fmt.Errorf("template: %w", err)
	}
	return templates, nil
}

func (s *sequence) createEK(template tpm2.TPMTPublic, cert []byte) (ek *loadedEK, fits bool, err error) {
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(template),
	}.Execute(s)
	if isRC(err, tpm2.TPMRCCurve, tpm2.TPMRCHash, tpm2.TPMRCAsymmetric, tpm2.TPMRCSymmetric, tpm2.TPMRCKeySize, tpm2.TPMRCValue, tpm2.TPMRCKDF, tpm2.TPMRCType) {
		return nil, false, fmt.Errorf("%w: %w", ErrNoEK, err)
	}
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
