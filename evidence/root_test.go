package evidence_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"github.com/speciecash/specie/trust"
)

// otherRoot is a root that nothing is under.
func otherRoot(t testing.TB) *trust.Root {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	der := must(trust.CreateRoot(key, time.Now().AddDate(-1, 0, 0), time.Now().AddDate(1, 0, 0)))(t)
	return must(trust.NewRoot(must(x509.ParseCertificate(der))(t)))(t)
}
