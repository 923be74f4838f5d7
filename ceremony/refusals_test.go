package ceremony_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// change replaces a piece of a plan that must be there.
func change(t testing.TB, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the plan has no %q", old)
	}
	return strings.Replace(text, old, new, 1)
}

func TestPlansThatAreRefused(t *testing.T) {
	w := &town{dir: t.TempDir()}
	for _, tt := range planRefusals(t) {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.ReplaceAll(tt.text, "TOKEN(", "{module: /m.so, pin_file: p, label: ")
			text = strings.NewReplacer("label: root)", "label: root}", "label: offline)", "label: offline}", "label: online)", "label: online}",
				"label: manager)", "label: manager}").Replace(text)
			if _, err := ceremony.Parse([]byte(text), w.dir); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

type planRefusal struct {
	name, text string
	want       error
}

func planRefusals(t testing.TB) []planRefusal {
	d := denominationsText
	edit := func(text, old, new string) string { return change(t, text, old, new) }
	return []planRefusal{
		{"the plans as they are", rootText, nil},
		{"and the one with the keys", d, nil},
		{"empty", "", ceremony.ErrPlan},
		{"not YAML", "ceremony: [", ceremony.ErrPlan},
		{"no ceremony named", edit(rootText, "ceremony: root", "key2: root"), ceremony.ErrPlan},
		{"an unknown ceremony", edit(rootText, "ceremony: root", "ceremony: coronation"), ceremony.ErrPlan},
		{"an unknown field", rootText + "comment: hello\n", ceremony.ErrPlan},
		{"an unknown field further in", edit(rootText, "until:", "untill: 2046-01-01T00:00:00Z, until:"), ceremony.ErrPlan},
		{"a field of another ceremony", rootText + "bank: TESTBANK\n", ceremony.ErrPlan},
		{"a field twice", rootText + "key: root2\n", ceremony.ErrPlan},
		{"two documents", rootText + "---\n" + rootText, ceremony.ErrPlan},
		{"too large", rootText + strings.Repeat("#\n", ceremony.MaxPlan), ceremony.ErrPlan},
		{"a module found by search", edit(rootText, "TOKEN(root)", "{module: libsofthsm2.so, label: root, pin_file: p}"), ceremony.ErrPlan},
		{"no token label", edit(rootText, "TOKEN(root)", "{module: /m.so, pin_file: p}"), ceremony.ErrPlan},
		{"no PIN file", edit(rootText, "TOKEN(root)", "{module: /m.so, label: root}"), ceremony.ErrPlan},
		{"a PIN in the plan", edit(rootText, "TOKEN(root)", "{module: /m.so, label: root, pin_file: p, pin: 1234}"), ceremony.ErrPlan},
		{"no key label", edit(rootText, "key: root\n", ""), ceremony.ErrPlan},
		{"a key label with a slash", edit(rootText, "key: root\n", "key: a/b\n"), ceremony.ErrPlan},
		{"no output", edit(rootText, "{certificate: root.pem}", "{}"), ceremony.ErrPlan},
		{"both outputs in one file", edit(groupText, "sealed: group.sealed", "sealed: ./group.pem"), ceremony.ErrPlan},
		{"signing and sealing key under one label", edit(groupText, "seal: seal", "seal: documents"), ceremony.ErrPlan},
		{"validity that ends before it begins", edit(rootText, "until: 2046", "until: 2025"), ceremony.ErrPlan},
		{"no validity", edit(rootText, "valid: {from: 2026-01-01T00:00:00Z, until: 2046-01-01T00:00:00Z}\n", ""), ceremony.ErrPlan},
		{"a date without a time", edit(rootText, "from: 2026-01-01T00:00:00Z", "from: 2026-01-01"), ceremony.ErrPlan},
		{"a time in another zone", edit(rootText, "from: 2026-01-01T00:00:00Z", "from: 2026-01-01T00:00:00+01:00"), ceremony.ErrPlan},
		{"a time with a fraction", edit(rootText, "from: 2026-01-01T00:00:00Z", "from: 2026-01-01T00:00:00.5Z"), ceremony.ErrPlan},
		{"a lower-case bank id", edit(issuerText, "TESTBANK", "testbank"), ceremony.ErrPlan},
		{"a short bank id", edit(issuerText, "TESTBANK", "TST"), ceremony.ErrPlan},
		{"a bad group id", edit(groupText, "TESTGROUP", "TEST GROUP"), ceremony.ErrPlan},
		{"a bad supervisor id", edit(certifyText, "ALICE", "Alice"), ceremony.ErrPlan},
		{"no request", edit(certifyText, "request: alice/request.csr\n", ""), ceremony.ErrPlan},
		{"a currency in lower case", edit(d, "EUR", "eur"), ceremony.ErrPlan},
		{"a negative exponent", edit(d, "exponent: 2", "exponent: -1"), ceremony.ErrPlan},
		{"no series", d[:strings.Index(d, "series:")] + "output: {keyset: k}\n", ceremony.ErrPlan},
		{"a kind that is not known", edit(d, "kind: bound", "kind: purse"), ceremony.ErrPlan},
		{"no values", edit(d, "[1, 2]", "[]"), ceremony.ErrPlan},
		{"a value that is no power of two", edit(d, "[1, 2]", "[1, 5]"), ceremony.ErrPlan},
		{"a value of nothing", edit(d, "[1, 2]", "[0]"), ceremony.ErrPlan},
		{"a value beyond what amounts hold", edit(d, "[1, 2]", "[18014398509481984]"), ceremony.ErrPlan},
		{"a value twice", edit(d, "[1, 2]", "[1, 1]"), ceremony.ErrPlan},
		{"one label for two keys", edit(edit(d, "key: bound", "key: bearer"), "[64]", "[2]"), ceremony.ErrPlan},
		{"issue that ends before it begins", edit(d, "issue_until: 2026-05-01", "issue_until: 2026-01-01"), ceremony.ErrPlan},
		{"spending that ends before issue", edit(d, "spend_until: 2027", "spend_until: 2026-04-01T00:00:00Z # 2027"), ceremony.ErrPlan},
		{"debts that end before spending", edit(d, "legal_until: 2032", "legal_until: 2027"), ceremony.ErrPlan},
		{"the first keyset with a previous one", d + "previous: keyset-0.jws\n", ceremony.ErrPlan},
		{"the second without", edit(d, "sequence: 1", "sequence: 2"), ceremony.ErrPlan},
		{"no sequence", edit(d, "sequence: 1", ""), ceremony.ErrPlan},
		{"1024 bits", edit(d, "bits: 2048", "bits: 1024"), ceremony.ErrPlan},
		{"2048 bits that issue for 91 days", edit(d, "issue_from: 2026-02-01", "issue_from: 2026-01-30"), ceremony.ErrWeak},
		{"2048 bits spent past 2030", edit(d, "spend_until: 2027-05-01T00:00:00Z", "spend_until: 2031-01-01T00:00:01Z"), ceremony.ErrWeak},
		{"2048 bits spent until 2030 is over", edit(d, "spend_until: 2027-05-01T00:00:00Z", "spend_until: 2031-01-01T00:00:00Z"), nil},
	}
}

func TestInputsThatAreRefusedBeforeATokenIsTouched(t *testing.T) {
	w := newTown(t, "root", "offline")
	w.mustRun(t, rootText)
	w.mustRun(t, issuerText)
	must(officer.Create(w.path("alice"), "ALICE", nil))(t)
	must(officer.Create(w.path("bob"), "BORIS", nil))(t)
	request := w.file(t, "alice/request.csr")
	der, _ := pem.Decode(request)
	der.Bytes[len(der.Bytes)-10] ^= 1
	write := func(name string, b []byte) {
		if err := paper.Write(w.path(name), b, paper.Public); err != nil {
			t.Fatal(err)
		}
	}
	write("broken.csr", pem.EncodeToMemory(der))
	write("two.pem", append(w.file(t, "issuer.pem"), w.file(t, "issuer.pem")...))
	write("empty", nil)
	// Without PIN files, reaching for a token would fail in another way.
	for _, label := range []string{"root", "offline"} {
		if err := os.Remove(w.path(label + ".pin")); err != nil {
			t.Fatal(err)
		}
	}
	edit := func(text, old, new string) string { return change(t, text, old, new) }
	tests := []struct {
		name, text string
		want       error
	}{
		{"an output that is there", rootText, paper.ErrExists},
		{"an output in a directory that is not", edit(rootText, "root.pem", "there/root.pem"), os.ErrNotExist},
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
		{"a previous keyset that is none", edit(edit(denominationsText, "sequence: 1", "sequence: 2\nprevious: empty"), "keyset-1", "keyset-2"), ceremony.ErrInput},
		{"a revocation in the first keyset", denominationsText + "revoke: [" + strings.Repeat("A", 43) + "]\n", ceremony.ErrPlan},
		{"a revocation of what is no key id", denominationsText + "lost: [x]\n", ceremony.ErrPlan},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := w.run(t.Context(), tt.text); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	w := newTown(t, "root", "offline", "online", "manager")
	w.mustRun(t, rootText)
	w.mustRun(t, issuerText)
	w.mustRun(t, denominationsText)
	w.mustRun(t, groupText)
	edit := func(text, old, new string) string { return change(t, text, old, new) }
	w.pretendRoot(t)
	// The same ceremonies again, with outputs that are free.
	rootText := edit(rootText, "root.pem", "new-root.pem")
	denominationsText := edit(denominationsText, "keyset-1", "new-keyset")
	groupText := edit(edit(groupText, "group.pem", "new.pem"), "group.sealed", "new.sealed")
	elsewhere := "{module: " + w.p.Module + ", label: toor, pin_file: root.pin}"
	tests := []struct {
		name, text string
		want       error
	}{
		{"a key label that is taken", rootText, hsm.ErrDuplicateLabel},
		{"one that a denomination key has", denominationsText, hsm.ErrDuplicateLabel},
		{"one that a manager's key has", groupText, hsm.ErrDuplicateLabel},
		{"one that a sealing key has", edit(groupText, "key: documents", "key: new"), hsm.ErrDuplicateLabel},
		{"a token that is not there", edit(rootText, "TOKEN(root)", elsewhere), hsm.ErrTokenNotFound},
		{"no such key in the token", edit(groupText, "key: root", "key: toor"), hsm.ErrKeyNotFound},
		{"another key than the certificate's", edit(groupText, "TOKEN(root), key: root", "TOKEN(offline), key: master"), ceremony.ErrKey},
		{"a key that was made outside the token", edit(groupText, "key: root, certificate: root.pem", "key: pretender, certificate: pretender.pem"), hsm.ErrAudit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := w.run(t.Context(), tt.text)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if len(r.Keys)+len(r.Outputs) != 0 {
				t.Errorf("left behind: %v %v", r.Keys, r.Outputs)
			}
		})
	}
}

func TestARunThatStopsHalfwaySaysWhichLabelsAreTaken(t *testing.T) {
	w := newTown(t, "root", "offline", "online")
	w.mustRun(t, rootText)
	w.mustRun(t, issuerText)
	w.mustRun(t, change(t, signingText, "key: receipts", "key: bearer-2"))
	r, err := w.run(t.Context(), denominationsText)
	if !errors.Is(err, hsm.ErrDuplicateLabel) || !strings.Contains(err.Error(), "online/bearer-1") {
		t.Errorf("got %v", err)
	}
	if len(r.Keys) != 1 || len(r.Outputs) != 0 {
		t.Errorf("made %v, wrote %v", r.Keys, r.Outputs)
	}
	if paper.Free(w.path("keyset-1.jws")) != nil {
		t.Error("a keyset was written")
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

func TestPINsThatAreRefused(t *testing.T) {
	w := newTown(t, "root")
	wrong := hsm.RandomPIN()
	if err := wrong.Save(w.path("wrong.pin")); err != nil {
		t.Fatal(err)
	}
	exposed := w.file(t, "root.pin")
	if err := paper.Write(w.path("exposed.pin"), exposed, paper.Public); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		file string
		want error
	}{{"wrong.pin", hsm.ErrPIN}, {"exposed.pin", hsm.ErrInput}, {"none.pin", os.ErrNotExist}} {
		text := strings.ReplaceAll(w.plan(rootText), "pin_file: root.pin", "pin_file: "+tt.file)
		if _, err := w.run(t.Context(), text); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.file, err, tt.want)
		}
	}
	if paper.Free(w.path("root.pem")) != nil {
		t.Error("a certificate was written")
	}
}

func TestAnExpiredRootCertifiesNothing(t *testing.T) {
	w := newTown(t, "root", "offline")
	w.mustRun(t, change(t, rootText, "2046-01-01", "2026-02-01"))
	if _, err := w.run(t.Context(), change(t, issuerText, "2036-01-01", "2026-01-02")); !errors.Is(err, trust.ErrExpired) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{rootText, issuerText, signingText, denominationsText, groupText, certifyText} {
		f.Add([]byte(strings.NewReplacer("TOKEN(root)", "{module: /m.so, label: root, pin_file: p}",
			"TOKEN(offline)", "{module: /m.so, label: a, pin_file: p}", "TOKEN(online)", "{module: /m.so, label: b, pin_file: p}",
			"TOKEN(manager)", "{module: /m.so, label: c, pin_file: p}").Replace(text)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := ceremony.Parse(data, "/"); err == nil && len(p.Outputs()) == 0 {
			t.Error("a plan without outputs was accepted")
		}
	})
}
