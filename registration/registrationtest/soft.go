package registrationtest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/registration"
)

// Maker is a manufacturer of [SoftTPM]s.
type Maker struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// makerID is the vendor id of every Maker.
const makerID = "SOFT"

// NewMaker makes one.
func NewMaker(t testing.TB) *Maker {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "soft maker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return &Maker{key: key, cert: cert}
}

// Roots is a list with this maker alone, from whom keys on P-256 are taken.
func (m *Maker) Roots(t testing.TB) *attest.Roots {
	t.Helper()
	files := map[string][]byte{"maker.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.cert.Raw})}
	manifest, err := attest.DraftManifest(files)
	must(t, err)
	manifest = bytes.ReplaceAll(bytes.ReplaceAll(manifest, []byte(`"?"`), []byte(makerID)), []byte("ek: rsa2048"), []byte("ek: p256"))
	roots, err := attest.ParseRoots(manifest, files)
	must(t, err)
	return roots
}

// SoftTPM is the arithmetic of a TPM whose secrets the test knows: for what no
// real TPM lets happen (a leaked key), and to measure the manager alone.
type SoftTPM struct {
	// F is the scalar of the group key.
	F fp256bn.Scalar

	ek     *ecdh.PrivateKey
	chain  [][]byte
	public []byte // of the endorsement key
	key    softKey
	u      group.WalletSecret
}

// TPM makes one, with a group key of scalar f, a random one if nil.
func (m *Maker) TPM(t testing.TB, f *fp256bn.Scalar) *SoftTPM {
	t.Helper()
	ek, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	s := &SoftTPM{}
	s.ek, err = ek.ECDH()
	must(t, err)
	point := s.ek.PublicKey().Bytes()
	area := tpm2.ECCEKTemplate
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]},
	})
	s.public = tpm2.Marshal(area)
	s.chain = [][]byte{m.endorse(t, &ek.PublicKey)}
	if f == nil {
		fresh, err := fp256bn.RandomScalar(rand.Reader)
		must(t, err)
		f = &fresh
	}
	s.F, s.key = *f, softKey{f: *f}
	s.u, err = group.DeriveWalletSecret(point[:32], group.ID{}, s.name())
	must(t, err)
	return s
}

// endorse certifies an endorsement key as manufacturers do.
func (m *Maker) endorse(t testing.TB, key *ecdsa.PublicKey) []byte {
	t.Helper()
	var names pkix.RDNSequence
	for i, value := range []string{"id:534F4654", "Soft", "id:0001"} {
		names = append(names, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, i + 1}, Value: value}})
	}
	name, err := asn1.Marshal(names)
	must(t, err)
	san, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: name}})
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageKeyAgreement,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}},
		ExtraExtensions:    []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: san}},
	}, m.cert, key, m.key)
	must(t, err)
	return der
}

// BeginRequest shows this TPM.
func (s *SoftTPM) BeginRequest() *registration.BeginRequest {
	return &registration.BeginRequest{EKChain: s.chain, EKPublic: s.public}
}

func (s *SoftTPM) keyPublic() []byte {
	q := fp256bn.Generator1().Mul(s.F)
	x, y := q.XY()
	b := cryptobyte.NewBuilder(bytes.Clone(attest.GroupKeyTemplate()[:len(attest.GroupKeyTemplate())-4]))
	for _, c := range [][]byte{x[:], y[:]} {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c) })
	}
	return b.BytesOrPanic()
}

func (s *SoftTPM) name() []byte { return enrol.KeyName(s.keyPublic()) }

// Join makes a join for a session of this TPM.
func (s *SoftTPM) Join(t testing.TB, w *World, open *registration.Session, name string) *registration.JoinRequest {
	t.Helper()
	ek, err := attest.VerifyEK(s.chain, s.public, w.Policy().EKRoots, attest.Policy{At: w.Clock.Now()})
	must(t, err)
	sealed, digest, err := enrol.SealForm(w.Group.FormKey.PublicKey(), w.Name(), open.Nonce, enrol.Form{Name: name})
	must(t, err)
	p := &group.Parameters{Name: w.Name(), W: w.Group.Issuer.Public(), O: w.Group.Supervision.Key.O(), O2: w.Group.Supervision.Key.O2()}
	j, err := group.NewJoin(t.Context(), p, &s.key, fp256bn.Generator1().Mul(s.F), s.u,
		group.JoinContext{Nonce: open.Nonce, KeyName: s.name(), EK: ek.ID, Form: digest})
	must(t, err)
	return &registration.JoinRequest{KeyPublic: s.keyPublic(), Join: j.Bytes(), Form: sealed, FormDigest: digest}
}

// Answer does what TPM2_ActivateCredential does (TPM 2.0 Part 1, §24).
func (s *SoftTPM) Answer(t testing.TB, c *registration.Challenge) enrol.Secret {
	t.Helper()
	var x, y, sum cryptobyte.String
	sent := cryptobyte.String(c.EncryptedSecret)
	if !sent.ReadUint16LengthPrefixed(&x) || !sent.ReadUint16LengthPrefixed(&y) {
		t.Fatal("no point in the challenge")
	}
	peer, err := ecdh.P256().NewPublicKey(slices.Concat([]byte{4}, x, y))
	must(t, err)
	z, err := s.ek.ECDH(peer)
	must(t, err)
	seed := tpm2.KDFe(crypto.SHA256, z, "IDENTITY", x, s.ek.PublicKey().Bytes()[1:33], 256)
	blob := cryptobyte.String(c.CredentialBlob)
	if !blob.ReadUint16LengthPrefixed(&sum) {
		t.Fatal("no credential in the challenge")
	}
	block, err := aes.NewCipher(tpm2.KDFa(crypto.SHA256, seed, "STORAGE", s.name(), nil, 128))
	must(t, err)
	plain := make([]byte, len(blob))
	cipher.NewCFBDecrypter(block, make([]byte, aes.BlockSize)).XORKeyStream(plain, blob) //nolint:staticcheck // what TPMs use
	secret, err := enrol.NewSecret(plain[2:])
	must(t, err)
	return secret
}

// softKey is an ECDAA key whose scalar is known.
type softKey struct{ f, r fp256bn.Scalar }

// Commit implements group.Key.
func (k *softKey) Commit(_ context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (kk, l, e fp256bn.G1, counter uint16, err error) {
	x := sha256.Sum256(s2)
	p2, ok := fp256bn.LiftX(x[:])
	if _, y := p2.XY(); !ok || y != y2 {
		return kk, l, e, 0, errors.New("P2 is not on the curve")
	}
	if k.r, err = fp256bn.RandomScalar(rand.Reader); err != nil {
		return kk, l, e, 0, err
	}
	if p1 != nil {
		e = p1.Mul(k.r)
	}
	return p2.Mul(k.f), p2.Mul(k.r), e, 1, nil
}

// Sign implements group.Key.
func (k *softKey) Sign(_ context.Context, digest [32]byte, _ uint16) ([]byte, fp256bn.Scalar, error) {
	nu := make([]byte, 32)
	_, err := rand.Read(nu)
	nu[0] |= 1
	c := sha256.Sum256(append(bytes.Clone(nu), digest[:]...))
	return nu, k.r.Add(fp256bn.ReduceScalar(c[:]).Mul(k.f)), err
}
