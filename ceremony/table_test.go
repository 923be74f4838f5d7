package ceremony_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/coin"
)

// find returns the row of that part and name.
func find(t *testing.T, table *ceremony.Table, part, name string) ceremony.Row {
	t.Helper()
	for _, r := range table.Rows {
		if r.Part == part && r.Name == name {
			return r
		}
	}
	t.Errorf("no row %s %s in %+v", part, name, table.Rows)
	return ceremony.Row{}
}

func warned(table *ceremony.Table, text string) bool {
	return slices.ContainsFunc(table.Warnings, func(w string) bool { return strings.Contains(w, text) })
}

func TestATableSaysWhatAPlanWouldDo(t *testing.T) {
	w := newBank(t)
	table := must(w.parse(rotateText))(t).Table(now)
	for _, tt := range []struct{ part, name, value, effect string }{
		{"officers", "officers.yaml", "ADAMS, BAKER, CLARK", "2 of 3 must approve"},
		{"clock", "this machine", "2026-03-01T12:00:00Z", "compare it"},
		{"input", "previous", "keyset-1.jws", "sha256 "},
		{"token", "offline", w.p.Module, "file:offline.pin"},
		{"token", "online", w.p.Module, "file:online.pin"},
		{"key", "online/bearer-b-1", "RSA 2048", "made inside the token"},
		{"key", "online/receipts-b", "EC P-256", "made inside the token"},
		{"authority", "master", "offline/master", "must be the key of issuer.pem"},
		{"keyset", "TESTBANK, number 2", "", "follows keyset-1.jws"},
		{"series", "bearer-b", "1 bearer keys of 2048 bits, 0.01 to 0.01 EUR", "issued 2026-05-01T00:00:00Z to 2026-07-01T00:00:00Z, spent until 2027-07-01T00:00:00Z, owed until 2032-01-01T00:00:00Z"},
		{"certificate", "urn:specie:signing:TESTBANK", "2026-03-01T00:00:00Z to 2028-01-01T00:00:00Z", "master key"},
		{"output", "keyset", "keyset-2.jws", "never over a file"},
		{"output", "signing.chain", "signing-b.pem", "never over a file"},
		{"output", "transcript", "keyset-2.log", "closed by a signature"},
	} {
		if r := find(t, table, tt.part, tt.name); !strings.Contains(r.Value, tt.value) || !strings.Contains(r.Effect, tt.effect) {
			t.Errorf("%s %s: %q, %q", tt.part, tt.name, r.Value, r.Effect)
		}
	}
	if !warned(table, "token online is in software") || !warned(table, "it follows no ceremony") || len(table.Warnings) != 4 {
		t.Errorf("warnings: %q", table.Warnings)
	}
	for _, text := range []string{rootText, issuerText, signingText, fullText, groupText, certifyText, revokeText, orderText, restoreText, destroyText} {
		p := must(w.parse(strings.Replace(text, "REVOKED", strings.Repeat("A", 43), 1)))(t)
		if table := p.Table(now); len(table.Rows) < 5 || table.Ceremony != p.Kind {
			t.Errorf("%s: %+v", p.Kind, table)
		}
	}
}

func TestATableSaysWhatIsRevoked(t *testing.T) {
	w := newBank(t)
	set := w.keyset(t, "keyset-1.jws")
	one, two := set.Denominations[0].KeyID.String(), set.Denominations[1].KeyID.String()
	const idle = "no bearer key issues after this"
	plan := func(text string) *ceremony.Table {
		return must(w.parse(change(t, revokeText, "revoke: [REVOKED]", text)))(t).Table(now)
	}
	for _, tt := range []struct{ part, text, kid, value string }{
		{"revocation", "revoke: [" + one + "]", one, "bearer key of 0.01 EUR, spent until 2027-05-01T00:00:00Z"},
		{"loss", "lost: [" + two + "]", two, "bearer key of 0.02 EUR, spent until 2027-05-01T00:00:00Z"},
	} {
		table := plan(tt.text)
		if r := find(t, table, tt.part, tt.kid); r.Value != tt.value {
			t.Errorf("%s: %q", tt.part, r.Value)
		}
		if warned(table, idle) {
			t.Errorf("%s: a key is left that issues", tt.part)
		}
	}
	if table := plan("revoke: [" + one + "]\nlost: [" + two + "]"); !warned(table, idle) || warned(table, "no bound key") {
		t.Errorf("all are gone: %q", table.Warnings)
	}
	// What did not issue anyway is not missed.
	late := must(w.parse(change(t, revokeText, "revoke: [REVOKED]", "revoke: ["+one+", "+two+"]")))(t).Table(now.AddDate(0, 6, 0))
	if warned(late, idle) {
		t.Errorf("none issued before: %q", late.Warnings)
	}
	if table := plan("revoke: [" + strings.Repeat("B", 42) + "A]"); !warned(table, coin.ErrUnknownKey.Error()) {
		t.Errorf("a key that nobody knows: %q", table.Warnings)
	}
	w.write(t, "keyset-1.jws", "no keyset")
	if table := plan("revoke: [" + one + "]"); !warned(table, "previous: ") || find(t, table, "revocation", one).Value != "denomination key" {
		t.Errorf("no keyset: %q", table.Warnings)
	}
	w.write(t, "root.pem", "no root")
	if table := plan("revoke_signers: [signing.pem]"); !warned(table, "root: ") || find(t, table, "revocation", "signing.pem").Value != "online signing key" {
		t.Errorf("no root: %q", table.Warnings)
	}
}

func TestATableMissesPINFiles(t *testing.T) {
	w := newBank(t)
	table := func(text string) *ceremony.Table { return must(w.parse(text))(t).Table(now) }
	if got := table(destroyText); warned(got, "is not there") {
		t.Errorf("all are there: %q", got.Warnings)
	}
	for _, tt := range []struct{ file, warning string }{
		{"online.pin", "token online: the PIN file online.pin is not there"},
		{"online.so-pin", "token online: security officer: the PIN file online.so-pin is not there"},
	} {
		if err := os.Remove(w.path(tt.file)); err != nil {
			t.Fatal(err)
		}
		if got := table(destroyText); !warned(got, tt.warning) {
			t.Errorf("%s: %q", tt.file, got.Warnings)
		}
	}
}

func TestATableWarns(t *testing.T) {
	w := newBank(t)
	w.write(t, "alone.yaml", w.roster(t, 1, "ADAMS"))
	for _, tt := range []struct {
		name, text, warning string
		at                  time.Time
	}{
		{"of a long validity", change(t, rootText, "2046", "2066"), "valid for 40 years; 30 are usual", now},
		{"of a signing key with the validity of a master key", change(t, signingText, "until: 2027", "until: 2036"), "valid for 10 years; 3 are usual", now},
		{"of a certificate that is over", rootText, "over before it is made", now.AddDate(30, 0, 0)},
		{"of a certificate that has not begun", rootText, "begins in the future", now.AddDate(-2, 0, 0)},
		{"of keys that would never sign", denominationsText, "would never sign", now.AddDate(1, 0, 0)},
		{"of keys that nobody is told of", denominationsText, "nobody learns of these keys", now},
		{"of coins that live for ever", change(t, fullText, "spend_until: 2035", "spend_until: 2045", "legal_until: 2040", "legal_until: 2046"), "spent for 17 years", now},
		{"of a token that may be any", rootText, "token root has no serial number", now},
		{"of a lonely officer", "officers: alone.yaml" + rootText, "a single officer is enough", now},
		{"of officers that nobody can read", "officers: issuer.pem" + rootText, "officers: ", now},
		{"of an input that is not there", change(t, certifyText, "request.csr", "none.csr"), "none.csr", now},
		{"of a ceremony that follows none", signingText, "it follows no ceremony: only the officers that it names itself have to approve", now},
		{"of a tolerated lack", rootText + "absent: [CKA_COPYABLE]\n", "may lack CKA_COPYABLE", now},
		{"of what a revocation does", change(t, revokeText, "REVOKED", strings.Repeat("A", 43)), "no later keyset takes it back", now},
		{"of what an order does", orderText, "every payment that this member ever made", now},
		{"of missing keys", restoreText + "missing: [receipts]\n", "declared lost", now},
		{"of backups", destroyText, "backup", now},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if table := must(w.parse(tt.text))(t).Table(tt.at); !warned(table, tt.warning) {
				t.Errorf("warnings: %q", table.Warnings)
			}
		})
	}
}

func TestTheFirstCeremonyFollowsNone(t *testing.T) {
	w := newBank(t)
	for _, text := range []string{rootText, signingText + "follows: root.log\n"} {
		if table := must(w.parse(text))(t).Table(now); warned(table, "follows no ceremony") {
			t.Errorf("warnings: %q", table.Warnings)
		}
	}
}

func TestAPINThatIsAskedForShowsInTheTable(t *testing.T) {
	w := newBank(t)
	table := must(w.parse(strings.Replace(w.plan(rootText), "&pin-source=file:root.pin", "", 1)))(t).Table(now)
	if r := find(t, table, "token", "root"); !strings.Contains(r.Effect, "PIN asked for") {
		t.Errorf("%+v", r)
	}
}

func TestATableWithASerialNumberDoesNotWarnOfIt(t *testing.T) {
	w := newBank(t)
	text := strings.Replace(w.plan(issuerText), "token=offline;", "token=offline;serial=5e71a1;", 1)
	if table := must(w.parse(text))(t).Table(now); warned(table, "no serial number") {
		t.Errorf("of a token that is named, or that no key is made in: %q", table.Warnings)
	}
}
