package hsm_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

// lacks tells whether the layer plays a token that does not know an attribute
// of the template.
func (l *layer) lacks(templates ...[]*pkcs11.Attribute) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.absent != 0 && slices.ContainsFunc(slices.Concat(templates...), func(a *pkcs11.Attribute) bool { return a.Type == l.absent })
}

func (l *layer) GenerateKeyPair(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, public, private []*pkcs11.Attribute) (pkcs11.ObjectHandle, pkcs11.ObjectHandle, error) {
	if l.lacks(public, private) {
		return 0, 0, pkcs11.Error(pkcs11.CKR_ATTRIBUTE_TYPE_INVALID)
	}
	if refusesTemplate(private) {
		return 0, 0, pkcs11.Error(pkcs11.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	return l.Cryptoki.GenerateKeyPair(s, m, public, private)
}

func (l *layer) GenerateKey(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, template []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	if l.lacks(template) {
		return 0, pkcs11.Error(pkcs11.CKR_ATTRIBUTE_TYPE_INVALID)
	}
	return l.Cryptoki.GenerateKey(s, m, template)
}

// spare are the attributes that a bank can do without.
var spare = map[string]uint{
	"CKA_COPYABLE":            pkcs11.CKA_COPYABLE,
	"CKA_DESTROYABLE":         pkcs11.CKA_DESTROYABLE,
	"CKA_WRAP_WITH_TRUSTED":   pkcs11.CKA_WRAP_WITH_TRUSTED,
	"CKA_ALLOWED_MECHANISMS":  pkcs11.CKA_ALLOWED_MECHANISMS,
	"CKA_KEY_GEN_MECHANISM":   pkcs11.CKA_KEY_GEN_MECHANISM,
	"CKA_SIGN_RECOVER":        pkcs11.CKA_SIGN_RECOVER,
	"CKA_VERIFY_RECOVER":      pkcs11.CKA_VERIFY_RECOVER,
	"CKA_ALWAYS_AUTHENTICATE": pkcs11.CKA_ALWAYS_AUTHENTICATE,
	"CKA_TRUSTED":             pkcs11.CKA_TRUSTED,
}

func TestATokenMayLackWhatItsConfigurationNames(t *testing.T) {
	tok := func(absent ...string) *hsm.Token {
		cfg := newConfig(t)
		cfg.Absent = absent
		return openToken(t, cfg)
	}
	for name, typ := range spare {
		t.Run(name, func(t *testing.T) {
			strict, lenient := tok(), tok(name)
			fault.set(t, func() { fault.absent = typ })
			if _, err := strict.GenerateAES(t.Context(), "aes"); !signerOnly(name) && err == nil {
				t.Error("made a key without it, unasked")
			}
			if _, err := strict.GenerateRSA(t.Context(), "rsa", 2048); err == nil {
				t.Error("made a key without it, unasked")
			}
			if _, err := lenient.GenerateAES(t.Context(), "aes"); err != nil {
				t.Error(err)
			}
			key, err := lenient.GenerateRSA(t.Context(), "rsa", 2048)
			if err != nil {
				t.Fatal(err)
			}
			if err := key.Audit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Absent is not different: what the token knows must be right, although it is
// no longer asked for.
func TestAnAttributeThatIsThereMustBeRight(t *testing.T) {
	cfg := newConfig(t)
	strict := openToken(t, cfg)
	newRSA(t, strict, "made by the rules")
	if err := strict.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Absent = []string{"CKA_COPYABLE", "CKA_DESTROYABLE", "CKA_ALLOWED_MECHANISMS"}
	tok := openToken(t, cfg)
	if keys, err := tok.RSAKeys(t.Context()); err != nil || len(keys) != 1 {
		t.Fatalf("a key that has more than it needs: %v, %d keys", err, len(keys))
	}
	_, err := tok.GenerateRSA(t.Context(), "by default", 2048)
	if !errors.Is(err, hsm.ErrAudit) || !strings.Contains(err.Error(), "CKA_COPYABLE is true") {
		t.Fatalf("got %v, want ErrAudit about CKA_COPYABLE", err)
	}
	id := bytes.Repeat([]byte{7}, 16)
	write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
		_, err := ctx.GenerateKey(s, mechanism(pkcs11.CKM_AES_KEY_GEN),
			with(hsm.AESTemplate("ecb", id), pkcs11.CKA_ALLOWED_MECHANISMS, ulongs(pkcs11.CKM_AES_GCM, pkcs11.CKM_AES_ECB)))
		return err
	})
	if _, err := tok.FindAES(t.Context(), "ecb"); !errors.Is(err, hsm.ErrAudit) || !strings.Contains(err.Error(), "CKA_ALLOWED_MECHANISMS") {
		t.Fatalf("got %v, want ErrAudit about CKA_ALLOWED_MECHANISMS", err)
	}
}

func TestConfigRefusesToDoWithout(t *testing.T) {
	cfg := newConfig(t)
	cases := []struct {
		name   string
		absent []string
		says   string
	}{
		{"an attribute that does not exist", []string{"CKA_GOLD"}, `"CKA_GOLD"`},
		{"an attribute without its prefix", []string{"COPYABLE"}, `"COPYABLE"`},
		{"an attribute in lower case", []string{"cka_copyable"}, `"cka_copyable"`},
		{"an attribute that no key is audited for", []string{"CKA_LABEL"}, `"CKA_LABEL"`},
		{"one attribute twice", []string{"CKA_COPYABLE", "CKA_COPYABLE"}, "twice"},
	}
	for _, must := range []string{
		"CKA_CLASS", "CKA_KEY_TYPE", "CKA_VALUE_LEN", "CKA_TOKEN", "CKA_PRIVATE", "CKA_MODIFIABLE",
		"CKA_SENSITIVE", "CKA_EXTRACTABLE", "CKA_ALWAYS_SENSITIVE", "CKA_NEVER_EXTRACTABLE", "CKA_LOCAL",
		"CKA_SIGN", "CKA_DECRYPT", "CKA_UNWRAP", "CKA_WRAP", "CKA_ENCRYPT", "CKA_VERIFY", "CKA_DERIVE",
	} {
		cases = append(cases, struct {
			name   string
			absent []string
			says   string
		}{must, []string{"CKA_COPYABLE", must}, "without " + must + " can't"})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := cfg
			cfg.Absent = c.absent
			if _, err := module.Token(t.Context(), cfg); !errors.Is(err, hsm.ErrInput) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want ErrInput about %s", err, c.says)
			}
		})
	}
}

// signerOnly: a secret key is not asked for these.
func signerOnly(name string) bool {
	return slices.Contains([]string{"CKA_SIGN_RECOVER", "CKA_VERIFY_RECOVER", "CKA_ALWAYS_AUTHENTICATE"}, name)
}
