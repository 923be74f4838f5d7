package enrol

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/trust/strictjson"
)

// Sizes in bytes.
const (
	MaxName       = 200 // of UTF-8
	MaxForm       = 2 << 10
	MaxSealedForm = 8 << 10
)

// Form is what a person says of himself when he enrols.
type Form struct {
	// Name is for people, 1 to MaxName bytes of UTF-8 without control
	// characters.
	Name string
	// Code is what the manager gave him to continue an earlier membership, or
	// zero.
	Code Code
}

// formJSON is a form's text, which goes nowhere but under HPKE.
type formJSON struct {
	Name string `json:"name"`
	Code string `json:"code,omitempty"`
}

func (f Form) marshal() ([]byte, error) {
	return json.Marshal(formJSON{Name: f.Name, Code: f.Code.text})
}

func (f Form) check() error { return CheckName(f.Name) }

// CheckName returns ErrMalformed for what can't be the name in a form.
func CheckName(name string) error {
	if len(name) == 0 || len(name) > MaxName || !utf8.ValidString(name) {
		return fmt.Errorf("%w: a name has 1 to %d bytes of UTF-8", ErrMalformed, MaxName)
	}
	for _, r := range name {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return fmt.Errorf("%w: a name has no control characters", ErrMalformed)
		}
	}
	return nil
}

// ParseForm reads a form's JSON.
func ParseForm(text []byte) (Form, error) {
	var j formJSON
	if err := strictjson.Unmarshal(text, MaxForm, &j); err != nil {
		return Form{}, fmt.Errorf("%w: form: %v", ErrMalformed, err)
	}
	f := Form{Name: j.Name}
	if j.Code != "" {
		code, err := ParseCode(j.Code)
		if err != nil {
			return Form{}, err
		}
		if f.Code = code; code.text != j.Code {
			return Form{}, fmt.Errorf("%w: form: the code is not in its plain form", ErrMalformed)
		}
	}
	return f, f.check()
}

// OpenedForm is a form as it was sealed.
type OpenedForm struct {
	Form
	// Text is the form's JSON, exactly as it was digested.
	Text []byte
	// Salt keeps the digest from being guessed from a name.
	Salt [32]byte
}

// Digest is SHA-256(frame(text, salt)), the value that enters the join proof.
func (f *OpenedForm) Digest() [32]byte { return FormDigest(f.Text, f.Salt) }

// FormDigest is SHA-256(frame(text, salt)).
func FormDigest(text []byte, salt [32]byte) [32]byte { return frame.Digest(text, salt[:]) }

// envelope is the plaintext under HPKE.
type envelope struct {
	Form string `json:"form"`
	Salt string `json:"salt"`
}

// The one HPKE suite of version 1 (RFC 9180 §7): DHKEM(X25519, HKDF-SHA256),
// HKDF-SHA256, AES-256-GCM.
func suite() (hpke.KDF, hpke.AEAD) { return hpke.HKDFSHA256(), hpke.AES256GCM() }

// encSize is the length of an encapsulated X25519 key, which comes first.
const encSize = 32

func formInfo(groupID string) []byte {
	return frame.Join([]byte("specie/form/1"), []byte(groupID))
}

// SealForm encrypts a form to a manager's key for one session: enc (32 bytes)
// followed by the ciphertext, with the group's id as info and the session's
// nonce as associated data. It returns the digest for the join proof too.
// Every call gives other bytes: who may have to repeat a request keeps them.
func SealForm(recipient hpke.PublicKey, groupID string, nonce [32]byte, f Form) (sealed []byte, digest [32]byte, err error) {
	if err := f.check(); err != nil {
		return nil, digest, err
	}
	o := OpenedForm{Form: f}
	if o.Text, err = f.marshal(); err != nil {
		return nil, digest, fmt.Errorf("enrol: form: %w", err)
	}
	if _, err := rand.Read(o.Salt[:]); err != nil {
		return nil, digest, fmt.Errorf("enrol: form: %w", err)
	}
	plain, err := json.Marshal(envelope{Form: encode(o.Text), Salt: encode(o.Salt[:])})
	if err != nil {
		return nil, digest, fmt.Errorf("enrol: form: %w", err)
	}
	kdf, aead := suite()
	enc, sender, err := hpke.NewSender(recipient, kdf, aead, formInfo(groupID))
	if err != nil {
		return nil, digest, fmt.Errorf("enrol: form: %w", err)
	}
	ct, err := sender.Seal(nonce[:], plain)
	if err != nil {
		return nil, digest, fmt.Errorf("enrol: form: %w", err)
	}
	return append(enc, ct...), o.Digest(), nil
}

// OpenForm decrypts what SealForm made, for the same group and nonce, and
// checks its digest. Errors: ErrForm, ErrMalformed.
func OpenForm(key hpke.PrivateKey, groupID string, nonce [32]byte, sealed []byte, digest [32]byte) (*OpenedForm, error) {
	if len(sealed) <= encSize || len(sealed) > MaxSealedForm {
		return nil, fmt.Errorf("%w: %d bytes", ErrForm, len(sealed))
	}
	kdf, aead := suite()
	recipient, err := hpke.NewRecipient(sealed[:encSize], key, kdf, aead, formInfo(groupID))
	if err != nil {
		return nil, fmt.Errorf("%w: encapsulated key", ErrForm)
	}
	plain, err := recipient.Open(nonce[:], sealed[encSize:])
	if err != nil {
		return nil, fmt.Errorf("%w: it was not made for this key and session", ErrForm)
	}
	var env envelope
	if err := strictjson.Unmarshal(plain, MaxSealedForm, &env); err != nil {
		return nil, fmt.Errorf("%w: envelope: %v", ErrMalformed, err)
	}
	o := &OpenedForm{}
	if o.Text, err = decode("form", env.Form, -MaxForm); err != nil {
		return nil, err
	}
	if o.Salt, err = decode32("salt", env.Salt); err != nil {
		return nil, err
	}
	if o.Form, err = ParseForm(o.Text); err != nil {
		return nil, err
	}
	if o.Digest() != digest {
		return nil, fmt.Errorf("%w: another form than the one that was proven", ErrForm)
	}
	return o, nil
}

// ParseFormKey reads a manager's HPKE private key, 32 bytes.
func ParseFormKey(b []byte) (hpke.PrivateKey, error) {
	k, err := hpke.DHKEM(ecdh.X25519()).NewPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: form key", ErrMalformed)
	}
	return k, nil
}
