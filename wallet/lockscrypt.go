package wallet

import "golang.org/x/crypto/scrypt"

// scrypt's cost, as the exponent of two of N: what is written, and what is
// read. With r = 8 the 17 takes 128 MiB and a third of a second, which is what
// OWASP's "Password Storage Cheat Sheet" asks for.
const (
	newLogN = 17
	minLogN = 14
	maxLogN = 20
)

// stretch makes a key of a passphrase.
func (s *stanza) stretch(passphrase []byte) ([]byte, error) {
	return scrypt.Key(passphrase, s.Salt, 1<<s.LogN, 8, 1, 32)
}
