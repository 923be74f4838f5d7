package opening_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"testing"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/opening/openingtest"
	"github.com/speciecash/specie/trust"
)

// parts lets supervisors (index 1 …) each do his part from the case's file.
func (w *world) parts(t testing.TB, c *opening.Case, indices ...int) []*opening.Part {
	t.Helper()
	file := must(c.Marshal())(t)
	var out []*opening.Part
	for _, i := range indices {
		read := must(opening.ParseCase(file))(t)
		part := must(w.partial(t, read, w.Shares[i-1]))(t)
		out = append(out, must(opening.ParsePart(must(part.Marshal())(t)))(t))
	}
	return out
}

func TestTwoSupervisorsNameTheDoubleSpender(t *testing.T) {
	w := newWorld(t)
	w.admit(t, "Ada Honest")
	thief := w.admit(t, "Eva Example")
	c := w.doubleSpend(t, thief)
	o, f, err := w.combine(t, c, w.parts(t, c, 3, 1))
	if err != nil {
		t.Fatal(err)
	}
	if f.Tag != thief.Join.F.Bytes() {
		t.Error("the opening names another tag")
	}
	if !slices.Equal(f.Supervisors, []string{"OFFICER1", "OFFICER3"}) {
		t.Errorf("supervisors %v", f.Supervisors)
	}

	file := must(o.Marshal())(t)
	if tag, entry, err := opening.TagFor(w.Root, f.Group.GroupID(), file, nil, now); err != nil || tag != f.Tag || entry != w.Register.Entries[0] {
		t.Errorf("the manager reads another tag or entry out of the file: %v", err)
	}
	if _, _, err := opening.TagFor(w.Root, group.ID{}, file, nil, now); !errors.Is(err, opening.ErrForeign) {
		t.Errorf("the manager of another group: %v", err)
	}
	o = must(opening.ParseOpening(file))(t)
	e, _, err := opening.Attach(w.Root, o, w.state(t, thief), now)
	if err != nil {
		t.Fatal(err)
	}
	e = must(opening.ParseEvidence(must(e.Marshal())(t)))(t)
	v := must(e.Verify(w.Root, now))(t)
	if v.Value() != "1.28 EUR" {
		t.Errorf("a coin of %s", v.Value())
	}
	if v.Member.Name != "Eva Example" || v.Member.Member != thief.Statement.Member || v.Member.Tag != thief.Join.F.Bytes() {
		t.Errorf("verdict on %+v", v.Member)
	}
}

func TestOneSupervisorAloneIsRefused(t *testing.T) {
	w := newWorld(t)
	c := w.doubleSpend(t, w.admit(t, "Eva Example"))
	one := w.parts(t, c, 2)
	for name, parts := range map[string][]*opening.Part{"one part": one, "one part twice": append(one, one[0]), "none": nil} {
		if _, _, err := w.combine(t, c, parts); !errors.Is(err, group.ErrQuorum) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPartThatIsNotOfThisCaseIsRefused(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t, "Eva Example")
	c := w.doubleSpend(t, m)
	another := w.parts(t, w.doubleSpend(t, m), 2)[0]
	good := w.parts(t, c, 1)[0]
	relabelled := *another
	relabelled.Case, relabelled.Warrant = c.Digest(), good.Warrant
	otherGroup := *another
	otherGroup.Group = "OTHERGROUP"
	otherWarrant := *good
	otherWarrant.Warrant = another.Warrant
	flipped := w.parts(t, c, 2)[0]
	b := flipped.Partial.Bytes()
	b[97] ^= 1
	flipped.Partial = must(group.ParsePartialOpening(b))(t)
	renumbered := w.parts(t, c, 2)[0]
	renumbered.Partial.Index = 3
	tests := []struct {
		name string
		part *opening.Part
		want error
	}{
		{"another case's", another, opening.ErrForeign},
		{"another case's under this one's label", &relabelled, group.ErrPartial},
		{"another group's", &otherGroup, opening.ErrForeign},
		{"made on another warrant", &otherWarrant, opening.ErrForeign},
		{"a bit flipped", flipped, group.ErrPartial},
		{"in another supervisor's name", renumbered, group.ErrPartial},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := w.combine(t, c, []*opening.Part{good, tt.part}); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestASupervisorRefusesWhatIsNoDoubleSpend(t *testing.T) {
	w := newWorld(t)
	m, other := w.admit(t, "Eva Example"), w.admit(t, "Ada Honest")
	bound, second, foreign := w.bound(t, m), w.bound(t, m), w.bound(t, other)
	_, owner, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	bearer := w.mint(t, coin.Bearer, coin.Owner(owner.Public().(ed25519.PublicKey)))
	first := w.pay(t, m, 1, nil, bound)
	mixed := w.pay(t, m, 2, owner, bound, bearer)

	resent := first // the same payment, written again with another time
	s := *first.Spend
	s.IssuedAt += 60
	resent.Spend = must(coin.NewSpend(s))(t)
	resent.Authorisation = must(m.Authorise(t.Context(), resent.Spend, nil))(t)

	asked := resent // a recover of a coin that the lost TPM had spent
	r := coin.Spend{Purpose: coin.Recover, Bank: bankID, Amount: 128, Currency: "EUR", Coins: first.Coins, Group: first.Group, IssuedAt: now.Unix()}
	asked.Spend = must(coin.NewSpend(r))(t)

	unsigned := w.pay(t, m, 3, nil, bound)
	unsigned.Authorisation = &coin.Authorisation{Presentation: first.Authorisation.Presentation}

	forged := bound
	forged.Signature = bytes.Clone(bound.Signature)
	forged.Signature[9] ^= 1

	stolen := w.pay(t, m, 4, nil, second)
	stolen.Coins = []coin.Coin{foreign}

	tests := []struct {
		name   string
		coin   coin.Coin
		spends [2]opening.Spend
		want   error
	}{
		{"the same spend twice", bound, [2]opening.Spend{first, first}, opening.ErrNoCase},
		{"one payment sent again", bound, [2]opening.Spend{first, resent}, opening.ErrNoCase},
		{"the coin is in one spend only", bound, [2]opening.Spend{first, w.pay(t, m, 5, nil, second)}, opening.ErrNoCase},
		{"the coin is in neither", second, [2]opening.Spend{first, w.pay(t, m, 5, nil, bound)}, opening.ErrNoCase},
		{"a bearer coin beside bound ones", bearer, [2]opening.Spend{mixed, w.pay(t, m, 3, owner, bearer)}, opening.ErrNoCase},
		{"bearer coins only", bearer, [2]opening.Spend{w.pay(t, m, 1, owner, bearer), w.pay(t, m, 3, owner, bearer)}, opening.ErrNoCase},
		{"a coin that is asked back after it was spent", bound, [2]opening.Spend{first, asked}, opening.ErrNoCase},
		{"a presentation copied from the first spend", bound, [2]opening.Spend{first, unsigned}, coin.ErrBinding},
		{"an earlier spend that nobody authorised", bound, [2]opening.Spend{unsigned, first}, coin.ErrBinding},
		{"a coin that the bank never signed", forged, [2]opening.Spend{w.pay(t, m, 1, nil, forged), w.pay(t, m, 2, nil, forged)}, coin.ErrCoinSignature},
		{"somebody else's coin put into a payment", foreign, [2]opening.Spend{w.pay(t, other, 1, nil, foreign), stolen}, coin.ErrBinding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &opening.Case{Bank: bankID, CoinID: tt.coin.ID(), Spends: tt.spends}
			if _, err := w.partial(t, c, w.Shares[0]); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestALeakedKeyConvictsNobody(t *testing.T) {
	w := newWorld(t)
	broken := must(openingtest.NewKey())(t)
	c := w.doubleSpend(t, w.admitWith(t, "Eva Example", broken, nil))
	f := broken.F.Bytes()
	// Opened under a document that does not name the key yet, and shown to a
	// manager who knows better.
	o, found, err := w.combine(t, c, w.parts(t, c, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	file := must(o.Marshal())(t)
	if _, _, err := opening.TagFor(w.Root, found.Group.GroupID(), file, [][]byte{f[:]}, now); !errors.Is(err, group.ErrLeaked) {
		t.Errorf("an older document hides the leak from the manager: %v", err)
	}
	w.Contents.Leaked = [][]byte{f[:]}
	w.groupJWS = w.Group.Sign(t)
	if _, err := w.partial(t, c, w.Shares[0]); !errors.Is(err, group.ErrLeaked) {
		t.Errorf("got %v", err)
	}
}

func TestAnEpochThatWasNeverAnnouncedIsRefused(t *testing.T) {
	w := newWorld(t)
	c := w.doubleSpend(t, w.admit(t, "Eva Example"))
	earlier := w.Contents.Current
	earlier.Number = 5
	w.Contents.Current = earlier
	w.Contents.Next.Number = 6
	w.groupJWS = w.Group.Sign(t)
	if _, err := w.partial(t, c, w.Shares[0]); !errors.Is(err, group.ErrEpoch) {
		t.Errorf("got %v", err)
	}
}

func TestAPaymentOfAPastEpochIsOpened(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t, "Eva Example")
	c := w.doubleSpend(t, m)
	w.Contents.Current.Number = 40
	w.Contents.Next.Number = 41
	w.groupJWS = w.Group.Sign(t)
	if _, f, err := w.combine(t, c, w.parts(t, c, 1, 2)); err != nil || f.Tag != m.Join.F.Bytes() {
		t.Errorf("got %v", err)
	}
}

func TestDocumentsOfAnotherRootAreRefused(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	if _, err := opening.ReadPapers(w.Root, w.keysetJWS, other.groupJWS, now); !errors.Is(err, trust.ErrChain) {
		t.Errorf("group document: %v", err)
	}
	if _, err := opening.ReadPapers(w.Root, other.keysetJWS, w.groupJWS, now); !errors.Is(err, trust.ErrChain) {
		t.Errorf("keyset: %v", err)
	}
	c := w.doubleSpend(t, w.admit(t, "Eva Example"))
	o, _, err := w.combine(t, c, w.parts(t, c, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Verify(other.Root, now); !errors.Is(err, trust.ErrChain) {
		t.Errorf("opening: %v", err)
	}
	foreign := &opening.Case{Bank: c.Bank, CoinID: c.CoinID, Spends: c.Spends}
	if _, err := other.partial(t, foreign, other.Shares[0]); err == nil {
		t.Error("a case of another bank and group was opened")
	}
	if _, err := w.partial(t, c, other.Shares[0]); !errors.Is(err, group.ErrShare) {
		t.Errorf("a share of another group: %v", err)
	}
}

func TestTheStatementMustBeAboutTheOpenedMember(t *testing.T) {
	w := newWorld(t)
	thief, innocent := w.admit(t, "Eva Example"), w.admit(t, "Ada Honest")
	c := w.doubleSpend(t, thief)
	o, _, err := w.combine(t, c, w.parts(t, c, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	lie := func(field string, value any) []byte {
		return w.lie(t, thief, func(j map[string]any) { j[field] = value })
	}
	// A manager who certified keys that are not of his class, or who looks at
	// another point than the one that joins.
	decrypting := w.admitWith(t, "Eva Example", thief.Key, func(s *enrol.Statement) { s.KeyPublic[5] ^= 2 })
	swapped := w.admitWith(t, "Eva Example", thief.Key, func(s *enrol.Statement) { s.KeyPublic = innocent.Statement.KeyPublic })
	unsigned := w.state(t, thief)
	// Another character of the alphabet: a flipped bit may leave base64url.
	if at := len(unsigned) - 20; unsigned[at] != 'A' {
		unsigned[at] = 'A'
	} else {
		unsigned[at] = 'B'
	}
	manager := w.Manager
	w.Manager = w.Certify(t, trust.Name{Role: trust.RoleGroup, ID: "OTHERGROUP"}, now)
	byAnother := w.state(t, thief)
	w.Manager = w.Certify(t, trust.Name{Role: trust.RoleSupervisor, ID: groupdoctest.Name}, now)
	bySupervisor := w.state(t, thief)
	w.Manager = manager
	tests := []struct {
		name      string
		statement []byte
		want      error
	}{
		{"about another member", w.state(t, innocent), opening.ErrStatement},
		{"with another member's transcript", lie("join", encoded(innocent.Join.Bytes())), enrol.ErrStatement},
		{"with another name than he joined with", lie("form", encoded(innocent.Statement.Form)), enrol.ErrStatement},
		{"with another salt", lie("salt", encoded(make([]byte, 32))), enrol.ErrStatement},
		{"with another endorsement key", lie("ek", encoded(make([]byte, 32))), enrol.ErrStatement},
		{"with another group key", lie("key_public", encoded(innocent.Statement.KeyPublic)), enrol.ErrStatement},
		{"about a key of another class", w.state(t, decrypting), attest.ErrTemplate},
		{"about another point than he joined with", w.state(t, swapped), opening.ErrStatement},
		{"about another group", lie("group", "OTHERGROUP"), enrol.ErrStatement},
		{"by another manager", byAnother, enrol.ErrStatement},
		{"by a supervisor", bySupervisor, trust.ErrRole},
		{"with a broken signature", unsigned, opening.ErrStatement},
		{"without a transcript", w.lie(t, thief, func(j map[string]any) { delete(j, "join") }), enrol.ErrMalformed},
		{"the group document in its place", w.groupJWS, trust.ErrType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := opening.Attach(w.Root, o, tt.statement, now)
			if !errors.Is(err, tt.want) || !errors.Is(err, opening.ErrStatement) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestEvidenceAndOpeningAreToldApart(t *testing.T) {
	w := newWorld(t)
	thief := w.admit(t, "Eva Example")
	c := w.doubleSpend(t, thief)
	o, _, err := w.combine(t, c, w.parts(t, c, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := opening.Attach(w.Root, o, w.state(t, thief), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opening.ParseEvidence(must(o.Marshal())(t)); !errors.Is(err, opening.ErrMalformed) {
		t.Errorf("an opening as evidence: %v", err)
	}
	if _, err := opening.ParseOpening(must(e.Marshal())(t)); !errors.Is(err, opening.ErrMalformed) {
		t.Errorf("evidence as an opening: %v", err)
	}
}

func TestFilesOfAnotherFormAreRefused(t *testing.T) {
	w := newWorld(t)
	c := w.doubleSpend(t, w.admit(t, "Eva Example"))
	file := string(must(c.Marshal())(t))
	part := string(must(w.parts(t, c, 1)[0].Marshal())(t))
	caseFile := func(s string) error { _, err := opening.ParseCase([]byte(s)); return err }
	partFile := func(s string) error { _, err := opening.ParsePart([]byte(s)); return err }
	replace := func(s, old, new string) string {
		out := bytes.Replace([]byte(s), []byte(old), []byte(new), 1)
		if string(out) == s {
			t.Fatalf("nothing to replace: %s", old)
		}
		return string(out)
	}
	tests := []struct {
		name  string
		parse func(string) error
		file  string
		want  error
	}{
		{"empty case", caseFile, "", opening.ErrMalformed},
		{"case of another version", caseFile, replace(file, `"v":1`, `"v":2`), opening.ErrMalformed},
		{"case with an unknown member", caseFile, replace(file, `"v":1`, `"v":1,"note":"x"`), opening.ErrMalformed},
		{"case of one spend", caseFile, `{"v":1,"bank":"TESTBANK","coin_id":"` + string(bytes.Repeat([]byte("A"), 43)) + `","spends":[]}`, opening.ErrMalformed},
		{"case of another bank's spends", caseFile, replace(file, `"bank":"TESTBANK"`, `"bank":"OTHERBANK"`), coin.ErrBank},
		{"case larger than two spends", caseFile, file + string(bytes.Repeat([]byte(" "), opening.MaxCase)), opening.ErrMalformed},
		{"part of another version", partFile, replace(part, `"v":1`, `"v":3`), opening.ErrMalformed},
		{"part with a short proof", partFile, replace(part, `"partial":"`, `"partial":"AAAA`), opening.ErrMalformed},
		{"part with a line break", partFile, replace(part, `"partial":"`, `"partial":"\n`), opening.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.parse(tt.file); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func FuzzParseOpening(f *testing.F) {
	w := newWorld(f)
	thief := w.admit(f, "Eva Example")
	c := w.doubleSpend(f, thief)
	parts := w.parts(f, c, 1, 2)
	o, _, err := w.combine(f, c, parts)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(must(c.Marshal())(f))
	f.Add(must(parts[0].Marshal())(f))
	f.Add(must(o.Marshal())(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := opening.ParseCase(data); err == nil {
			if _, err := c.Marshal(); err != nil {
				t.Errorf("a case that was read can't be written: %v", err)
			}
		}
		if p, err := opening.ParsePart(data); err == nil && p.Partial.Index == 0 && len(p.Partial.Bytes()) != group.PartialOpeningSize {
			t.Error("a part of another size")
		}
		if o, err := opening.ParseOpening(data); err == nil {
			if _, err := o.Marshal(); err != nil {
				t.Errorf("an opening that was read can't be written: %v", err)
			}
		}
	})
}
