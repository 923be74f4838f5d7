package hsm

import (
	"fmt"

	"github.com/miekg/pkcs11"
)

// absences are the attributes that a token is configured to lack.
type absences map[uint]bool

// mayLack tells whether a bank can do without an attribute on a token that
// does not know it. The measure is what the holder of the PIN, who can have
// anything signed anyway, gains by its absence: nothing that outlasts the PIN.
//
// All others stay. CKA_CLASS, CKA_KEY_TYPE, CKA_VALUE_LEN, CKA_TOKEN and
// CKA_PRIVATE say what is being looked at; CKA_SENSITIVE, CKA_EXTRACTABLE,
// CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE and CKA_LOCAL that no copy of
// the key is or was anywhere else; CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP,
// CKA_WRAP, CKA_ENCRYPT, CKA_VERIFY and CKA_DERIVE what it is for; and
// without CKA_MODIFIABLE the audit would hold for the moment of the audit
// only. A token that can't say these things can't be audited at all.
func mayLack(typ uint) bool {
	switch typ {
	case pkcs11.CKA_COPYABLE:
		// A copy can lose CKA_EXTRACTABLE and gain CKA_SENSITIVE, never the
		// other way (PKCS#11, C_CopyObject), and an audit of the token finds it.
		return true
	case pkcs11.CKA_DESTROYABLE:
		// A stolen PIN can then destroy keys; the backup is for that.
		return true
	case pkcs11.CKA_WRAP_WITH_TRUSTED:
		// It narrows by whom a key may be wrapped; CKA_EXTRACTABLE, which must
		// be false, has said by nobody.
		return true
	case pkcs11.CKA_ALLOWED_MECHANISMS:
		// Every RSA signature is a case of raw RSA, which the key is for; an
		// ECDSA key hashes by itself, or not; what AES does in another mode,
		// its user can do with GCM too. Nothing else of Specie's uses the key.
		return true
	case pkcs11.CKA_KEY_GEN_MECHANISM:
		return true // CKA_LOCAL says that it was made here, this only how
	case pkcs11.CKA_SIGN_RECOVER, pkcs11.CKA_VERIFY_RECOVER:
		return true // raw RSA by another name
	case pkcs11.CKA_ALWAYS_AUTHENTICATE:
		return true // a token without it never asks for the PIN again
	case pkcs11.CKA_TRUSTED:
		return true // a token without it trusts no key to wrap others
	}
	return false
}

// allRules are the rules of every kind of key.
func allRules() []rule {
	return join(rsaRules(), ecdsaRules(), secretRules(), publicRules(pkcs11.CKK_RSA), publicRules(pkcs11.CKK_EC))
}

// parseAbsent reads Config.Absent.
func parseAbsent(names []string) (absences, error) {
	if len(names) == 0 {
		return nil, nil
	}
	known := make(map[string]uint)
	for _, r := range allRules() {
		known[r.name] = r.typ
	}
	a := make(absences)
	for _, name := range names {
		typ, ok := known[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("%w: an absent attribute: %q is none that a key is audited for", ErrInput, name)
		case !mayLack(typ):
			return nil, fmt.Errorf("%w: an absent attribute: a key without %s can't be audited", ErrInput, name)
		case a[typ]:
			return nil, fmt.Errorf("%w: an absent attribute: %s is named twice", ErrInput, name)
		}
		a[typ] = true
	}
	return a, nil
}
