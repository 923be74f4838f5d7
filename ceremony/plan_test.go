package ceremony_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/speciecash/specie/ceremony"
)

// TestAnOutputIsNoInputHoweverItIsWritten: a relative path and an absolute one
// may lead to the same file.
func TestAnOutputIsNoInputHoweverItIsWritten(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, tt := range []struct {
		name, dir, output string
		want              error
	}{
		{"an input's absolute path", dir, dir + "/root.pem", ceremony.ErrPlan},
		{"an input's absolute path, from a relative directory", ".", dir + "/root.pem", ceremony.ErrPlan},
		{"another output's absolute path", dir, dir + "/x/../issuer.log", ceremony.ErrPlan},
		{"a roundabout way", dir, "x/../root.pem", ceremony.ErrPlan},
		{"another file of that name", dir, "/other/root.pem", nil},
		{"somebody else's directory", "", dir + "/root.pem", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := plan(change(t, issuerText, "certificate: issuer.pem", "certificate: "+tt.output), "/m.so")
			if _, err := ceremony.Parse([]byte(text), tt.dir); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestPlansThatAreRefused(t *testing.T) {
	for _, tt := range planRefusals(t) {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ceremony.Parse([]byte(plan(tt.text, "/m.so")), t.TempDir())
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// What is wrong is said in the words of the file.
func TestPlansThatAreRefusedSayWhere(t *testing.T) {
	for _, tt := range []struct{ text, says string }{
		{rootText + "comment: hello\n", `ceremony: plan refused: line 7: unknown field "comment"`},
		{change(t, fullText, "bits: 3072", "bitts: 3072"), `line 23: unknown field "bitts"`},
		{change(t, fullText, "bits: 3072", "bits: many"), "line 23: text `many` where a whole number is meant"},
		{change(t, fullText, "bits: 3072", "bits: 1024"), "series 2: ceremony: plan refused: bits is 2048, 3072 or 4096"},
		{change(t, denominationsText, "output: {keyset: keyset-1.jws, transcript: keyset-1.log}", "output: here"), "line 11: text `here` where a block of fields is meant"},
		{change(t, rotateText, "  chain: signing-b.pem", "  chains: signing-b.pem"), `line 24: unknown field "chains"`},
		{change(t, rootText, "from: 2026-01-01T00:00:00Z", "from: 2026"), "plan refused: line 5: a time is written like"},
		{change(t, rootText, "KEY(root/root)", "root"), "plan refused: line 4: hsm: PKCS#11 URI refused"},
	} {
		_, err := ceremony.Parse([]byte(plan(tt.text, "/m.so")), t.TempDir())
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "struct") || strings.Contains(err.Error(), "ceremony.") {
			t.Errorf("got %v, want %s", err, tt.says)
		}
	}
}

type planRefusal struct {
	name, text string
	want       error
}

func planRefusals(t testing.TB) []planRefusal {
	return slices.Concat(formRefusals(t), uriRefusals(t), fileRefusals(t), seriesRefusals(t), kindRefusals(t), platformRefusals(t))
}

func formRefusals(t testing.TB) []planRefusal {
	edit := func(text, old, new string) string { return change(t, text, old, new) }
	refused := []planRefusal{
		{"empty", "", ceremony.ErrPlan},
		{"not YAML", "ceremony: [", ceremony.ErrPlan},
		{"no ceremony named", edit(rootText, "ceremony: root", "key2: root"), ceremony.ErrPlan},
		{"an unknown ceremony", edit(rootText, "ceremony: root", "ceremony: coronation"), ceremony.ErrPlan},
		{"an unknown field", rootText + "comment: hello\n", ceremony.ErrPlan},
		{"an unknown field further in", edit(rootText, "until:", "untill: 2046-01-01T00:00:00Z, until:"), ceremony.ErrPlan},
		{"a field of another ceremony", rootText + "bank: TESTBANK\n", ceremony.ErrPlan},
		{"a field twice", rootText + "key: KEY(root/root2)\n", ceremony.ErrPlan},
		{"a merge key", rootText + "<<: {absent: [CKA_COPYABLE]}\n", ceremony.ErrPlan},
		{"a merge key further in", edit(issuerText, "root: {key: KEY(root/root)", "root: {<<: {key: KEY(root/root)}"), ceremony.ErrPlan},
		{"a quoted merge key", rootText + "\"<<\": {absent: [CKA_COPYABLE]}\n", ceremony.ErrPlan},
		{"an anchor", edit(rootText, "from: 2026", "from: &start 2026"), ceremony.ErrPlan},
		{"an alias", edit(rootText, "{certificate: root.pem, transcript: root.log}", "{certificate: &name root.pem, transcript: *name}"), ceremony.ErrPlan},
		{"two documents", rootText + "---\n" + rootText, ceremony.ErrPlan},
		{"too large", rootText + strings.Repeat("#\n", ceremony.MaxPlan), ceremony.ErrPlan},
		{"validity that ends before it begins", edit(rootText, "until: 2046", "until: 2025"), ceremony.ErrPlan},
		{"no validity", edit(rootText, "valid: {from: 2026-01-01T00:00:00Z, until: 2046-01-01T00:00:00Z}\n", ""), ceremony.ErrPlan},
		{"a date without a time", edit(rootText, "from: 2026-01-01T00:00:00Z", "from: 2026-01-01"), ceremony.ErrPlan},
		{"a time in another zone", edit(rootText, "from: 2026-01-01T00:00:00Z", "from: 2026-01-01T00:00:00+01:00"), ceremony.ErrPlan},
		{"a time with a fraction", edit(rootText, "from: 2026-01-01T00:00:00Z", "from: 2026-01-01T00:00:00.5Z"), ceremony.ErrPlan},
	}
	for _, text := range []string{
		rootText, issuerText, signingText, fullText, groupText, certifyText, rotateText, orderText, restoreText, destroyText,
	} {
		refused = append(refused, planRefusal{"as it is: " + strings.Fields(text)[1], text, nil})
	}
	return refused
}

func uriRefusals(t testing.TB) []planRefusal {
	edit := func(text string, pairs ...string) string { return change(t, text, pairs...) }
	return []planRefusal{
		{"a module found by search", edit(rootText, "KEY(root/root)", "pkcs11:token=root;object=root?module-path=libsofthsm2.so"), ceremony.ErrPlan},
		{"no module", edit(rootText, "KEY(root/root)", "pkcs11:token=root;object=root"), ceremony.ErrPlan},
		{"no token label", edit(rootText, "KEY(root/root)", "pkcs11:object=root?module-path=/m.so"), ceremony.ErrPlan},
		{"a slot number", edit(rootText, "KEY(root/root)", "pkcs11:token=root;object=root;slot-id=1?module-path=/m.so"), ceremony.ErrPlan},
		{"a PIN in the plan", edit(rootText, "KEY(root/root)", "pkcs11:token=root;object=root?module-path=/m.so&pin-value=1234"), ceremony.ErrPlan},
		{"a key that is no URI", edit(rootText, "KEY(root/root)", "root"), ceremony.ErrPlan},
		{"a key that is a list", edit(rootText, "KEY(root/root)", "[root]"), ceremony.ErrPlan},
		{"no key", edit(rootText, "key: KEY(root/root)\n", ""), ceremony.ErrPlan},
		{"a key without a label", edit(rootText, "KEY(root/root)", "TOKEN(root)"), ceremony.ErrPlan},
		{"a key label with a slash", edit(rootText, "KEY(root/root)", "KEY(root/a%2Fb)"), ceremony.ErrPlan},
		{"the id of a key that is not made yet", edit(rootText, "KEY(root/root)", "KEY(root/root;id=%00%01%02%03%04%05%06%07%08%09%0a%0b%0c%0d%0e%0f)"), ceremony.ErrPlan},
		{"an authority without a key", edit(issuerText, "key: KEY(root/root), ", ""), ceremony.ErrPlan},
		{"an authority that is a public key", edit(issuerText, "KEY(root/root)", "KEY(root/root;type=public)"), ceremony.ErrPlan},
		{"a key where a token is meant", edit(denominationsText, "TOKEN(online)", "KEY(online/bearer)"), ceremony.ErrPlan},
		{"no token", edit(denominationsText, "token: TOKEN(online)\n", ""), ceremony.ErrPlan},
		{"one token with two PIN files", edit(groupText, "KEY(manager/seal)", "pkcs11:token=manager;object=seal?module-path=/m.so&pin-source=file:other.pin"), ceremony.ErrPlan},
		{"one token label in two modules", edit(issuerText, "KEY(root/root)", "pkcs11:token=offline;object=root?module-path=/n.so&pin-source=file:offline.pin"), ceremony.ErrPlan},
		{"signing and sealing key under one label", edit(groupText, "KEY(manager/seal)", "KEY(manager/documents)"), ceremony.ErrPlan},
		{"a new key under the label of the one that certifies it", edit(issuerText, "KEY(offline/master)", "KEY(root/root)"), ceremony.ErrPlan},
		{"a denomination key under the label of the master key", edit(denominationsText, "TOKEN(online)", "TOKEN(offline)", "key: bearer", "key: master", "KEY(offline/master)", "KEY(offline/master-1)"), ceremony.ErrPlan},
	}
}

func fileRefusals(t testing.TB) []planRefusal {
	edit := func(text string, pairs ...string) string { return change(t, text, pairs...) }
	return []planRefusal{
		{"no officers", edit(rootText, "ceremony: root", "ceremony: root\nofficers: \"\""), ceremony.ErrPlan},
		{"no output", edit(rootText, "certificate: root.pem, ", ""), ceremony.ErrPlan},
		{"no transcript", edit(rootText, ", transcript: root.log", ""), ceremony.ErrPlan},
		{"both outputs in one file", edit(groupText, "sealed: group.sealed", "sealed: ./group.pem"), ceremony.ErrPlan},
		{"an output in the transcript's place", edit(rootText, "transcript: root.log", "transcript: ./root.pem"), ceremony.ErrPlan},
		{"an output in an input's place", edit(issuerText, "certificate: issuer.pem", "certificate: ./root.pem"), ceremony.ErrPlan},
		{"an output in the roster's place", edit(rootText, "certificate: root.pem", "certificate: officers.yaml"), ceremony.ErrPlan},
		{"an output called like an unfinished one", edit(rootText, "certificate: root.pem", "certificate: root.pem.part"), ceremony.ErrPlan},
		{"a root that follows something", rootText + "follows: x.log\n", ceremony.ErrPlan},
		{"an authority without a certificate", edit(issuerText, ", certificate: root.pem", ""), ceremony.ErrPlan},
		{"no request", edit(certifyText, "request: alice/request.csr\n", ""), ceremony.ErrPlan},
		{"no root", edit(signingText, "root: root.pem\n", ""), ceremony.ErrPlan},
		{"a lower-case bank id", edit(issuerText, "TESTBANK", "testbank"), ceremony.ErrPlan},
		{"a short bank id", edit(issuerText, "TESTBANK", "TST"), ceremony.ErrPlan},
		{"a bad group id", edit(groupText, "TESTGROUP", "TEST GROUP"), ceremony.ErrPlan},
		{"a bad supervisor id", edit(certifyText, "ALICE", "Alice"), ceremony.ErrPlan},
	}
}

func seriesRefusals(t testing.TB) []planRefusal {
	d := fullText
	edit := func(text string, pairs ...string) string { return change(t, text, pairs...) }
	return []planRefusal{
		{"a currency in lower case", edit(d, "EUR", "eur"), ceremony.ErrPlan},
		{"a negative exponent", edit(d, "exponent: 2", "exponent: -1"), ceremony.ErrPlan},
		{"no series", d[:strings.Index(d, "series:")], ceremony.ErrPlan},
		{"a kind that is not known", edit(d, "kind: bound", "kind: purse"), ceremony.ErrPlan},
		{"no values", edit(d, "[1, 2]", "[]"), ceremony.ErrPlan},
		{"a value that is no power of two", edit(d, "[1, 2]", "[1, 5]"), ceremony.ErrPlan},
		{"a value of nothing", edit(d, "[1, 2]", "[0]"), ceremony.ErrPlan},
		{"a value beyond what amounts hold", edit(d, "[1, 2]", "[18014398509481984]"), ceremony.ErrPlan},
		{"more keys than a keyset holds", d + manySeries(32), ceremony.ErrPlan},
		{"as many as it holds", d + manySeries(31), nil},
		{"a value twice", edit(d, "[1, 2]", "[1, 1]"), ceremony.ErrPlan},
		{"one label for two keys", edit(d, "key: bound", "key: bearer", "[64]", "[2]"), ceremony.ErrPlan},
		{"a series label with a blank", edit(d, "key: bound", "key: a b"), ceremony.ErrPlan},
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

// manySeries are n more rows of 32 keys.
func manySeries(n int) string {
	var values []string
	for i := range 32 {
		values = append(values, strconv.Itoa(1<<i))
	}
	out := ""
	for i := range n {
		out += fmt.Sprintf("  - {key: row%d, kind: bound, bits: 3072, values: [%s], issue_from: 2026-02-01T00:00:00Z, issue_until: 2028-02-01T00:00:00Z, spend_until: 2035-02-01T00:00:00Z, legal_until: 2040-01-01T00:00:00Z}\n",
			i, strings.Join(values, ", "))
	}
	return out
}

func kindRefusals(t testing.TB) []planRefusal {
	edit := func(text string, pairs ...string) string { return change(t, text, pairs...) }
	kid := strings.Repeat("A", 43)
	revoke := edit(revokeText, "REVOKED", kid)
	return []planRefusal{
		{"a rotation of nothing", edit(rotateText, "sequence: 2\nprevious: keyset-1.jws", "sequence: 1"), ceremony.ErrPlan},
		{"a rotation whose signing key has no chain", edit(rotateText, "  chain: signing-b.pem\n", ""), ceremony.ErrPlan},
		{"a rotation whose signing key has no validity", edit(rotateText, "valid: {from: 2026-03-01T00:00:00Z, until: 2028-01-01T00:00:00Z}", "valid: {}"), ceremony.ErrPlan},
		{"a rotation without a signing key", edit(rotateText, "signing:\n  key: KEY(online/receipts-b)\n  valid: {from: 2026-03-01T00:00:00Z, until: 2028-01-01T00:00:00Z}\n  chain: signing-b.pem\n", ""), nil},
		{"a revocation", revoke, nil},
		{"a revocation of what is no key id", edit(revoke, kid, "x"), ceremony.ErrPlan},
		{"a key lost twice", edit(revoke, "revoke: ["+kid+"]", "lost: ["+kid+", "+kid+"]"), ceremony.ErrPlan},
		{"a revocation of nothing", edit(revoke, "revoke: ["+kid+"]\n", ""), ceremony.ErrPlan},
		{"a revocation in the first keyset", edit(revoke, "sequence: 2", "sequence: 1"), ceremony.ErrPlan},
		{"a revocation without a master key", edit(revoke, "master: {key: KEY(offline/master), certificate: issuer.pem}\n", ""), ceremony.ErrPlan},
		{"a revocation that follows no keyset", edit(revoke, "previous: keyset-1.jws\n", ""), ceremony.ErrPlan},
		{"a revoked signer", edit(revoke, "revoke: ["+kid+"]", "revoke_signers: [signing.pem]"), nil},
		{"a signer without a file", edit(revoke, "revoke: ["+kid+"]", "revoke_signers: ['']"), ceremony.ErrPlan},
		{"a signer twice", edit(revoke, "revoke: ["+kid+"]", "revoke_signers: [signing.pem, ./signing.pem]"), ceremony.ErrPlan},
		{"a signer in the keyset's place", edit(revoke, "revoke: ["+kid+"]", "revoke_signers: [keyset-2.jws]"), ceremony.ErrPlan},
		{"keys and a member in one plan", edit(orderText, "root: root.pem", "root: root.pem\nrevoke: ["+kid+"]"), ceremony.ErrPlan},
		{"neither keys nor a member", "\nceremony: revoke\nroot: root.pem\noutput: {transcript: l}\n", ceremony.ErrPlan},
		{"an order without a manager", edit(orderText, "manager: {key: KEY(manager/documents), certificate: group.pem}\n", ""), ceremony.ErrPlan},
		{"an order against nobody", edit(orderText, "AAECAwQFBgcICQoLDA0ODw", "AAEC"), ceremony.ErrPlan},
		{"an order without a case", edit(orderText, "case: 2026-0173", "case: \"\""), ceremony.ErrPlan},
		{"an order without a reason", edit(orderText, "reason: order of the district court of 2026-02-20", "reason: \" \""), ceremony.ErrPlan},
		{"an order without an end", edit(orderText, "  until: 2026-09-01T00:00:00Z\n", ""), ceremony.ErrPlan},
		{"a restoration that knows of no keys", edit(restoreText, "[signing.log, keyset-1.log]", "[]"), ceremony.ErrPlan},
		{"a key missing twice", restoreText + "missing: [bearer-1, bearer-1]\n", ceremony.ErrPlan},
		{"a missing key with an impossible label", restoreText + "missing: [a/b]\n", ceremony.ErrPlan},
		{"the destruction of the token that signs for it", edit(destroyText, "TOKEN(online)", "TOKEN(offline)"), ceremony.ErrPlan},
		{"a security officer's PIN in the plan", edit(destroyText, "file:online.so-pin", "12345678"), ceremony.ErrPlan},
		{"an object that goes twice", destroyText + "also: [x, x]\n", ceremony.ErrPlan},
		{"the destruction with no keyset to ask", edit(destroyText, "keyset: keyset-2.jws\n", ""), ceremony.ErrPlan},
	}
}

// A plan's digest is over its bytes and its inputs', and over nothing else.
func TestTheDigestCoversPlanAndInputs(t *testing.T) {
	w := newTown(t)
	text := w.plan(certifyText)
	for _, name := range []string{"root.pem", "request.csr"} {
		w.write(t, name, name)
	}
	text = strings.Replace(text, "alice/request.csr", "request.csr", 1)
	digest := func(text string) [32]byte {
		t.Helper()
		return must(must(w.parse(text))(t).Digest())(t)
	}
	first := digest(text)
	if digest(text) != first {
		t.Error("the digest changes by itself")
	}
	if digest(text+"# a comment\n") == first {
		t.Error("a comment is not covered")
	}
	for _, name := range []string{"root.pem", "request.csr", "officers.yaml"} {
		before := string(w.file(t, name))
		w.write(t, name, before+"\n")
		if digest(text) == first {
			t.Errorf("%s is not covered", name)
		}
		w.write(t, name, before)
	}
	if digest(text) != first {
		t.Error("the digest depends on something else")
	}
	// What was digested is what is used, whatever happens to the file.
	p := must(w.parse(text))(t)
	must(p.Digest())(t)
	w.write(t, "request.csr", "exchanged")
	if must(p.Digest())(t) != first || must(p.Inputs())(t)[1].Field != "request" {
		t.Error("an input was read twice")
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{rootText, issuerText, signingText, fullText, groupText, certifyText, rotateText, revokeText, orderText, restoreText, destroyText, platformText, updateText} {
		f.Add([]byte(plan(text, "/m.so")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ceremony.Parse(data, "/")
		if err != nil {
			return
		}
		if p.TranscriptPath() == "/" || slices.Contains(p.Outputs(), p.TranscriptPath()) {
			t.Error("a plan without a transcript of its own was accepted")
		}
		p.Table(now)
	})
}
