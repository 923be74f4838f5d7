package ceremony_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// edited is a plan with some of its text replaced, and what comes of it.
type edited struct {
	name, text string
	want       error
}

// refuse runs the plans; each must be refused as it says and leave nothing.
func (w *town) refuse(t *testing.T, tests []edited) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := must(os.ReadDir(w.dir))(t)
			r, err := w.run(t.Context(), tt.text)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if r != nil && len(r.Keys)+len(r.Outputs) != 0 {
				t.Errorf("reported: %v %v", r.Keys, r.Outputs)
			}
			if after := must(os.ReadDir(w.dir))(t); len(after) != len(before) {
				t.Errorf("%d files before, %d after", len(before), len(after))
			}
		})
	}
}

func TestInputsThatAreRefusedBeforeATokenIsTouched(t *testing.T) {
	w := newTown(t, "root", "offline")
	w.mustRun(t, rootText)
	w.mustRun(t, issuerText)
	must(officer.Create(w.path("alice"), "ALICE", nil))(t)
	must(officer.Create(w.path("bob"), "BORIS", nil))(t)
	der, _ := pem.Decode(w.file(t, "alice/request.csr"))
	der.Bytes[len(der.Bytes)-10] ^= 1
	w.write(t, "broken.csr", string(pem.EncodeToMemory(der)))
	w.write(t, "two.pem", strings.Repeat(string(w.file(t, "issuer.pem")), 2))
	w.write(t, "empty", "")
	w.write(t, "broken.log", strings.Replace(string(w.file(t, "issuer.log")), `"seq":3`, `"seq":4`, 1))
	w.write(t, "open.log", string(w.file(t, "issuer.log")[:strings.LastIndex(strings.TrimSpace(string(w.file(t, "issuer.log"))), "\n")+1]))
	w.write(t, "officers-0.yaml", "threshold: 4\nofficers: []\n")
	// Without PIN files, reaching for a token would fail in another way.
	for _, label := range []string{"root", "offline"} {
		if err := os.Remove(w.path(label + ".pin")); err != nil {
			t.Fatal(err)
		}
	}
	edit := func(text string, pairs ...string) string { return change(t, text, pairs...) }
	next := edit(denominationsText, "sequence: 1", "sequence: 2\nprevious: empty", "keyset-1", "keyset-2")
	w.refuse(t, []edited{
		{"an output that is there", edit(rootText, "root.log", "new.log"), paper.ErrExists},
		{"a transcript that is there", edit(rootText, "root.pem", "new.pem"), paper.ErrExists},
		{"an output in a directory that is not", edit(rootText, "root.pem", "there/root.pem", "root.log", "new.log"), os.ErrNotExist},
		{"a roster that is not there", "officers: none.yaml" + edit(groupText, "group.log", "new.log"), os.ErrNotExist},
		{"a roster that nobody can fulfil", "officers: officers-0.yaml" + edit(groupText, "group.log", "new.log"), approval.ErrRoster},
		{"a missing root certificate", edit(groupText, "certificate: root.pem", "certificate: none.pem"), os.ErrNotExist},
		{"the bank's certificate in the root's place", edit(groupText, "certificate: root.pem", "certificate: issuer.pem"), trust.ErrRole},
		{"the root's certificate in the bank's place", edit(signingText, "certificate: issuer.pem", "certificate: root.pem"), trust.ErrRole},
		{"a file that is no certificate", edit(signingText, "certificate: issuer.pem", "certificate: empty"), ceremony.ErrInput},
		{"two certificates in one file", edit(signingText, "certificate: issuer.pem", "certificate: two.pem"), ceremony.ErrInput},
		{"the master key of another bank", edit(signingText, "bank: TESTBANK", "bank: OTHERBANK"), trust.ErrRole},
		{"validity beyond the root's", edit(groupText, "until: 2036", "until: 2047"), ceremony.ErrPlan},
		{"validity from before the root's", edit(groupText, "from: 2026", "from: 2025"), ceremony.ErrPlan},
		{"validity beyond the master's", edit(signingText, "until: 2027", "until: 2037"), ceremony.ErrPlan},
		{"a request for somebody else", edit(certifyText, "alice/request", "bob/request"), trust.ErrRole},
		{"a request with a broken signature", edit(certifyText, "alice/request.csr", "broken.csr"), trust.ErrSignature},
		{"a certificate in place of a request", edit(certifyText, "alice/request.csr", "issuer.pem"), ceremony.ErrInput},
		{"a previous keyset that is none", next, ceremony.ErrInput},
		{"to follow a transcript with a changed line", signingText + "follows: broken.log\n", transcript.ErrBroken},
		{"to follow a ceremony that was not brought to its end", signingText + "follows: open.log\n", transcript.ErrOpen},
		{"to follow something else", signingText + "follows: root.pem\n", transcript.ErrBroken},
	})
}

func TestTokensThatAreRefused(t *testing.T) {
	w := newTown(t, "root", "offline", "online", "manager")
	w.mustRun(t, rootText)
	w.mustRun(t, issuerText)
	w.mustRun(t, denominationsText)
	w.mustRun(t, groupText)
	edit := func(text string, pairs ...string) string { return change(t, text, pairs...) }
	// The same ceremonies again, with outputs that are free.
	root := edit(rootText, "root.pem", "new.pem", "root.log", "new.log")
	denominations := edit(denominationsText, "keyset-1", "new-keyset", "keyset-1.log", "new.log")
	group := edit(groupText, "group.pem", "new.pem", "group.sealed", "new.sealed", "group.log", "new.log")
	bySerial := func(uri string) string { return strings.Replace(uri, ";object", ";serial=0000;object", 1) }
	w.refuse(t, []edited{
		{"a key label that is taken", root, hsm.ErrDuplicateLabel},
		{"one that a denomination key has", denominations, hsm.ErrDuplicateLabel},
		{"one that the last of the row has", edit(fullText, "keyset-1", "new-keyset", "keyset-1.log", "new.log", "key: bearer", "key: free", "key: bound", "key: bearer", "[64]", "[2]"), hsm.ErrDuplicateLabel},
		{"one that a manager's key has", edit(group, "KEY(manager/seal)", "KEY(manager/free)"), hsm.ErrDuplicateLabel},
		{"one that a sealing key has", edit(group, "KEY(manager/documents)", "KEY(manager/new)"), hsm.ErrDuplicateLabel},
		{"a token that is not there", edit(root, "KEY(root/root)", strings.Replace(w.plan("KEY(root/new)"), "token=root", "token=toor", 1)), hsm.ErrTokenNotFound},
		{"a token with another serial number", edit(root, "KEY(root/root)", bySerial(w.plan("KEY(root/new)"))), hsm.ErrTokenNotFound},
		{"no such key in the token", edit(group, "KEY(root/root)", "KEY(root/toor)"), hsm.ErrKeyNotFound},
		{"another key than the certificate's", edit(group, "KEY(root/root)", "KEY(offline/master)"), ceremony.ErrKey},
		{"the key with another id", edit(group, "KEY(root/root)", "KEY(root/root;id=%00%01%02%03%04%05%06%07%08%09%0a%0b%0c%0d%0e%0f)"), ceremony.ErrKey},
	})
	w.pretendRoot(t)
	w.refuse(t, []edited{
		{"a key that was made outside the token", edit(group, "KEY(root/root), certificate: root.pem", "KEY(root/pretender), certificate: pretender.pem"), hsm.ErrAudit},
	})
	if there := w.labels(t, "online"); there["free-1"] || there["free-2"] {
		t.Error("keys were made before the row was known to be free")
	}
}

// pretendRoot makes a root key in software, its certificate, and imports the
// key into the root token under the label "pretender".
func (w *town) pretendRoot(t *testing.T) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	der := must(trust.CreateRoot(key, now.AddDate(-1, 0, 0), now.AddDate(20, 0, 0)))(t)
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(key))(t)
	for name, block := range map[string]*pem.Block{
		"pretender.pem": {Type: "CERTIFICATE", Bytes: der}, "pretender.key": {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := paper.Write(w.path(name), pem.EncodeToMemory(block), paper.Secret); err != nil {
			t.Fatal(err)
		}
	}
	w.importKey(t, "root", "pretender", w.path("pretender.key"))
}

// A token in which somebody made a key that also decrypts gets no more keys.
func TestATokenWithALoosenedKeyIsRefused(t *testing.T) {
	w := newTown(t, "root", "offline", "online")
	w.mustRun(t, rootText)
	w.mustRun(t, issuerText)
	w.loosen(t, "online", "loose")
	w.refuse(t, []edited{{"a key that decrypts", denominationsText, hsm.ErrAudit}})
	if there := w.labels(t, "online"); len(there) != 1 || !there["loose"] {
		t.Errorf("in the token: %v", there)
	}
}

// loosen makes an RSA key that may decrypt, past package hsm.
func (w *town) loosen(t *testing.T, token, label string) {
	t.Helper()
	ctx := pkcs11.New(w.p.Module)
	defer ctx.Destroy()
	if err := ctx.Initialize(); err != nil {
		t.Fatal(err)
	}
	defer ctx.Finalize()
	for _, slot := range must(ctx.GetSlotList(true))(t) {
		if info := must(ctx.GetTokenInfo(slot))(t); strings.TrimSpace(info.Label) != token {
			continue
		}
		s := must(ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION))(t)
		if err := ctx.Login(s, pkcs11.CKU_USER, strings.TrimSpace(string(w.file(t, token+".pin")))); err != nil {
			t.Fatal(err)
		}
		half := []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label), pkcs11.NewAttribute(pkcs11.CKA_ID, make([]byte, 16)),
		}
		_, _, err := ctx.GenerateKeyPair(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)},
			append(half, pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, 2048), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})),
			append(half, pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, true), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true)))
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no token %q", token)
}

func TestPINsThatAreRefused(t *testing.T) {
	w := newTown(t, "root")
	wrong := hsm.RandomPIN()
	if err := wrong.Save(w.path("wrong.pin")); err != nil {
		t.Fatal(err)
	}
	w.write(t, "exposed.pin", string(w.file(t, "root.pin")))
	var tests []edited
	for file, want := range map[string]error{"wrong.pin": hsm.ErrPIN, "exposed.pin": hsm.ErrInput, "none.pin": os.ErrNotExist} {
		tests = append(tests, edited{file, strings.ReplaceAll(w.plan(rootText), "file:root.pin", "file:"+file), want})
	}
	w.refuse(t, tests)
}

func TestAnExpiredRootCertifiesNothing(t *testing.T) {
	w := newTown(t, "root", "offline")
	w.mustRun(t, change(t, rootText, "2046-01-01", "2026-04-01"))
	w.mustRun(t, change(t, issuerText, "2036-01-01", "2026-03-20"))
	w.at = now.AddDate(0, 2, 0)
	w.refuse(t, []edited{
		{"in a bank's ceremony", change(t, issuerText, "2036-01-01", "2026-03-20", "issuer.pem", "new.pem", "issuer.log", "new.log"), trust.ErrExpired},
		{"above a master key", change(t, signingText, "2027-01-01", "2026-03-10"), trust.ErrExpired},
	})
}

func TestAClockThatStandsBeforeSomethingThatHappened(t *testing.T) {
	w := newBank(t)
	set := func(at time.Time, tests ...edited) {
		w.at = at
		w.refuse(t, tests)
	}
	set(now.Add(-time.Second),
		edited{"the keyset before", rotateText, ceremony.ErrClock},
		edited{"the ceremony before", change(t, signingText, "signing.pem", "new.pem", "signing.log", "new.log", "KEY(online/receipts)", "KEY(online/new)") + "follows: keyset-1.log\n", ceremony.ErrClock})
	set(time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC),
		edited{"the root's certificate", change(t, issuerText, "issuer.pem", "new.pem", "issuer.log", "new.log"), ceremony.ErrClock},
		edited{"the bank's certificate", change(t, signingText, "signing.pem", "new.pem", "signing.log", "new.log"), ceremony.ErrClock})
	w.at = now
	w.mustRun(t, rotateText+"follows: keyset-1.log\n")
}

func TestApprovalsThatAreRefused(t *testing.T) {
	w := newTown(t, "root", "offline")
	w.mustRun(t, rootText)
	w.roster(t, 1, "MALLORY")
	p := must(w.parse(issuerText))(t)
	sign := func(p *ceremony.Plan, names ...string) [][]byte { return must(w.approve(p, names...))(t) }
	other := must(w.parse(change(t, issuerText, "until: 2036", "until: 2037")))(t)
	w.officers["IMPOSTOR"], w.officers["BAKER"] = w.officers["BAKER"], w.officers["MALLORY"]
	forged := sign(p, "BAKER")
	w.officers["BAKER"] = w.officers["IMPOSTOR"]
	for _, tt := range []struct {
		name      string
		approvals [][]byte
		want      error
	}{
		{"none", nil, approval.ErrQuorum},
		{"one of two", sign(p, "ADAMS"), approval.ErrQuorum},
		{"one officer twice", append(sign(p, "ADAMS"), sign(p, "ADAMS")...), approval.ErrQuorum},
		{"of an officer whom nobody knows", sign(p, "ADAMS", "BAKER", "MALLORY"), approval.ErrUnknownOfficer},
		{"of another plan", append(sign(p, "ADAMS"), sign(other, "BAKER")...), approval.ErrDigest},
		{"with somebody else's key", append(sign(p, "ADAMS"), forged...), approval.ErrApproval},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := w.runWith(t.Context(), p, tt.approvals); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("of the plan before an input was changed", func(t *testing.T) {
		approvals := sign(p, "ADAMS", "BAKER")
		w.write(t, "officers.yaml", string(w.file(t, "officers.yaml"))+"# and Mallory is fine too\n")
		if _, err := w.runWith(t.Context(), must(w.parse(issuerText))(t), approvals); !errors.Is(err, approval.ErrDigest) {
			t.Errorf("got %v", err)
		}
	})
	if w.exists("issuer.log") || w.exists("issuer.pem") || len(w.labels(t, "offline")) != 0 {
		t.Error("something was done")
	}
}

// An officer's clock may be a little ahead of the one here.
func TestApprovalsFromTheFuture(t *testing.T) {
	w := newTown(t, "root")
	p := must(w.parse(rootText))(t)
	sign := func(ahead time.Duration, name string) []byte {
		w.at = now.Add(ahead)
		defer func() { w.at = now }()
		return must(w.approve(p, name))(t)[0]
	}
	adams, late := sign(0, "ADAMS"), sign(5*time.Minute+time.Second, "BAKER")
	for what, files := range map[string][][]byte{
		"one of two": {adams, late}, "one more than needed": {adams, sign(0, "CLARK"), late}, "once more": {adams, sign(0, "CLARK"), sign(time.Hour, "ADAMS")},
	} {
		if _, err := w.runWith(t.Context(), p, files); !errors.Is(err, ceremony.ErrClock) {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(w.runWith(t.Context(), p, [][]byte{adams, sign(5*time.Minute, "BAKER")}))(t)
}

// When officers change, those who were must have agreed too.
func TestOfficersChangeWithTheConsentOfThoseBefore(t *testing.T) {
	w := newTown(t, "root", "offline")
	w.mustRun(t, rootText)
	w.write(t, "officers-2.yaml", w.roster(t, 1, "CLARK", "DAVIS"))
	text := "officers: officers-2.yaml" + issuerText + "follows: root.log\n"
	p := must(w.parse(text))(t)
	if all := must(p.Rosters())(t); len(all) != 2 || all[0].Threshold != 1 || all[1].Threshold != 2 || len(all[1].Officers) != 3 {
		t.Errorf("rosters: %+v", all)
	}
	table := p.Table(w.at)
	find(t, table, "officers", "officers-2.yaml")
	if row := find(t, table, "officers", "root.log"); row.Value != "ADAMS, BAKER, CLARK" || row.Effect != "also 2 of 3 of the officers before must approve" {
		t.Errorf("officers before: %+v", row)
	}
	same := must(w.parse(issuerText + "follows: root.log\n"))(t)
	if all := must(same.Rosters())(t); len(all) != 1 {
		t.Errorf("officers who stay: %+v", all)
	}
	for _, tt := range []struct {
		names []string
		want  error
		says  string
	}{
		{[]string{"DAVIS"}, approval.ErrQuorum, "0 of the 2 needed of the officers before; not yet: ADAMS, BAKER, CLARK"},
		{[]string{"ADAMS", "BAKER"}, approval.ErrQuorum, "0 of the 1 needed; not yet: CLARK, DAVIS"},
		{[]string{"DAVIS", "ADAMS"}, approval.ErrQuorum, "1 of the 2 needed of the officers before; not yet: BAKER, CLARK"},
		{[]string{"CLARK", "ADAMS"}, nil, ""},
	} {
		r, err := w.runWith(t.Context(), p, must(w.approve(p, tt.names...))(t))
		if !errors.Is(err, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.names, err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v: it says %v", tt.names, err)
		}
		if err == nil && r.Transcript == "" {
			t.Error("no transcript")
		}
	}
	if opened := must(w.log(t, "issuer.log").Opened())(t); opened.Former != transcript.Text(w.file(t, "officers.yaml")) {
		t.Error("the transcript does not name the officers before")
	}
}

// A rehearsal that fails touches nothing: the tokens are not even opened.
func TestAFailedRehearsalTouchesNothing(t *testing.T) {
	w := newTown(t, "root", "offline", "online")
	w.mustRun(t, rootText)
	w.mustRun(t, issuerText)
	conf := os.Getenv("SOFTHSM2_CONF")
	t.Setenv("TMPDIR", t.TempDir())
	asked := false
	w.runner.AskPIN = func(string) (hsm.PIN, error) { asked = true; return hsm.PIN{}, errors.New("asked") }
	text := strings.ReplaceAll(w.plan(denominationsText), "&pin-source=file:online.pin", "")
	text = strings.ReplaceAll(text, "&pin-source=file:offline.pin", "")

	w.runner.SoftHSM = w.path("no-such-library.so")
	w.refuse(t, []edited{{"SoftHSM is missing", text, ceremony.ErrRehearsal}})
	w.runner.SoftHSM = w.path("root.pem")
	w.refuse(t, []edited{{"SoftHSM is something else", text, hsm.ErrModule}})
	w.runner.SoftHSM = ""

	// Only the certificate itself finds out that this key can't be certified.
	key := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))(t)
	request := &x509.CertificateRequest{URIs: []*url.URL{{Scheme: "urn", Opaque: "specie:supervisor:ALICE"}}}
	der := must(x509.CreateCertificateRequest(rand.Reader, request, key))(t)
	w.write(t, "odd.csr", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
	text = strings.ReplaceAll(w.plan(change(t, certifyText, "alice/request.csr", "odd.csr")), "&pin-source=file:root.pin", "")
	w.refuse(t, []edited{
		{"the plan does not go through", text, ceremony.ErrRehearsal},
		{"and says why", text, trust.ErrMalformed},
	})
	if asked {
		t.Error("a real token was reached for")
	}
	if got := os.Getenv("SOFTHSM2_CONF"); got != conf {
		t.Errorf("SOFTHSM2_CONF is left at %s", got)
	}
	if left := must(os.ReadDir(os.Getenv("TMPDIR")))(t); len(left) != 0 {
		t.Errorf("left of the rehearsals: %v", left)
	}
}
