package attest_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/tpm/swtpm"
)

// plant is a manufacturer of emulated TPMs, with roots for each kind of key.
func plant(t *testing.T) (*swtpm.CA, map[string]*attest.Roots) {
	t.Helper()
	ca, err := swtpm.NewCA(t.Context(), filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := ca.RootsPEM()
	if err != nil {
		t.Fatal(err)
	}
	return ca, map[string]*attest.Roots{"rsa2048": rootsTaking(t, "rsa2048", pem), "p384": rootsTaking(t, "p384", pem)}
}

// machine is a TPM of that manufacturer, with a group key loaded.
func machine(t *testing.T, ca *swtpm.CA) (*tpm.Device, *tpm.GroupKey) {
	t.Helper()
	e, err := swtpm.Start(t.Context(), t.TempDir(), ca)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := tpm.Open(t.Context(), e.TCTI())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, groupKey(t, d)
}

func groupKey(t *testing.T, d *tpm.Device) *tpm.GroupKey {
	t.Helper()
	blob, err := d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), tpm.Auth("2468"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.LoadGroupKey(t.Context(), blob, tpm.Auth("2468"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func random(t *testing.T) []byte {
	t.Helper()
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// activates runs the three steps of an attestation for each endorsement key of
// a TPM, and returns the kinds.
func activates(t *testing.T, d *tpm.Device, key *tpm.GroupKey, roots map[string]*attest.Roots, at time.Time) []string {
	t.Helper()
	eks, err := d.EKs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name, q, err := attest.CheckGroupKey(key.Public(), attest.GroupKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(name, key.Name()) || !q.Equal(key.Point()) {
		t.Fatal("the TPM's name or point is not the verifier's")
	}
	var kinds []string
	for _, shown := range eks {
		ek, err := attest.VerifyEK([][]byte{shown.CertificateDER}, shown.Public, roots[shown.Kind], anyTPM(at))
		if err != nil {
			t.Fatalf("%s: %v", shown.Kind, err)
		}
		if ek.Kind != shown.Kind {
			t.Fatalf("%s taken for %s", shown.Kind, ek.Kind)
		}
		secret := random(t)
		blob, encrypted, err := attest.MakeCredential(ek, name, secret)
		if err != nil {
			t.Fatalf("%s: %v", shown.Kind, err)
		}
		got, err := key.ActivateCredential(t.Context(), ek.Kind, blob, encrypted)
		if err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("%s: another secret came out: %v", shown.Kind, err)
		}
		kinds = append(kinds, ek.Kind)
	}
	return kinds
}

func TestAttestationOfAnEmulator(t *testing.T) {
	ca, roots := plant(t)
	one, key := machine(t, ca)
	two, otherKey := machine(t, ca)
	now := time.Now()

	if kinds := activates(t, one, key, roots, now); len(kinds) != 2 || kinds[0] != "rsa2048" || kinds[1] != "p384" {
		t.Fatalf("endorsement keys %v", kinds)
	}
	mine, err := one.EKs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	others, err := two.EKs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, strangers := plant(t)
	for i := range mine {
		t.Run(mine[i].Kind, func(t *testing.T) {
			chain := [][]byte{mine[i].CertificateDER}
			if _, err := attest.VerifyEK(chain, mine[i].Public, strangers[mine[i].Kind], anyTPM(now)); !errors.Is(err, attest.ErrChain) {
				t.Errorf("under another manufacturer's root: got %v, want ErrChain", err)
			}
			if _, err := attest.VerifyEK(chain, others[i].Public, roots[mine[i].Kind], anyTPM(now)); !errors.Is(err, attest.ErrEKMismatch) {
				t.Errorf("with the certificate of another TPM: got %v, want ErrEKMismatch", err)
			}
			ek, err := attest.VerifyEK(chain, mine[i].Public, roots[mine[i].Kind], anyTPM(now))
			if err != nil {
				t.Fatal(err)
			}
			refuses(t, ek, key, otherKey)
		})
	}
}

// refuses checks what a TPM must not activate. ek and key are of one TPM, other
// is a key in another.
func refuses(t *testing.T, ek *attest.EK, key, other *tpm.GroupKey) {
	t.Helper()
	blob, encrypted, err := attest.MakeCredential(ek, key.Name(), random(t))
	if err != nil {
		t.Fatal(err)
	}
	wrongName, wrongSecret, err := attest.MakeCredential(ek, other.Name(), random(t))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(blob)
	flipped[len(flipped)-1] ^= 1
	for _, c := range []struct {
		name            string
		key             *tpm.GroupKey
		blob, encrypted []byte
	}{
		{"a challenge for another name", key, wrongName, wrongSecret},
		{"that challenge in the TPM that has the name", other, wrongName, wrongSecret},
		{"a challenge for another TPM", other, blob, encrypted},
		{"a challenge with the secret of another", key, blob, wrongSecret},
		{"an altered challenge", key, flipped, encrypted},
		{"an empty challenge", key, nil, nil},
	} {
		if _, err := c.key.ActivateCredential(t.Context(), ek.Kind, c.blob, c.encrypted); !errors.Is(err, tpm.ErrCredential) {
			t.Errorf("%s: got %v, want ErrCredential", c.name, err)
		}
	}
}

func TestNoChallengeIsMadeOfBadInput(t *testing.T) {
	roots := rootsTaking(t, "p384", fixture(t, "roots.pem"))
	ek, err := attest.VerifyEK([][]byte{fixture(t, "p384.der")}, fixture(t, "p384.pub"), roots, anyTPM(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	name := append([]byte{0x00, 0x0b}, make([]byte, 32)...)
	for what, c := range map[string]struct{ name, secret []byte }{
		"no secret":        {name, nil},
		"a long secret":    {name, make([]byte, 33)},
		"no name":          {nil, make([]byte, 32)},
		"a SHA-384 name":   {append([]byte{0x00, 0x0c}, make([]byte, 48)...), make([]byte, 32)},
		"a name cut short": {name[:33], make([]byte, 32)},
	} {
		if _, _, err := attest.MakeCredential(ek, c.name, c.secret); !errors.Is(err, attest.ErrInput) {
			t.Errorf("%s: got %v, want ErrInput", what, err)
		}
	}
	if _, _, err := attest.MakeCredential(&attest.EK{Public: attest.GroupKeyTemplate()}, name, make([]byte, 32)); !errors.Is(err, attest.ErrEKProfile) {
		t.Errorf("a key that is no endorsement key: got %v, want ErrEKProfile", err)
	}
}
