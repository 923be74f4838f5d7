package tpm_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/tpm"
)

// activates shows that a key can be used, and is the one that it is said to be.
func activates(t *testing.T, d *tpm.Device, ek tpm.EK) {
	t.Helper()
	_, key := newKey(t, d, nil)
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		t.Fatal(err)
	}
	blob, encrypted, err := attest.MakeCredential(&attest.EK{Kind: ek.Kind, Public: ek.Public}, key.Name(), secret)
	if err != nil {
		t.Fatal(err)
	}
	got, err := key.ActivateCredential(t.Context(), ek.Kind, blob, encrypted)
	if err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("%s: %v", ek.Kind, err)
	}
	if err := key.Close(); err != nil {
		t.Fatal(err)
	}
}

// manufacturer makes a certificate for a key, and returns its own with it.
func manufacturer(t *testing.T, key crypto.PublicKey) (cert, authority []byte) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "manufacturer"}, NotAfter: time.Now().Add(time.Hour)}
	if authority, err = x509.CreateCertificate(rand.Reader, template, template, own.Public(), own); err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.CreateCertificate(rand.Reader, template, template, key, own); err != nil {
		t.Fatal(err)
	}
	return cert, authority
}

// store writes an index of non-volatile memory as a manufacturer does.
func store(t *testing.T, past transport.TPM, index tpm2.TPMHandle, data []byte, attributes tpm2.TPMANV) {
	t.Helper()
	attributes.OwnerWrite, attributes.NoDA = true, true
	public := tpm2.TPMSNVPublic{NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, Attributes: attributes, DataSize: uint16(len(data))}
	if _, err := (tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(public)}).Execute(past); err != nil {
		t.Fatal(err)
	}
	rsp, err := tpm2.NVReadPublic{NVIndex: index}.Execute(past)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(data); at += 512 {
		if _, err := (tpm2.NVWrite{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: rsp.NVName},
			Data:       tpm2.TPM2BMaxNVBuffer{Buffer: data[at:min(at+512, len(data))]}, Offset: uint16(at),
		}).Execute(past); err != nil {
			t.Fatal(err)
		}
	}
}

func byAnybody() tpm2.TPMANV { return tpm2.TPMANV{AuthRead: true} }

// primary makes an endorsement key past the device, and returns its area and key.
func primary(t *testing.T, past transport.TPM, template tpm2.TPMTPublic) ([]byte, crypto.PublicKey) {
	t.Helper()
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(past)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: rsp.ObjectHandle}).Execute(past); err != nil {
		t.Fatal(err)
	}
	area, err := rsp.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.Pub(*area)
	if err != nil {
		t.Fatal(err)
	}
	return rsp.OutPublic.Bytes(), key
}

func TestATPMWithoutCertificatesHasTheProfilesKeys(t *testing.T) {
	d, past := bare(t)
	eks, err := d.EKs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, ek := range eks {
		kinds = append(kinds, ek.Kind)
		if ek.CertificateDER != nil || ek.URL != "" || ek.Chain != nil {
			t.Errorf("%s: a certificate from nowhere: %+v", ek.Kind, ek)
		}
		activates(t, d, ek)
	}
	if got := strings.Join(kinds, " "); got != "rsa2048 p256 p384" {
		t.Fatalf("got %s", got)
	}
	if want, _ := primary(t, past, tpm2.RSAEKTemplate); !bytes.Equal(eks[0].Public, want) {
		t.Error("the RSA key is not that of the template")
	}
	if n := loaded(t, past); n != 0 {
		t.Errorf("%d left in the slots", n)
	}
}

func TestTheAddressOfTheCertificateIsTheManufacturers(t *testing.T) {
	_, past := bare(t)
	for vendor, prefix := range map[string]string{
		"INTC":    "https://ekop.intel.com/ekcertservice/",
		"AMD\x00": "https://ftpm.amd.com/pki/aia/",
	} {
		d := tpm.New(&meddler{TPM: past, after: func(command, response []byte) []byte {
			if code(command) == tpm2.TPMCCGetCapability && binary.BigEndian.Uint32(command[14:]) == uint32(tpm2.TPMPTManufacturer) {
				copy(response[len(response)-4:], vendor)
			}
			return response
		}})
		eks, err := d.EKs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, ek := range eks {
			if !strings.HasPrefix(ek.URL, prefix) || len(ek.URL) < len(prefix)+32 {
				t.Errorf("%q %s: %s", vendor, ek.Kind, ek.URL)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestATPMThatKnowsNoTemplateHasNoEndorsementKey(t *testing.T) {
	_, past := bare(t)
	d := tpm.New(&meddler{TPM: past, after: func(command, response []byte) []byte {
		if code(command) == tpm2.TPMCCCreatePrimary {
			return answer(tpm2.TPMRCCurve)
		}
		return response
	}})
	defer d.Close()
	if _, err := d.EKs(t.Context()); !errors.Is(err, tpm.ErrNoEK) {
		t.Fatalf("got %v, want ErrNoEK", err)
	}
}

func TestCertificatesOfAuthoritiesAreRead(t *testing.T) {
	d, past := bare(t)
	public, key := primary(t, past, tpm2.ECCEKTemplate)
	cert, root := manufacturer(t, key)
	_, middle := manufacturer(t, key)
	store(t, past, 0x01c0000a, append(bytes.Clone(cert), bytes.Repeat([]byte{0xff}, 100)...), byAnybody())
	row := append(append(bytes.Clone(middle), root...), 0xff, 0xff)
	store(t, past, 0x01c00100, row[:100], byAnybody())
	store(t, past, 0x01c00101, row[100:], tpm2.TPMANV{OwnerRead: true})
	eks, err := d.EKs(t.Context())
	if err != nil || len(eks) != 1 {
		t.Fatalf("%d keys, %v", len(eks), err)
	}
	ek := eks[0]
	if ek.Kind != "p256" || !bytes.Equal(ek.CertificateDER, cert) || !bytes.Equal(ek.Public, public) || ek.URL != "" {
		t.Fatalf("got %+v", ek)
	}
	if len(ek.Chain) != 2 || !bytes.Equal(ek.Chain[0], middle) || !bytes.Equal(ek.Chain[1], root) {
		t.Fatalf("a chain of %d", len(ek.Chain))
	}
	activates(t, d, ek)
}

// Some manufacturers make the key from a template that only their TPMs know.
func TestAKeyFromTheManufacturersTemplateIsFound(t *testing.T) {
	for name, template := range map[string]func(*testing.T, transport.TPM) tpm2.TPMTPublic{
		"a nonce": func(t *testing.T, past transport.TPM) tpm2.TPMTPublic {
			nonce := []byte("a nonce of some length")
			store(t, past, 0x01c0000b, nonce, byAnybody())
			template := tpm2.ECCEKTemplate
			x := append(bytes.Clone(nonce), make([]byte, 32-len(nonce))...)
			template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
				X: tpm2.TPM2BECCParameter{Buffer: x}, Y: tpm2.TPM2BECCParameter{Buffer: make([]byte, 32)},
			})
			return template
		},
		"a template": func(t *testing.T, past transport.TPM) tpm2.TPMTPublic {
			template := tpm2.ECCEKTemplate
			template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
			store(t, past, 0x01c0000c, tpm2.Marshal(template), byAnybody())
			return template
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, past := bare(t)
			public, key := primary(t, past, template(t, past))
			cert, _ := manufacturer(t, key)
			store(t, past, 0x01c0000a, cert, byAnybody())
			eks, err := d.EKs(t.Context())
			if err != nil || len(eks) != 1 {
				t.Fatalf("%d keys, %v", len(eks), err)
			}
			if !bytes.Equal(eks[0].Public, public) {
				t.Fatal("another key than the certified one")
			}
			activates(t, d, eks[0])
		})
	}
}

func TestAnIndexThatIsEmptyOrTooLargeHoldsNoCertificate(t *testing.T) {
	d, past := bare(t)
	public := tpm2.TPMSNVPublic{NVIndex: 0x01c00002, NameAlg: tpm2.TPMAlgSHA256, Attributes: tpm2.TPMANV{AuthRead: true, OwnerWrite: true, NoDA: true}, DataSize: 100}
	if _, err := (tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(public)}).Execute(past); err != nil {
		t.Fatal(err)
	}
	eks, err := d.EKs(t.Context())
	if err != nil || len(eks) != 3 || eks[0].CertificateDER != nil {
		t.Fatalf("an index that was never written: %d keys, %v", len(eks), err)
	}
	large := tpm.New(&meddler{TPM: past, after: func(command, response []byte) []byte {
		if code(command) == tpm2.TPMCCNVReadPublic && binary.BigEndian.Uint32(command[10:]) == 0x01c00002 {
			binary.BigEndian.PutUint16(response[10+2+4+2+4+2:], 8<<10+1) // dataSize, after nvIndex, nameAlg, attributes and authPolicy
		}
		return response
	}})
	defer large.Close()
	if _, err := large.EKs(t.Context()); !errors.Is(err, tpm.ErrResponse) || !strings.Contains(err.Error(), "8193 bytes") {
		t.Fatalf("an index that is too large: got %v, want ErrResponse", err)
	}
}

// A certificate that no key fits is the verifier's to refuse; the key is of its
// kind all the same.
func TestATemplateOfAnotherShapeIsNotUsed(t *testing.T) {
	d, past := bare(t)
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := manufacturer(t, own.Public())
	store(t, past, 0x01c0000a, cert, byAnybody())
	store(t, past, 0x01c0000c, tpm2.Marshal(tpm2.ECCSRKTemplate), byAnybody())
	eks, err := d.EKs(t.Context())
	if err != nil || len(eks) != 1 {
		t.Fatalf("%d keys, %v", len(eks), err)
	}
	if want, _ := primary(t, past, tpm2.ECCEKTemplate); !bytes.Equal(eks[0].Public, want) {
		t.Fatal("a key from another template than the profile's")
	}
}

func TestRubbishBesideACertificateIsNoHindrance(t *testing.T) {
	d, past := bare(t)
	store(t, past, 0x01c00002, []byte("no certificate"), byAnybody())
	if _, err := d.EKs(t.Context()); !errors.Is(err, tpm.ErrResponse) {
		t.Fatalf("rubbish alone: got %v, want ErrResponse", err)
	}
	_, key := primary(t, past, tpm2.ECCEKTemplate)
	cert, _ := manufacturer(t, key)
	store(t, past, 0x01c0000a, cert, byAnybody())
	store(t, past, 0x01c0000b, bytes.Repeat([]byte{1}, 100), byAnybody()) // a nonce that is too long
	store(t, past, 0x01c0000c, []byte("no template"), byAnybody())
	store(t, past, 0x01c00100, []byte("no certificate"), byAnybody())
	eks, err := d.EKs(t.Context())
	if err != nil || len(eks) != 1 || eks[0].Kind != "p256" || len(eks[0].Chain) != 0 {
		t.Fatalf("got %+v, %v", eks, err)
	}
}
