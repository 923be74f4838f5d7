package coin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

func TestRevokedSignersComeBackAndAreCritical(t *testing.T) {
	m := theMint()
	k := m.plainKeyset()
	k.RevokedSigners = [][32]byte{coin.SignerKey(m.signing[0]), {7}}
	got := must(coin.ParseKeyset(m.root, m.sign(k), now))
	if diff := cmp.Diff(k.RevokedSigners, got.RevokedSigners); diff != "" {
		t.Fatal(diff)
	}
	if !slices.Contains(got.Crit, "revoked_signers") {
		t.Fatalf("crit is %q: an old reader would go on believing the key", got.Crit)
	}
	if slices.Contains(k.Crit, "revoked_signers") {
		t.Fatal("Marshal wrote to the keyset")
	}
	again := must(coin.ParseKeyset(m.root, m.sign(got), now))
	if again.Digest != got.Digest {
		t.Fatal("signed again, the payload differs")
	}
}

// A keyset without revoked signers has the bytes that it always had: its
// digest stands in ledgers and in successors.
func TestKeysetWithoutRevokedSignersDoesNotMentionThem(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(must(theMint().plainKeyset().Marshal()), &doc); err != nil {
		t.Fatal(err)
	}
	if v, ok := doc["revoked_signers"]; ok {
		t.Fatalf("got %v", v)
	}
}

func TestRevokedSignersThatNoKeysetMayHold(t *testing.T) {
	m := theMint()
	many := make([][32]byte, coin.MaxRevokedSigners+1)
	for i := range many {
		many[i] = [32]byte{byte(i), byte(i >> 8), 1}
	}
	for _, c := range []struct {
		name    string
		revoked [][32]byte
		want    error
	}{
		{"as many as there may be", many[1:], nil},
		{"too many", many, coin.ErrTooLarge},
		{"one twice", [][32]byte{{1}, {2}, {1}}, coin.ErrKeyset},
		{"an empty one", [][32]byte{{}}, coin.ErrKeyset},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := m.plainKeyset()
			k.RevokedSigners = c.revoked
			_, err := k.Marshal()
			expect(t, err, c.want)
		})
	}
	good := m.plainKeyset()
	good.RevokedSigners = [][32]byte{{1}}
	payload := must(good.Marshal())
	sign := func(b []byte) []byte { return must(trust.Sign(trust.TypKeyset, b, m.masterKey, m.master)) }
	_, err := coin.ParseKeyset(m.root, sign(changed(t, payload, `,"revoked_signers"]`, `]`)), now)
	expect(t, err, coin.ErrKeyset)
	_, err = coin.ParseKeyset(m.root, sign(changed(t, payload, `"revoked_signers":["AQ`, `"revoked_signers":["`)), now)
	expect(t, err, coin.ErrMalformed)
}

func TestRevokedSignerIsNeverTakenBack(t *testing.T) {
	m := theMint()
	previous := m.keysetWith(func(k *coin.Keyset) { k.Seq, k.Prev, k.RevokedSigners = 5, [32]byte{4}, [][32]byte{{1}, {2}} })
	for _, c := range []struct {
		name    string
		revoked [][32]byte
		want    error
	}{
		{"the same, in another order", [][32]byte{{2}, {1}}, nil},
		{"one more", [][32]byte{{1}, {2}, {3}}, nil},
		{"one less", [][32]byte{{1}, {3}}, coin.ErrKeyset},
		{"none", nil, coin.ErrKeyset},
	} {
		t.Run(c.name, func(t *testing.T) {
			next := m.keysetWith(func(k *coin.Keyset) {
				k.Seq, k.Prev, k.Digest, k.RevokedSigners = 6, previous.Digest, [32]byte{66}, c.revoked
			})
			expect(t, next.CheckSuccessor(previous), c.want)
		})
	}
}

func TestCheckSigner(t *testing.T) {
	m := theMint()
	revoked := m.keysetWith(func(k *coin.Keyset) { k.RevokedSigners = [][32]byte{{1}, coin.SignerKey(m.signing[0])} })
	name := trust.Name{Role: trust.RoleSigning, ID: bankID}
	certify := func(key *ecdsa.PrivateKey) []*x509.Certificate {
		der := must(trust.Issue(m.master[0], m.masterKey, name, key.Public(), now, now.AddDate(0, 2, 0), false))
		return []*x509.Certificate{must(x509.ParseCertificate(der)), m.master[0]}
	}
	expect(t, m.keyset.CheckSigner(m.signing), nil)
	expect(t, revoked.CheckSigner(m.signing), coin.ErrRevokedSigner)
	expect(t, revoked.CheckSigner(certify(m.signingKey)), coin.ErrRevokedSigner) // a new certificate for the old key
	expect(t, revoked.CheckSigner(certify(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))), nil)
	expect(t, revoked.CheckSigner(nil), coin.ErrMalformed)
}

func TestReceiptUnderARevokedKey(t *testing.T) {
	m := theMint()
	s, _ := m.spend()
	jws := must(depositReceipt(s).Sign(m.signingKey, m.signing))
	if _, err := m.keyset.VerifyDepositReceipt(m.root, jws, now); err != nil {
		t.Fatal(err)
	}
	revoked := m.keysetWith(func(k *coin.Keyset) { k.RevokedSigners = [][32]byte{coin.SignerKey(m.signing[0])} })
	_, err := revoked.VerifyDepositReceipt(m.root, jws, now)
	expect(t, err, coin.ErrRevokedSigner)
	other := m.keysetWith(func(k *coin.Keyset) { k.Bank = "OTHERBANK" })
	_, err = other.VerifyDepositReceipt(m.root, jws, now)
	expect(t, err, coin.ErrBank)
	_, err = m.keyset.VerifyDepositReceipt(m.root, jws, now.AddDate(2, 0, 0))
	expect(t, err, trust.ErrExpired)
}
