package registration_test

import (
	"bytes"
	"testing"

	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
)

// A join is the one request in which a stranger sends points, scalars, a TPM
// structure and a ciphertext. Whatever is sent, nothing but the one join that
// the TPM made is accepted.
func FuzzJoin(f *testing.F) {
	w := registrationtest.NewWorld(f, bench)
	c := registrationtest.NewComputer(f, bench, registrationtest.TPMA, "rsa2048")
	s := c.Begin(f, w)
	good := c.JoinFor(f, w, s, c.EKID(f, w), "Ada Lovelace")
	f.Add(good.KeyPublic, good.Join, good.Form, good.FormDigest[:])
	f.Add(good.KeyPublic, make([]byte, len(good.Join)), good.Form, good.FormDigest[:])
	f.Add(c.EK.Public, good.Join, good.Form[:33], []byte{})
	f.Fuzz(func(t *testing.T, public, join, form, digest []byte) {
		r := &registration.JoinRequest{KeyPublic: public, Join: join, Form: form}
		copy(r.FormDigest[:], digest)
		_, err := w.Join(t.Context(), s.ID, r)
		same := bytes.Equal(public, good.KeyPublic) && bytes.Equal(join, good.Join) &&
			bytes.Equal(form, good.Form) && r.FormDigest == good.FormDigest
		if (err == nil) != same {
			t.Fatalf("same as the TPM's: %v, error: %v", same, err)
		}
	})
}
