package hsm_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

func TestErrorNamesCallAndCode(t *testing.T) {
	cases := []struct {
		code  uint
		want  string
		class hsm.Class
	}{
		{0x05, "C_Sign: CKR_GENERAL_ERROR (0x5)", hsm.ClassRetry},
		{0x1b, "C_Sign: CKR_ACTION_PROHIBITED (0x1b)", hsm.ClassOperator},
		{0x42, "C_Sign: CKR_AEAD_DECRYPT_FAILED (0x42)", hsm.ClassBug},
		{0x82, "C_Sign: CKR_OBJECT_HANDLE_INVALID (0x82)", hsm.ClassReopen},
		{0xa4, "C_Sign: CKR_PIN_LOCKED (0xa4)", hsm.ClassOperator},
		{0xb3, "C_Sign: CKR_SESSION_HANDLE_INVALID (0xb3)", hsm.ClassReopen},
		{0x203, "C_Sign: CKR_KEY_EXHAUSTED (0x203)", hsm.ClassOperator},
		{0x208, "C_Sign: CKR_TOKEN_NOT_INITIALIZED (0x208)", hsm.ClassOperator},
		{0x80000007, "C_Sign: CKR_VENDOR_DEFINED+0x7 (0x80000007)", hsm.ClassBug},
		{0x7777, "C_Sign: unknown CKR (0x7777)", hsm.ClassBug},
	}
	for _, c := range cases {
		err := &hsm.Error{Call: "C_Sign", Code: c.code}
		if err.Error() != c.want || err.Class() != c.class {
			t.Errorf("got %q (%v), want %q (%v)", err, err.Class(), c.want, c.class)
		}
		wrapped := fmt.Errorf("key: %w", err)
		unavailable := c.class == hsm.ClassRetry || c.class == hsm.ClassReopen
		if errors.Is(wrapped, hsm.ErrUnavailable) != unavailable {
			t.Errorf("%v: ErrUnavailable is %v", err, !unavailable)
		}
		if errors.Is(wrapped, hsm.ErrPIN) != (c.code == 0xa4) {
			t.Errorf("%v: wrong about ErrPIN", err)
		}
	}
}

// The names agree with those of miekg/pkcs11 as far as it has any.
func TestCodeNamesAgreeWithTheLibrary(t *testing.T) {
	for code := range uint(0x210) {
		theirs := pkcs11.Error(code).Error()
		prefix := fmt.Sprintf("pkcs11: 0x%X: ", code)
		name := theirs[len(prefix):]
		if name != "" && hsm.CodeName(code) != name {
			t.Errorf("0x%x: %s, the library says %s", code, hsm.CodeName(code), name)
		}
	}
}
