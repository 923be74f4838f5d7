package hsm_test

import (
	"context"
	"crypto/elliptic"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

// quick measures rates for no longer than a test needs.
var quick = hsm.ProbeOptions{RateTime: 20 * time.Millisecond}

func TestProbeSaysWhatSoftHSMCanDo(t *testing.T) {
	cfg := filled(t)
	cfg.Sessions = 3
	opts := quick
	last, steps := 0, 0
	opts.Progress = func(done, total int) {
		if done <= last || done > total {
			t.Errorf("step %d of %d after %d", done, total, last)
		}
		last, steps = done, total
	}
	r, err := hsm.Probe(t.Context(), module, cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	if last == 0 || last != steps {
		t.Errorf("progress ended at %d of %d", last, steps)
	}
	var can []string
	for _, u := range r.Uses {
		if !u.Can || len(u.Why) != 0 || len(u.Attributes) != 0 {
			t.Errorf("%+v", u)
		}
		can = append(can, u.Name)
		if isRSA := strings.Contains(u.Name, "RSA"); isRSA != (len(u.Rates) == 2) {
			t.Errorf("%s: rates %v", u.Name, u.Rates)
		}
		for i, rate := range u.Rates {
			if want := []int{1, 3}[i]; rate.Sessions != want || rate.PerSecond <= 0 {
				t.Errorf("%s: rates %v", u.Name, u.Rates)
			}
		}
	}
	want := []string{
		"denomination keys, RSA-2048", "denomination keys, RSA-3072", "denomination keys, RSA-4096",
		"root and master keys, ECDSA P-384", "online signing keys, ECDSA P-256", "the manager's seal, AES-256-GCM",
	}
	if diff := cmp.Diff(want, can); diff != "" {
		t.Error(diff)
	}
	if !r.SessionObjects || len(r.Absent) != 0 || r.Left != 0 || r.Limits.Opened != 3 || r.Token.Label != cfg.TokenLabel {
		t.Errorf("%+v", r)
	}
	if r.Library.Path != store.Module || r.Library.Manufacturer != "SoftHSM" || r.Library.Cryptoki != "2.40" {
		t.Errorf("%+v", r.Library)
	}
	raw := slices.IndexFunc(r.Mechanisms, func(m hsm.Mechanism) bool { return m.Name == "CKM_RSA_X_509" })
	if raw < 0 || r.Mechanisms[raw].Code != 3 || !slices.Contains(r.Mechanisms[raw].For, "sign") || r.Mechanisms[raw].Max < 4096 {
		t.Errorf("mechanisms %+v", r.Mechanisms)
	}
	stillFilled(t, cfg)
}

// What was on the token before is there afterwards, and nothing else.
func TestProbeLeavesNothing(t *testing.T) {
	cfg := filled(t)
	count := func() int {
		tok := openToken(t, cfg)
		defer tok.Close()
		return objects(t, tok)
	}
	before := count()
	if _, err := hsm.ProbeOnly(t.Context(), module, cfg, quick, "RSA-2048", "P-256", "AES"); err != nil {
		t.Fatal(err)
	}
	if after := count(); before != 5 || after != before {
		t.Fatalf("%d objects before, %d after", before, after)
	}

	// Keys of the token that it does not let go are owned up to.
	opts := quick
	opts.TokenObjects = true
	r, err := hsm.ProbeOnly(t.Context(), module, cfg, opts, "P-256", "AES")
	if err != nil {
		t.Fatal(err)
	}
	if after := count(); r.Left != 3 || after != before+r.Left || r.SessionObjects {
		t.Fatalf("%d objects before, %d after, %d owned up to", before, after, r.Left)
	}
}

// The list that Probe suggests is the one with which keys can be made.
func TestProbeSuggestsWhatToDoWithout(t *testing.T) {
	for _, name := range []string{"CKA_COPYABLE", "CKA_ALLOWED_MECHANISMS", "CKA_TRUSTED", "CKA_KEY_GEN_MECHANISM"} {
		t.Run(name, func(t *testing.T) {
			cfg := newConfig(t)
			fault.set(t, func() { fault.absent = spare[name] })
			r, err := hsm.ProbeOnly(t.Context(), module, cfg, quick, "P-256")
			if err != nil {
				t.Fatal(err)
			}
			if !r.Uses[0].Can || !slices.Equal(r.Absent, []string{name}) {
				t.Fatalf("absent %v, %+v", r.Absent, r.Uses)
			}
			for _, f := range r.Uses[0].Attributes {
				asked := name != "CKA_KEY_GEN_MECHANISM"
				if f.Attribute != name || f.Finding != hsm.Absent || f.Is != "absent" || !f.Spare || (f.Answer != "") != asked {
					t.Errorf("%+v", f)
				}
			}
			cfg.Absent = r.Absent
			if _, err := openToken(t, cfg).GenerateECDSA(t.Context(), "k", elliptic.P256()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// liar changes what SoftHSM does beyond what layer knows of.
var liar struct {
	sync.Mutex
	noSessionObjects bool
	noRSA            bool
	onlyDecrypts     bool
	opensAnything    bool
}

// lie sets one of the liar's fields, or resets all.
func lie(field *bool) {
	liar.Lock()
	defer liar.Unlock()
	liar.noSessionObjects, liar.noRSA, liar.onlyDecrypts, liar.opensAnything = false, false, false, false
	if field != nil {
		*field = true
	}
}

// refusesTemplate plays a token that makes no objects of sessions.
func refusesTemplate(template []*pkcs11.Attribute) bool {
	liar.Lock()
	defer liar.Unlock()
	return liar.noSessionObjects && slices.ContainsFunc(template, func(a *pkcs11.Attribute) bool {
		return a.Type == pkcs11.CKA_TOKEN && slices.Equal(a.Value, []byte{0})
	})
}

func (l *layer) GetMechanismList(slot uint) ([]*pkcs11.Mechanism, error) {
	list, err := l.Cryptoki.GetMechanismList(slot)
	liar.Lock()
	defer liar.Unlock()
	return slices.DeleteFunc(list, func(m *pkcs11.Mechanism) bool { return liar.noRSA && m.Mechanism == pkcs11.CKM_RSA_X_509 }), err
}

func (l *layer) GetMechanismInfo(slot uint, m []*pkcs11.Mechanism) (pkcs11.MechanismInfo, error) {
	info, err := l.Cryptoki.GetMechanismInfo(slot, m)
	liar.Lock()
	defer liar.Unlock()
	if liar.onlyDecrypts {
		info.Flags &= pkcs11.CKF_HW | pkcs11.CKF_GENERATE_KEY_PAIR | pkcs11.CKF_DECRYPT
	}
	return info, err
}

func (l *layer) Decrypt(s pkcs11.SessionHandle, box []byte) ([]byte, error) {
	out, err := l.Cryptoki.Decrypt(s, box)
	liar.Lock()
	defer liar.Unlock()
	if liar.opensAnything && err != nil {
		return []byte("specie"), nil
	}
	return out, err
}

func TestProbeSaysWhyNot(t *testing.T) {
	wrong := func(typ uint) func() {
		return func() {
			fault.attribute = func(got uint, v []byte) []byte {
				if got != typ {
					return v
				}
				v = slices.Clone(v)
				v[0] ^= 1
				return v
			}
		}
	}
	cases := []struct {
		name, use string
		damage    func()
		says      string
	}{
		{"a key that could leave", "P-256", wrong(pkcs11.CKA_EXTRACTABLE), "CKA_EXTRACTABLE of the private key is true, must be false"},
		{"a key that may be copied", "AES", wrong(pkcs11.CKA_COPYABLE), "CKA_COPYABLE of the secret key is true, must be false"},
		{"a key that comes from elsewhere", "RSA-2048", wrong(pkcs11.CKA_LOCAL), "CKA_LOCAL of the private key is false, must be true"},
		{"a public half that wraps", "P-384", wrong(pkcs11.CKA_WRAP), "CKA_WRAP of the public key is true, must be false"},
		{"a token that does not know what is sensitive", "P-256", func() { fault.absent = pkcs11.CKA_SENSITIVE }, "the private key has no CKA_SENSITIVE"},
		{"a wrong RSA signature", "RSA-2048", func() {
			fault.sign = func(sig []byte, err error) ([]byte, error) { return append([]byte{}, sig[1:]...), err }
		}, "faulty result from the token: RSA signature"},
		{"a wrong ECDSA signature", "P-384", func() {
			fault.sign = func(sig []byte, err error) ([]byte, error) { return append([]byte{}, sig[1:]...), err }
		}, "faulty result from the token: ECDSA signature"},
		{"a seal that is none", "AES", func() { lie(&liar.opensAnything) }, "opens a sealed box that was altered"},
		{"a token without raw RSA", "RSA-2048", func() { lie(&liar.noRSA) }, "CKM_RSA_X_509 is not among its mechanisms"},
		{"a token that decrypts by raw RSA and does not sign", "RSA-2048", func() { lie(&liar.onlyDecrypts) }, "CKM_RSA_X_509 is not among its mechanisms to sign, but to decrypt"},
		{"a token without objects of sessions", "P-256", func() { lie(&liar.noSessionObjects) }, "makes no such key as an object of a session: C_GenerateKeyPair: CKR_ATTRIBUTE_VALUE_INVALID (0x13)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := newConfig(t)
			fault.set(t, c.damage)
			t.Cleanup(func() { lie(nil) })
			r, err := hsm.ProbeOnly(t.Context(), module, cfg, quick, c.use)
			if err != nil {
				t.Fatal(err)
			}
			u := r.Uses[0]
			if u.Can || len(u.Why) == 0 || !strings.Contains(strings.Join(u.Why, "\n"), c.says) {
				t.Fatalf("can %v, because of %q, want %q", u.Can, u.Why, c.says)
			}
			if len(r.Absent) != 0 {
				t.Errorf("suggests to do without %v", r.Absent)
			}
		})
	}
}

func TestProbeRefuses(t *testing.T) {
	cfg := newConfig(t)
	open := newConfig(t)
	openToken(t, open)
	wrong := newConfig(t)
	wrong.PIN = pinOf(t, "wrong-pin")
	many := newConfig(t)
	many.Sessions = 257
	over, cancel := context.WithCancel(t.Context())
	cancel()
	cases := []struct {
		name string
		ctx  context.Context
		cfg  hsm.Config
		want error
	}{
		{"a wrong PIN", t.Context(), wrong, hsm.ErrPIN},
		{"a token that is open", t.Context(), open, hsm.ErrInput},
		{"more sessions than a Token may have", t.Context(), many, hsm.ErrInput},
		{"a caller who has given up", over, cfg, context.Canceled},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := hsm.Probe(c.ctx, module, c.cfg, quick); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	midway, cancel := context.WithCancel(t.Context())
	opts := quick
	opts.Progress = func(done, _ int) { cancel() }
	if _, err := hsm.Probe(midway, module, cfg, opts); !errors.Is(err, context.Canceled) {
		t.Fatalf("a caller who gives up midway: got %v", err)
	}
	openToken(t, cfg) // Probe has closed it in any case
}

// A token that makes no key as it must be is told apart from one in trouble,
// and nothing looser is made in its place.
func TestGenerateTellsWhatATokenDoesNotMake(t *testing.T) {
	tok := newToken(t)
	fault.set(t, func() { fault.absent = pkcs11.CKA_UNWRAP })
	if _, err := tok.GenerateRSA(t.Context(), "k", 2048); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("RSA: got %v, want ErrUnsupported", err)
	}
	if _, err := tok.GenerateECDSA(t.Context(), "k", elliptic.P384()); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("ECDSA: got %v, want ErrUnsupported", err)
	}
	if _, err := tok.GenerateAES(t.Context(), "k"); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("AES: got %v, want ErrUnsupported", err)
	}
	if n := objects(t, tok); n != 0 {
		t.Errorf("%d objects were made", n)
	}
}
