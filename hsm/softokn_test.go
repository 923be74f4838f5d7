package hsm_test

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

// softokn gives C_Initialize the parameters without which this library opens
// no database. hsm itself passes none: no library that is meant for others
// than its maker's own programs needs them.
type softokn struct {
	hsm.Cryptoki
	raw        *pkcs11.Ctx
	parameters []byte // with a NUL at the end
}

func (s *softokn) Initialize(...pkcs11.InitializeOption) error {
	return s.Cryptoki.Initialize(pkcs11.InitializeWithReserved(unsafe.Pointer(&s.parameters[0])))
}

// openSoftokn opens Mozilla's library, with an empty token whose user has a
// PIN.
func openSoftokn(t *testing.T) (*hsm.Module, *pkcs11.Ctx, hsm.Config) {
	t.Helper()
	var s *softokn
	m, err := hsm.OpenLayered(library(t, "libsoftokn3.so", "libnss3"), func(c *pkcs11.Ctx) hsm.Cryptoki {
		s = &softokn{Cryptoki: c, raw: c, parameters: []byte("configdir='sql:" + t.TempDir() +
			"' certPrefix='' keyPrefix='' secmod='' flags=noModDB dbTokenDescription='bank' minPWLen=4\x00")}
		return s
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	const database = 2 // the slot of the token that lasts
	h, err := s.raw.OpenSession(database, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	// A new database has no security officer's PIN, and never gets one.
	for _, err := range []error{s.raw.Login(h, pkcs11.CKU_SO, ""), s.raw.InitPIN(h, "user-1234"), s.raw.Logout(h), s.raw.CloseSession(h)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return m, s.raw, hsm.Config{TokenLabel: "bank", PIN: pinOf(t, "user-1234")}
}

// NSS's token signs all that Specie wants signed, and lacks attributes that a
// bank can do without. It says of every key that it was made elsewhere,
// though: so it holds no key of Specie's.
func TestSoftoknClaimsThatItsKeysComeFromElsewhere(t *testing.T) {
	m, raw, cfg := openSoftokn(t)
	cfg.Absent = probeSoftokn(t, m, cfg)
	tok, err := m.Token(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, rsaErr := tok.GenerateRSA(t.Context(), "coins", 2048)
	_, ecErr := tok.GenerateECDSA(t.Context(), "master", elliptic.P384())
	_, aesErr := tok.GenerateAES(t.Context(), "seal")
	for _, err := range []error{rsaErr, ecErr, aesErr} {
		if !errors.Is(err, hsm.ErrAudit) || !strings.Contains(err.Error(), "CKA_LOCAL is false, must be true") {
			t.Errorf("got %v, want ErrAudit about CKA_LOCAL", err)
		}
	}
	if keys, err := tok.RSAKeys(t.Context()); !errors.Is(err, hsm.ErrAudit) {
		t.Errorf("loads %d keys, %v", len(keys), err)
	}

	// But for its origin every key is as it must be, and works: this package
	// and SoftHSM do not merely agree with each other.
	id := idOf(t, tok, "coins")
	coins, err := tok.LoadImportedRSA(t.Context(), "coins", id)
	if err != nil {
		t.Fatal(err)
	}
	master, err := tok.LoadImportedECDSA(t.Context(), "master", idOf(t, tok, "master"))
	if err != nil {
		t.Fatal(err)
	}
	work := func() {
		t.Helper()
		blindSigns(t, coins)
		signsDocuments(t, master)
	}
	work()
	if err := tok.LoseSessions(raw); err != nil {
		t.Fatal(err)
	}
	work()
	if _, err := coins.BlindSign(t.Context(), bytes.Repeat([]byte{0xff}, 256)); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("a message above the modulus: got %v", err)
	}
}

// Without the list that Probe suggests, the token refuses the templates.
func TestSoftoknRefusesWhatItDoesNotKnow(t *testing.T) {
	m, _, cfg := openSoftokn(t)
	tok, err := m.Token(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tok.GenerateRSA(t.Context(), "coins", 2048); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
	if n := stock(t, tok); n != 0 {
		t.Errorf("%d objects were made", n)
	}
}

func probeSoftokn(t *testing.T, m *hsm.Module, cfg hsm.Config) (absent []string) {
	why := []string{"CKA_LOCAL of the private key is false, must be true"}
	// An object of a session has more attributes than one of the token.
	r, err := hsm.ProbeOnly(t.Context(), m, cfg, quick, "RSA-2048")
	if err != nil {
		t.Fatal(err)
	}
	if u := r.Uses[0]; !slices.Equal(u.Why, why) || !slices.Equal(r.Absent, []string{"CKA_KEY_GEN_MECHANISM"}) || !r.SessionObjects {
		t.Errorf("absent %v, %+v", r.Absent, u)
	}
	opts := quick
	opts.TokenObjects = true
	r, err = hsm.ProbeOnly(t.Context(), m, cfg, opts, "P-256", "AES")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"CKA_ALLOWED_MECHANISMS", "CKA_COPYABLE", "CKA_DESTROYABLE", "CKA_KEY_GEN_MECHANISM"}
	if !slices.Equal(r.Absent, want) || r.Left != 0 {
		t.Errorf("absent %v, left %d", r.Absent, r.Left)
	}
	if u := useOf(t, r, "P-256"); u.Can || !slices.Equal(u.Why, why) {
		t.Errorf("%s: %q", u.Name, u.Why)
	}
	// It forgets the tag when it is asked how long a sealed box will be.
	seal := strings.Join(useOf(t, r, "AES").Why, "\n")
	for _, want := range []string{"CKA_LOCAL of the secret key is false", "C_Encrypt: CKR_BUFFER_TOO_SMALL"} {
		if !strings.Contains(seal, want) {
			t.Errorf("AES: %q does not say %q", seal, want)
		}
	}
	return r.Absent
}
