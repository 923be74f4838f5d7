package hsm

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/miekg/pkcs11"
)

// A rule fixes one attribute of a key. The same list makes the template of
// C_GenerateKey and is read back by the audit, so nothing is set that is not
// checked, and nothing is left to the module's defaults: those leave
// decrypting, unwrapping and copying on.
type rule struct {
	typ   uint
	name  string
	value []byte
	// token marks what the token itself sets: it is checked, not asked for.
	token bool
}

func flag(typ uint, name string, on bool) rule {
	return rule{typ: typ, name: name, value: attr(typ, on).Value}
}

func number(typ uint, name string, n uint) rule {
	return rule{typ: typ, name: name, value: attr(typ, n).Value}
}

func byToken(r rule) rule {
	r.token = true
	return r
}

// kept is common to all objects. None of them is modifiable, or the other
// flags would mean nothing; none can be copied into a looser twin; none is
// destroyed through the user's PIN: keys go when the security officer
// initialises the token, so a stolen PIN can't destroy a bank.
func kept(class, keyType uint, private bool) []rule {
	return []rule{
		number(pkcs11.CKA_CLASS, "CKA_CLASS", class),
		number(pkcs11.CKA_KEY_TYPE, "CKA_KEY_TYPE", keyType),
		flag(pkcs11.CKA_TOKEN, "CKA_TOKEN", true),
		flag(pkcs11.CKA_PRIVATE, "CKA_PRIVATE", private),
		flag(pkcs11.CKA_MODIFIABLE, "CKA_MODIFIABLE", false),
		flag(pkcs11.CKA_COPYABLE, "CKA_COPYABLE", false),
		flag(pkcs11.CKA_DESTROYABLE, "CKA_DESTROYABLE", false),
		flag(pkcs11.CKA_DERIVE, "CKA_DERIVE", false),
	}
}

// guarded is common to private and secret keys: made inside the token by
// generator, never out of it, good for one mechanism.
func guarded(generator, mechanism uint) []rule {
	return []rule{
		flag(pkcs11.CKA_SENSITIVE, "CKA_SENSITIVE", true),
		flag(pkcs11.CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false),
		flag(pkcs11.CKA_WRAP_WITH_TRUSTED, "CKA_WRAP_WITH_TRUSTED", true),
		flag(pkcs11.CKA_UNWRAP, "CKA_UNWRAP", false),
		number(pkcs11.CKA_ALLOWED_MECHANISMS, "CKA_ALLOWED_MECHANISMS", mechanism),
		byToken(flag(pkcs11.CKA_LOCAL, "CKA_LOCAL", true)),
		byToken(flag(pkcs11.CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", true)),
		byToken(flag(pkcs11.CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", true)),
		byToken(number(pkcs11.CKA_KEY_GEN_MECHANISM, "CKA_KEY_GEN_MECHANISM", generator)),
	}
}

// privateRules: a private key that signs by one mechanism and does nothing
// else.
func privateRules(keyType, generator, mechanism uint) []rule {
	return join(kept(pkcs11.CKO_PRIVATE_KEY, keyType, true), guarded(generator, mechanism), []rule{
		flag(pkcs11.CKA_SIGN, "CKA_SIGN", true),
		flag(pkcs11.CKA_SIGN_RECOVER, "CKA_SIGN_RECOVER", false),
		flag(pkcs11.CKA_DECRYPT, "CKA_DECRYPT", false),
		flag(pkcs11.CKA_ALWAYS_AUTHENTICATE, "CKA_ALWAYS_AUTHENTICATE", false),
	})
}

// publicRules: the public half, which must not wrap anything out of the
// token. Whether that of an EC key verifies and encrypts is left to the token:
// it needs no token for the one, and PKCS#11 has no mechanism for the other. A
// TPM has one flag for signing and encrypting and makes no key that is to have
// them apart.
func publicRules(keyType uint) []rule {
	rules := join(kept(pkcs11.CKO_PUBLIC_KEY, keyType, false), []rule{
		flag(pkcs11.CKA_VERIFY_RECOVER, "CKA_VERIFY_RECOVER", false),
		flag(pkcs11.CKA_WRAP, "CKA_WRAP", false),
		flag(pkcs11.CKA_TRUSTED, "CKA_TRUSTED", false),
	})
	if keyType == pkcs11.CKK_EC {
		return rules
	}
	return join(rules, []rule{
		flag(pkcs11.CKA_VERIFY, "CKA_VERIFY", true),
		flag(pkcs11.CKA_ENCRYPT, "CKA_ENCRYPT", false),
	})
}

// secretRules: an AES-256 key that seals and opens by GCM.
func secretRules() []rule {
	return join(kept(pkcs11.CKO_SECRET_KEY, pkcs11.CKK_AES, true), guarded(pkcs11.CKM_AES_KEY_GEN, pkcs11.CKM_AES_GCM), []rule{
		number(pkcs11.CKA_VALUE_LEN, "CKA_VALUE_LEN", 32),
		flag(pkcs11.CKA_ENCRYPT, "CKA_ENCRYPT", true),
		flag(pkcs11.CKA_DECRYPT, "CKA_DECRYPT", true),
		flag(pkcs11.CKA_SIGN, "CKA_SIGN", false),
		flag(pkcs11.CKA_VERIFY, "CKA_VERIFY", false),
		flag(pkcs11.CKA_WRAP, "CKA_WRAP", false),
		flag(pkcs11.CKA_TRUSTED, "CKA_TRUSTED", false),
	})
}

func join(lists ...[]rule) []rule {
	var all []rule
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// template is the part of the rules that a token which lacks absent is asked
// for.
func template(absent absences, rules []rule, label string, id []byte, more ...*pkcs11.Attribute) []*pkcs11.Attribute {
	out := []*pkcs11.Attribute{attr(pkcs11.CKA_LABEL, label), attr(pkcs11.CKA_ID, id)}
	for _, r := range rules {
		if !r.token && !absent[r.typ] {
			out = append(out, attr(r.typ, r.value))
		}
	}
	return append(out, more...)
}

// audit compares the object h with the rules. An attribute that the token is
// configured to lack may be absent, not different.
func (t *Token) audit(s pkcs11.SessionHandle, h pkcs11.ObjectHandle, label string, rules []rule) error {
	if len(rules) == 0 {
		return nil
	}
	types := make([]uint, len(rules))
	for i, r := range rules {
		types[i] = r.typ
	}
	values, err := t.read(s, h, types...)
	if err != nil {
		return err
	}
	for i, r := range rules {
		if values[i] == nil && t.absent[r.typ] {
			continue
		}
		if !bytes.Equal(values[i], r.value) {
			return fmt.Errorf("%w: key %q: %s is %s, must be %s", ErrAudit, label, r.name, show(values[i]), show(r.value))
		}
	}
	return nil
}

// show writes an attribute's value as an auditor would read it. None of the
// audited attributes is secret.
func show(v []byte) string {
	switch {
	case v == nil:
		return "absent"
	case len(v) == 1 && v[0] == 0:
		return "false"
	case len(v) == 1 && v[0] == 1:
		return "true"
	default:
		return "0x" + hex.EncodeToString(v)
	}
}
