package hsm

import (
	"context"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/miekg/pkcs11"
)

// Cryptoki is the seam at which tests put a failing layer on the real module.
type Cryptoki = cryptoki

// OpenLayered is OpenModule with a layer between this package and the module.
func OpenLayered(path string, wrap func(*pkcs11.Ctx) Cryptoki) (*Module, error) {
	return openModule(path, wrap)
}

// WithWriteSession runs op in a logged-in read-write session of the token.
func (t *Token) WithWriteSession(op func(pkcs11.SessionHandle) error) error {
	return t.withTemporary(pkcs11.CKF_RW_SESSION, op)
}

// LoseSessions closes every session behind the Token's back.
func (t *Token) LoseSessions(ctx *pkcs11.Ctx) error {
	slot, _, err := t.mod.findToken(t.info.Label, t.info.Serial)
	if err != nil {
		return err
	}
	return ctx.CloseAllSessions(slot)
}

// BlankSlot returns the slot of a token that is not initialised.
func (m *Module) BlankSlot() (uint, error) { return m.blankSlot() }

// RSATemplate is what GenerateRSA asks of the private key.
func RSATemplate(label string, id []byte) []*pkcs11.Attribute {
	return template(nil, rsaRules(), label, id)
}

// RSAPublicTemplate is what GenerateRSA asks of the public key.
func RSAPublicTemplate(label string, id []byte) []*pkcs11.Attribute {
	return template(nil, publicRules(pkcs11.CKK_RSA), label, id,
		attr(pkcs11.CKA_MODULUS_BITS, 2048), attr(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
}

// ECDSATemplates are what GenerateECDSA asks of both keys.
func ECDSATemplates(label string, id, params []byte) (public, private []*pkcs11.Attribute) {
	return template(nil, publicRules(pkcs11.CKK_EC), label, id, attr(pkcs11.CKA_EC_PARAMS, params)), template(nil, ecdsaRules(), label, id)
}

// AESTemplate is what GenerateAES asks for.
func AESTemplate(label string, id []byte) []*pkcs11.Attribute {
	return template(nil, secretRules(), label, id)
}

// LoadImportedRSA loads a key that was not made in the token: all rules but
// those about its origin.
func (t *Token) LoadImportedRSA(ctx context.Context, label string, id []byte) (*RSAKey, error) {
	return t.loadRSA(ctx, label, id, withoutOrigin(rsaRules()))
}

// LoadImportedECDSA is LoadImportedRSA for an EC key.
func (t *Token) LoadImportedECDSA(ctx context.Context, label string, id []byte) (*ECDSAKey, error) {
	return t.loadECDSA(ctx, label, id, withoutOrigin(ecdsaRules()), publicRules(pkcs11.CKK_EC))
}

func withoutOrigin(rules []rule) []rule {
	return slices.DeleteFunc(rules, func(r rule) bool { return r.token })
}

// ProbeOnly is Probe for the uses whose names contain one of the words.
func ProbeOnly(ctx context.Context, m *Module, cfg Config, opts ProbeOptions, words ...string) (*Report, error) {
	return probe(ctx, m, cfg, opts, slices.DeleteFunc(trials(), func(u *trial) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(u.name, w) })
	}))
}

// Known returns a random r and r^e mod N.
func (k *RSAKey) Known() (r, m []byte, err error) { return k.known() }

// Modulus returns N.
func (k *RSAKey) Modulus() *big.Int { return new(big.Int).Set(k.public.N) }

// Unexported functions that have tests of their own.
var (
	CodeName   = codeName
	ParsePIN   = parsePIN
	ParsePoint = parsePoint
)

// Reveal returns the PIN's bytes.
func (p PIN) Reveal() []byte { return p.reveal() }

// WaitHeal is a pause after which a Token tries again to replace sessions.
func WaitHeal() { time.Sleep(healPause + 10*time.Millisecond) }

// ReadPINAs is ReadPIN for a process of user uid.
func ReadPINAs(path string, uid int) (PIN, error) {
	rule := privateFile()
	rule.owners = []int{uid}
	return readPINFile(path, rule)
}

// Reloads counts how often the module was reloaded.
func (m *Module) Reloads() uint64 { return m.reloads.Load() }
