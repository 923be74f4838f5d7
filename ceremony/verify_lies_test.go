package ceremony_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

const smallText = `
ceremony: denominations
bank: TESTBANK
currency: EUR
exponent: 2
sequence: 1
token: TOKEN(online)
root: root.pem
master: {key: KEY(offline/master), certificate: issuer.pem}
series:
  - key: bearer
    kind: bearer
    bits: 2048
    values: [1, 2]
    issue_from: 2026-02-01T00:00:00Z
    issue_until: 2026-05-01T00:00:00Z
    spend_until: 2027-05-01T00:00:00Z
    legal_until: 2032-01-01T00:00:00Z
output: {keyset: keyset-1.jws, transcript: keyset-1.log}
`

// firstKeyset is the keyset that smallText comes to.
func (a *archive) firstKeyset(t *testing.T) *coin.Keyset {
	t.Helper()
	set := &coin.Keyset{Bank: "TESTBANK", Currency: "EUR", Exponent: 2, Seq: 1, IssuedAt: a.at}
	for i, pub := range []any{&a.bearer1.PublicKey, &a.bearer2.PublicKey} {
		set.Denominations = append(set.Denominations, a.denomination(t, pub, 1<<i))
	}
	return set
}

// resign signs a keyset in the place of the output at path.
func (s *story) resign(t *testing.T, path string, set *coin.Keyset, by party) {
	t.Helper()
	jws := must(trust.Sign(trust.TypKeyset, must(set.Marshal())(t), by.key, by.chain()))(t)
	s.replace(path, jws)
}

// replace puts another file in the place of an output, and notes that.
func (s *story) replace(path string, data []byte) {
	for i := range s.outputs {
		if s.outputs[i].Path == path {
			s.outputs[i].data, s.outputs[i].SHA256 = data, sha256.Sum256(data)
		}
	}
}

func (a *archive) mint(t *testing.T) *story {
	t.Helper()
	s := a.tell(smallText, a.master, "root", "root.pem", "master.certificate", "issuer.pem").
		key(t, "online", "bearer-1", &a.bearer1.PublicKey).key(t, "online", "bearer-2", &a.bearer2.PublicKey).output("keyset-1.jws", nil)
	s.resign(t, "keyset-1.jws", a.firstKeyset(t), a.master)
	return s
}

func TestLiesAboutWhoAgreed(t *testing.T) {
	a := newArchive(t)
	later := party{a.master.name, a.master.key, a.issue(t, a.root, a.master.name, a.master.key.Public(), "2026-01-01T00:00:00Z", "2026-03-02T00:00:00Z", true)}
	edit := func(old, new string) func(*testing.T, *story) {
		return func(t *testing.T, s *story) {
			s.late = func(o *transcript.Opened) { o.Plan = transcript.Text(change(t, string(o.Plan), old, new)) }
		}
	}
	a.roster(t, 1, "DAVIS") // a key for a stranger
	a.expect(t, a.mint, []lie{
		{"closed by the root in the bank's place", func(_ *testing.T, s *story) { s.by = a.root }, trust.ErrRole},
		{"closed by another bank", func(_ *testing.T, s *story) { s.by = a.other }, trust.ErrRole},
		{"closed after the certificate ran out", func(_ *testing.T, s *story) { s.by, s.closedAt = later, a.at.AddDate(0, 1, 0) }, trust.ErrExpired},
		{"the plan altered after the approval", edit("spend_until: 2027-05", "spend_until: 2027-06"), ceremony.ErrPlan},
		{"a comment added after the approval", edit("ceremony:", "# nothing\nceremony:"), ceremony.ErrPlan},
		{"the plan altered, and its digest with it", func(t *testing.T, s *story) {
			edit("spend_until: 2027-05", "spend_until: 2027-06")(t, s)
			edited := s.late
			s.late = func(o *transcript.Opened) {
				edited(o)
				o.Digest = transcript.PlanDigest([]byte(o.Plan), o.Inputs)
			}
		}, approval.ErrDigest},
		{"opened as another ceremony", func(_ *testing.T, s *story) {
			s.late = func(o *transcript.Opened) { o.Ceremony = "rotate" }
		}, ceremony.ErrPlan},
		{"an input left out", func(_ *testing.T, s *story) { s.inputs = s.inputs[:2] }, ceremony.ErrPlan},
		{"an input of another name", func(_ *testing.T, s *story) { s.inputs[2].Path = "group.pem" }, ceremony.ErrPlan},
		{"two inputs exchanged", func(_ *testing.T, s *story) { s.inputs[1], s.inputs[2] = s.inputs[2], s.inputs[1] }, ceremony.ErrPlan},
		{"an input's hash altered", func(_ *testing.T, s *story) {
			s.late = func(o *transcript.Opened) {
				o.Inputs = slices.Clone(o.Inputs)
				o.Inputs[1].SHA256[0] ^= 1
			}
		}, ceremony.ErrPlan},
		{"one officer too few", func(_ *testing.T, s *story) { s.approve = s.approve[:1] }, approval.ErrQuorum},
		{"one officer twice", func(_ *testing.T, s *story) { s.approve[1] = s.approve[0] }, approval.ErrQuorum},
		{"a stranger's approval", func(_ *testing.T, s *story) { s.approve = append(s.approve, "DAVIS") }, approval.ErrUnknownOfficer},
		{"an approval altered", func(t *testing.T, s *story) {
			s.late = func(o *transcript.Opened) {
				o.Approvals[0] = transcript.Text(change(t, string(o.Approvals[0]), "at: 2026", "at: 2025"))
			}
		}, approval.ErrApproval},
		{"an approval from after it was used", func(t *testing.T, s *story) {
			s.late = func(o *transcript.Opened) {
				message := approval.Message(o.Ceremony, o.Digest, "ADAMS", a.at.Add(5*time.Minute+time.Second))
				o.Approvals[0] = transcript.Text(must(approval.Sign(message, a.officers["ADAMS"]))(t))
			}
		}, ceremony.ErrClock},
		{"another roster than the plan's", func(t *testing.T, s *story) {
			s.late = func(o *transcript.Opened) { o.Roster = transcript.Text(a.roster(t, 1, "ADAMS", "DAVIS")) }
		}, approval.ErrRoster},
		{"another roster than the one that is pinned", func(t *testing.T, s *story) {
			s.late = func(o *transcript.Opened) {
				o.Roster = transcript.Text(a.roster(t, 1, "DAVIS"))
				o.Inputs = slices.Clone(o.Inputs)
				o.Inputs[0].SHA256 = sha256.Sum256([]byte(o.Roster))
				o.Digest = transcript.PlanDigest([]byte(o.Plan), o.Inputs)
				s.approve = []string{"DAVIS"}
				s.sign(t)
			}
		}, approval.ErrRoster},
	})
}

// Officers who name themselves, in a ceremony that follows none, are not said
// to have anybody's consent.
func TestACeremonyThatFollowsNoneIsToldApart(t *testing.T) {
	a := newArchive(t)
	r := must(a.verifier(t).Verify(a.mint(t).write(t)))(t)
	if c := claimed(t, r, "it follows the ceremony before"); c.Standing != ceremony.Unchecked || !strings.Contains(c.Detail, "the plan names none") {
		t.Errorf("%+v", c)
	}
}

func TestLiesAboutTokensAndKeys(t *testing.T) {
	a := newArchive(t)
	onKey := func(change func(*transcript.Key)) func(*testing.T, *story) {
		return func(_ *testing.T, s *story) { change(&s.keys[1]) }
	}
	a.expect(t, a.mint, []lie{
		{"never rehearsed", func(_ *testing.T, s *story) { s.rehearse = nil }, ceremony.ErrUnrehearsed},
		{"the rehearsal went wrong", func(_ *testing.T, s *story) { s.rehearse.OK = false }, ceremony.ErrUnrehearsed},
		{"rehearsed afterwards", func(_ *testing.T, s *story) {
			s.middle, s.rehearse = []told{{transcript.EventRehearsed, transcript.Rehearsed{OK: true}}}, nil
		}, ceremony.ErrUnrehearsed},
		{"a token never opened", func(_ *testing.T, s *story) { s.tokens = s.tokens[:1] }, ceremony.ErrKey},
		{"a token that is not in the plan", func(_ *testing.T, s *story) {
			s.tokens = append(s.tokens, transcript.Token{Label: "other"})
		}, ceremony.ErrKey},
		{"a token of another serial number", func(t *testing.T, s *story) {
			s.plan = change(t, s.plan, "token=online", "token=online;serial=0badcafe")
		}, ceremony.ErrKey},
		{"a token of another maker", func(t *testing.T, s *story) {
			s.plan = change(t, s.plan, "token=online", "token=online;manufacturer=EMCA")
		}, ceremony.ErrKey},
		{"a token of another model", func(t *testing.T, s *story) {
			s.plan = change(t, s.plan, "token=online", "token=online;model=MSH")
		}, ceremony.ErrKey},
		{"another token of that label for a while", func(t *testing.T, s *story) {
			s.plan = change(t, s.plan, "token=online", "token=online;serial=5e71a1")
			s.tokens = append(s.tokens, transcript.Token{Label: "online", Serial: "0badcafe", Manufacturer: "ACME", Model: "HSM", Firmware: "1.0"})
		}, ceremony.ErrKey},
		{"a key that was not audited", onKey(func(k *transcript.Key) { k.Audited = false }), ceremony.ErrKey},
		{"a key that was not tried", onKey(func(k *transcript.Key) { k.SelfTest = false }), ceremony.ErrKey},
		{"a key that was there before", onKey(func(k *transcript.Key) { k.Made = false }), ceremony.ErrKey},
		{"a key under another label", onKey(func(k *transcript.Key) { k.Label = "bearer-4" }), ceremony.ErrKey},
		{"a key in another token", onKey(func(k *transcript.Key) { k.Token = "offline" }), ceremony.ErrKey},
		{"a key of another size", onKey(func(k *transcript.Key) { k.Kind = "RSA 3072" }), ceremony.ErrKey},
		{"a key that is no public key", onKey(func(k *transcript.Key) { k.SPKI = []byte{1} }), ceremony.ErrKey},
		{"a key without its public key", onKey(func(k *transcript.Key) { k.SPKI, k.Kind = nil, "AES 256" }), ceremony.ErrKey},
		{"another key's id", onKey(func(k *transcript.Key) { k.ID = must(coin.NewKeyID(&a.later.PublicKey))(t).String() }), ceremony.ErrKey},
		{"a key that was not made", func(_ *testing.T, s *story) { s.keys = s.keys[:1] }, ceremony.ErrKey},
		{"a key more than planned", func(t *testing.T, s *story) { s.key(t, "online", "spare", &a.later.PublicKey) }, ceremony.ErrKey},
		{"a key made twice", func(t *testing.T, s *story) { s.key(t, "online", "bearer-2", &a.later.PublicKey) }, ceremony.ErrKey},
	})
}

func TestLiesAboutOutputs(t *testing.T) {
	a := newArchive(t)
	a.expect(t, a.mint, []lie{
		{"the file altered", func(_ *testing.T, s *story) {
			s.outputs[0].data = bytes.Clone(s.outputs[0].data)
			s.outputs[0].data[100] ^= 1
		}, ceremony.ErrInput},
		{"the file missing", func(t *testing.T, s *story) {
			s.outputs[0].data = nil
			if err := os.Remove(a.path("keyset-1.jws")); err != nil {
				t.Fatal(err)
			}
		}, ceremony.ErrInput},
		{"not a file", func(t *testing.T, s *story) {
			s.outputs[0].data = nil
			if err := errors.Join(os.RemoveAll(a.path("keyset-1.jws")), os.Mkdir(a.path("keyset-1.jws"), 0o700)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Remove(a.path("keyset-1.jws")) })
		}, paper.ErrIrregular},
		{"no output in the transcript", func(_ *testing.T, s *story) { s.outputs = nil }, ceremony.ErrInput},
		{"an output more than planned", func(_ *testing.T, s *story) { s.output("extra.pem", []byte("x")) }, ceremony.ErrInput},
		{"the output twice", func(_ *testing.T, s *story) { s.outputs = append(s.outputs, s.outputs[0]) }, ceremony.ErrInput},
		{"a public output kept secret", func(_ *testing.T, s *story) { s.outputs[0].Secret = true }, ceremony.ErrInput},
	})
}

func TestLiesAboutAKeyset(t *testing.T) {
	a := newArchive(t)
	onSet := func(change func(*coin.Keyset)) func(*testing.T, *story) {
		return func(t *testing.T, s *story) {
			set := a.firstKeyset(t)
			change(set)
			s.resign(t, "keyset-1.jws", set, a.master)
		}
	}
	second := party{a.master.name, a.master.key, a.issue(t, a.root, a.master.name, a.master.key.Public(), "2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z", true)}
	a.expect(t, a.mint, []lie{
		{"of another bank, by that bank", func(t *testing.T, s *story) {
			set := a.firstKeyset(t)
			set.Bank = "OTHERBANK"
			s.resign(t, "keyset-1.jws", set, a.other)
		}, trust.ErrChain},
		{"under another certificate of the same key", func(t *testing.T, s *story) { s.resign(t, "keyset-1.jws", a.firstKeyset(t), second) }, trust.ErrChain},
		{"no keyset at all", func(_ *testing.T, s *story) { s.replace("keyset-1.jws", []byte("hello")) }, trust.ErrMalformed},
		{"issued at another time", onSet(func(k *coin.Keyset) { k.IssuedAt = a.at.Add(time.Second) }), coin.ErrKeyset},
		{"of another number", onSet(func(k *coin.Keyset) { k.Seq, k.Prev = 2, [32]byte{1} }), coin.ErrKeyset},
		{"in another currency", onSet(func(k *coin.Keyset) { k.Currency = "USD" }), coin.ErrCurrency},
		{"with another exponent", onSet(func(k *coin.Keyset) { k.Exponent = 3 }), coin.ErrCurrency},
		{"issued earlier than planned", onSet(func(k *coin.Keyset) { k.Denominations[1].IssueFrom = instant("2026-01-31T00:00:00Z") }), coin.ErrKeyset},
		{"issued longer than planned", onSet(func(k *coin.Keyset) { k.Denominations[1].IssueUntil = instant("2026-05-02T00:00:00Z") }), coin.ErrKeyset},
		{"spent longer than planned", onSet(func(k *coin.Keyset) { k.Denominations[1].SpendUntil = instant("2027-05-02T00:00:00Z") }), coin.ErrKeyset},
		{"owed shorter than planned", onSet(func(k *coin.Keyset) { k.Denominations[1].LegalUntil = instant("2031-01-01T00:00:00Z") }), coin.ErrKeyset},
		{"deposited at other times than planned", onSet(func(k *coin.Keyset) { k.Denominations[1].DepositUntil = instant("2028-01-01T00:00:00Z") }), coin.ErrKeyset},
		{"of another value", onSet(func(k *coin.Keyset) { k.Denominations[1].Value = 1 << 20 }), coin.ErrKeyset},
		{"of another kind", onSet(func(k *coin.Keyset) { k.Denominations[1].Kind = coin.Bound }), coin.ErrKeyset},
		{"revoked from the beginning", onSet(func(k *coin.Keyset) { k.Denominations[1].Revoked = true }), coin.ErrKeyset},
		{"lost from the beginning", onSet(func(k *coin.Keyset) { k.Denominations[1].Lost = true }), coin.ErrKeyset},
		{"a key left out", onSet(func(k *coin.Keyset) { k.Denominations = k.Denominations[:1] }), coin.ErrUnknownKey},
		{"a key that nobody planned", onSet(func(k *coin.Keyset) {
			k.Denominations = append(k.Denominations, a.denomination(t, &a.later.PublicKey, 4))
		}), coin.ErrKeyset},
		{"another key in the place of the token's", onSet(func(k *coin.Keyset) { k.Denominations[1] = a.denomination(t, &a.later.PublicKey, 2) }), coin.ErrUnknownKey},
		{"two keys exchanged", onSet(func(k *coin.Keyset) {
			k.Denominations[0].Value, k.Denominations[1].Value = 2, 1
		}), coin.ErrKeyset},
		{"a signing key revoked that nobody planned", onSet(func(k *coin.Keyset) {
			k.RevokedSigners, k.Crit = [][32]byte{{1}}, []string{"revoked_signers"}
		}), coin.ErrKeyset},
	})
}

const issuerOnPaper = `
ceremony: issuer
bank: TESTBANK
key: KEY(offline/master)
valid: {from: 2026-01-01T00:00:00Z, until: 2036-01-01T00:00:00Z}
root: {key: KEY(root/root), certificate: root.pem}
output: {certificate: issuer.pem, transcript: issuer.log}
`

func TestLiesAboutACertificate(t *testing.T) {
	a := newArchive(t)
	from, until := "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z"
	honest := func(t *testing.T) *story {
		return a.tell(issuerOnPaper, a.root, "root.certificate", "root.pem").
			key(t, "offline", "master", a.master.key.Public()).output("issuer.pem", pemOf("CERTIFICATE", a.master.cert.Raw))
	}
	with := func(certs ...*x509.Certificate) func(*testing.T, *story) {
		var text []byte
		for _, c := range certs {
			text = append(text, pemOf("CERTIFICATE", c.Raw)...)
		}
		return func(_ *testing.T, s *story) { s.replace("issuer.pem", text) }
	}
	name, pub := a.master.name, a.master.key.Public()
	rsaKey := must(x509.MarshalPKIXPublicKey(&a.later.PublicKey))(t)
	stranger := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	elsewhere := newArchive(t)
	a.expect(t, honest, []lie{
		{"of another bank", with(a.issue(t, a.root, a.other.name, pub, from, until, true)), trust.ErrRole},
		{"of a key that is none", func(_ *testing.T, s *story) { s.keys[0].SPKI = []byte{1} }, ceremony.ErrKey},
		{"of a key of another kind", func(_ *testing.T, s *story) { s.keys[0].SPKI = rsaKey }, ceremony.ErrKey},
		{"of another key", with(a.issue(t, a.root, name, stranger.Public(), from, until, true)), ceremony.ErrKey},
		{"valid earlier", with(a.issue(t, a.root, name, pub, "2026-01-01T00:00:01Z", until, true)), trust.ErrExpired},
		{"valid longer", with(a.issue(t, a.root, name, pub, from, "2037-01-01T00:00:00Z", true)), trust.ErrExpired},
		{"that certifies nothing", with(a.issue(t, a.root, name, pub, from, until, false)), trust.ErrRole},
		{"under another root", with(elsewhere.master.cert), trust.ErrChain},
		{"with the root behind it", with(a.master.cert, a.root.cert), trust.ErrRole},
		{"with rubbish behind it", func(_ *testing.T, s *story) {
			s.replace("issuer.pem", append(pemOf("CERTIFICATE", a.master.cert.Raw), "x\n"...))
		}, trust.ErrMalformed},
		{"that is none", func(_ *testing.T, s *story) { s.replace("issuer.pem", pemOf("CERTIFICATE", []byte{1})) }, trust.ErrMalformed},
		{"nothing", func(_ *testing.T, s *story) { s.replace("issuer.pem", []byte{}) }, trust.ErrMalformed},
	})
}

func TestLiesAboutTheRoot(t *testing.T) {
	a := newArchive(t)
	honest := func(t *testing.T) *story {
		return a.tell(rootText, a.root).key(t, "root", "root", a.root.key.Public()).output("root.pem", pemOf("CERTIFICATE", a.root.cert.Raw))
	}
	stranger := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	longer := must(trust.CreateRoot(a.root.key, instant("2026-01-01T00:00:00Z"), instant("2047-01-01T00:00:00Z")))(t)
	a.expect(t, honest, []lie{
		{"another certificate of the root's key", func(_ *testing.T, s *story) { s.replace("root.pem", pemOf("CERTIFICATE", longer)) }, trust.ErrChain},
		{"a bank's certificate", func(_ *testing.T, s *story) { s.replace("root.pem", pemOf("CERTIFICATE", a.master.cert.Raw)) }, trust.ErrRole},
		{"another key in the token", func(t *testing.T, s *story) {
			s.keys = nil
			s.key(t, "root", "root", stranger.Public())
		}, ceremony.ErrKey},
		{"another validity than planned", func(t *testing.T, s *story) { s.plan = change(t, s.plan, "2046", "2045") }, trust.ErrExpired},
		{"closed by somebody under it", func(_ *testing.T, s *story) { s.by = a.master }, trust.ErrRole},
	})
}

func TestLiesAboutASigningKey(t *testing.T) {
	a := newArchive(t)
	from, until := "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"
	name := trust.Name{Role: trust.RoleSigning, ID: "TESTBANK"}
	second := party{a.master.name, a.master.key, a.issue(t, a.root, a.master.name, a.master.key.Public(), from, "2030-01-01T00:00:00Z", true)}
	chain := func(by party, name trust.Name, key *ecdsa.PrivateKey) []byte {
		leaf := a.issue(t, by, name, key.Public(), from, until, false)
		return append(pemOf("CERTIFICATE", leaf.Raw), pemOf("CERTIFICATE", by.cert.Raw)...)
	}
	honest := func(t *testing.T) *story {
		return a.tell(signingText, a.master, "root", "root.pem", "master.certificate", "issuer.pem").
			key(t, "online", "receipts", a.receipts.Public()).output("signing.pem", chain(a.master, name, a.receipts))
	}
	put := func(data []byte) func(*testing.T, *story) {
		return func(_ *testing.T, s *story) { s.replace("signing.pem", data) }
	}
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	a.expect(t, honest, []lie{
		{"of another key", put(chain(a.master, name, stranger)), ceremony.ErrKey},
		{"of another bank", put(chain(a.other, trust.Name{Role: trust.RoleSigning, ID: "OTHERBANK"}, a.receipts)), trust.ErrRole},
		{"under another certificate of the master key", put(chain(second, name, a.receipts)), trust.ErrChain},
		{"without the master's certificate", func(_ *testing.T, s *story) {
			whole := chain(a.master, name, a.receipts) // ECDSA: signed again, it may have another length
			s.replace("signing.pem", whole[:len(whole)-len(pemOf("CERTIFICATE", a.master.cert.Raw))])
		}, trust.ErrRole},
	})
}

func TestATranscriptThatCannotBeReadHasNoReport(t *testing.T) {
	a := newArchive(t)
	whole := a.mint(t).write(t)
	lines := strings.SplitAfter(string(whole), "\n")
	v := a.verifier(t)
	for name, tt := range map[string]struct {
		data []byte
		want error
	}{
		"a line removed": {[]byte(strings.Join(append(slices.Clone(lines[:3]), lines[4:]...), "")), transcript.ErrBroken},
		"nothing":        {nil, transcript.ErrBroken},
	} {
		if r, err := v.Verify(tt.data); !errors.Is(err, tt.want) || r != nil {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	s := a.mint(t)
	s.late = func(o *transcript.Opened) { o.Plan = "ceremony: coronation\n" }
	if r, err := v.Verify(s.write(t)); !errors.Is(err, ceremony.ErrPlan) || r != nil {
		t.Errorf("a plan that can't be read: %v, %v", r, err)
	}
	// The end cut off: everything else may hold, but nobody answers for it.
	open := []byte(strings.Join(lines[:len(lines)-2], ""))
	if r, err := v.Verify(open); !errors.Is(err, transcript.ErrOpen) || r == nil {
		t.Errorf("not closed: %v", err)
	}
	v.Root = newArchive(t).pinned(t)
	if _, err := v.Verify(whole); !errors.Is(err, trust.ErrChain) {
		t.Errorf("another root is pinned: %v", err)
	}
}
