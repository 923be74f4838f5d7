package coin_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

func TestKeysetComesBackAsItWasSigned(t *testing.T) {
	m := theMint()
	want := m.plainKeyset()
	want.Denominations[0].Revoked, want.Denominations[1].Lost = true, true
	want.Denominations[2].DepositUntil = spendUntil.AddDate(0, 1, 0)
	want.Seq, want.Prev = 7, [32]byte{1}
	got, err := coin.ParseKeyset(m.root, m.sign(want), now)
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest == [32]byte{} {
		t.Fatal("no digest")
	}
	want.Digest = got.Digest
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestKeysetMustBeSignedByItsOwnMaster(t *testing.T) {
	m := theMint()
	payload, err := m.plainKeyset().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	stranger := &mint{}
	stranger.trust()
	cases := []struct {
		name string
		jws  []byte
		at   time.Time
		want error
	}{
		{"another bank's master", must(trust.Sign(trust.TypKeyset, payload, m.otherKey, m.other)), now, coin.ErrBank},
		{"the bank's online key", must(trust.Sign(trust.TypKeyset, payload, m.signingKey, m.signing)), now, trust.ErrRole},
		{"a master under another root", must(trust.Sign(trust.TypKeyset, payload, stranger.masterKey, stranger.master)), now, trust.ErrChain},
		{"another type of document", must(trust.Sign(trust.TypReceipt, payload, m.masterKey, m.master)), now, trust.ErrType},
		{"a master whose certificate has ended", m.jws, now.AddDate(2, 0, 0), trust.ErrExpired},
		{"no document", []byte("x"), now, trust.ErrMalformed},
		{"one issued a day ahead of the reader's clock", m.jws, m.keyset.IssuedAt.Add(-coin.MaxAhead), nil},
		{"one issued further ahead", m.jws, m.keyset.IssuedAt.Add(-coin.MaxAhead - time.Second), coin.ErrFuture},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := coin.ParseKeyset(m.root, c.jws, c.at)
			expect(t, err, c.want)
		})
	}
}

func TestKeysetRefusesToContradictItself(t *testing.T) {
	m := theMint()
	first := func(change func(*coin.Denomination)) func(*coin.Keyset) {
		return func(k *coin.Keyset) { change(&k.Denominations[0]) }
	}
	cases := []struct {
		name   string
		change func(*coin.Keyset)
		want   error
	}{
		{"a bank id in lower case", func(k *coin.Keyset) { k.Bank = "demobank" }, coin.ErrMalformed},
		{"no currency", func(k *coin.Keyset) { k.Currency = "" }, coin.ErrMalformed},
		{"a currency in lower case", func(k *coin.Keyset) { k.Currency = "eur" }, coin.ErrMalformed},
		{"a currency too long", func(k *coin.Keyset) { k.Currency = "EUROEUROE" }, coin.ErrMalformed},
		{"a negative exponent", func(k *coin.Keyset) { k.Exponent = -1 }, coin.ErrKeyset},
		{"an exponent too large", func(k *coin.Keyset) { k.Exponent = 9 }, coin.ErrKeyset},
		{"number 0", func(k *coin.Keyset) { k.Seq = 0 }, coin.ErrKeyset},
		{"a first with a predecessor", func(k *coin.Keyset) { k.Prev = [32]byte{1} }, coin.ErrKeyset},
		{"a second without one", func(k *coin.Keyset) { k.Seq = 2 }, coin.ErrKeyset},
		{"a number beyond JSON's integers", func(k *coin.Keyset) { k.Seq, k.Prev = 1<<60, [32]byte{1} }, coin.ErrKeyset},
		{"an unknown critical field", func(k *coin.Keyset) { k.Crit = []string{"demurrage"} }, coin.ErrCritical},
		{"too many critical fields", func(k *coin.Keyset) { k.Crit = slices.Repeat([]string{"v"}, 33) }, coin.ErrTooLarge},
		{"too many denominations", func(k *coin.Keyset) { k.Denominations = slices.Repeat(k.Denominations, 300) }, coin.ErrTooLarge},
		{"one key twice", func(k *coin.Keyset) { k.Denominations = append(k.Denominations, k.Denominations[0]) }, coin.ErrKeyset},
		{"one key twice under two values", func(k *coin.Keyset) {
			d := k.Denominations[0]
			d.Value = 16
			k.Denominations = append(k.Denominations, d)
		}, coin.ErrKeyset},
		{"a value of nothing", first(func(d *coin.Denomination) { d.Value = 0 }), coin.ErrKeyset},
		{"a negative value", first(func(d *coin.Denomination) { d.Value = -4 }), coin.ErrKeyset},
		{"a value that is no power of two", first(func(d *coin.Denomination) { d.Value = 5 }), coin.ErrKeyset},
		{"a value beyond the largest amount", first(func(d *coin.Denomination) { d.Value = 1 << 53 }), coin.ErrKeyset},
		{"no kind", first(func(d *coin.Denomination) { d.Kind = "" }), coin.ErrMalformed},
		{"a kind in upper case", first(func(d *coin.Denomination) { d.Kind = "Bearer" }), coin.ErrMalformed},
		{"a kind too long", first(func(d *coin.Denomination) { d.Kind = "aaaaaaaaaaaaaaaaa" }), coin.ErrMalformed},
		{"no key", first(func(d *coin.Denomination) { d.PublicKey = nil }), coin.ErrMalformed},
		{"another key's id", first(func(d *coin.Denomination) { d.KeyID = m.four.KeyID }), coin.ErrKeyset},
		{"issue ending as it begins", first(func(d *coin.Denomination) { d.IssueUntil = d.IssueFrom }), coin.ErrKeyset},
		{"spending ending before issue", first(func(d *coin.Denomination) { d.SpendUntil = d.IssueUntil.Add(-time.Second) }), coin.ErrKeyset},
		{"the debt ending with spending", first(func(d *coin.Denomination) { d.LegalUntil = d.SpendUntil }), coin.ErrKeyset},
		{"deposits ending with spending", first(func(d *coin.Denomination) { d.DepositUntil = d.SpendUntil }), coin.ErrKeyset},
		{"deposits ending with the debt", first(func(d *coin.Denomination) { d.DepositUntil = d.LegalUntil }), coin.ErrKeyset},
		{"a fraction of a second", first(func(d *coin.Denomination) { d.LegalUntil = d.LegalUntil.Add(time.Millisecond) }), coin.ErrMalformed},
		{"no time of issue", func(k *coin.Keyset) { k.IssuedAt = time.Time{} }, coin.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k := m.plainKeyset()
			c.change(k)
			_, err := k.Marshal()
			expect(t, err, c.want)
		})
	}
}

// What Marshal refuses must be refused on reading too: the master's tool is
// not the only one that can sign.
func TestSignedKeysetIsRefused(t *testing.T) {
	m := theMint()
	good, err := m.plainKeyset().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	denomination := func(name string, value any) func(map[string]any) {
		return func(k map[string]any) { k["denominations"].([]any)[0].(map[string]any)[name] = value }
	}
	set := func(name string, value any) func(map[string]any) { return func(k map[string]any) { k[name] = value } }
	other := m.four.KeyID.String()
	cases := []struct {
		name   string
		change func(map[string]any)
		want   error
	}{
		{"unchanged", func(map[string]any) {}, nil},
		{"an unknown field", set("motto", "in gold we trust"), nil},
		{"an unknown field of a denomination", denomination("colour", "red"), nil},
		{"a field it must understand and does", set("crit", []string{"deposit_until", "revoked"}), nil},
		{"an unknown kind", denomination("kind", "offline"), nil},
		{"a field it must understand and does not", set("crit", []string{"motto"}), coin.ErrCritical},
		{"version 2", set("v", 2), coin.ErrMalformed},
		{"no version", func(k map[string]any) { delete(k, "v") }, coin.ErrMalformed},
		{"number 0", set("seq", 0), coin.ErrKeyset},
		{"a negative number", set("seq", -1), coin.ErrMalformed},
		{"a time zone", set("issued_at", "2026-01-01T00:00:00+01:00"), coin.ErrMalformed},
		{"a fraction of a second", set("issued_at", "2026-01-01T00:00:00.5Z"), coin.ErrMalformed},
		{"a time before 1970", set("issued_at", "1969-12-31T23:59:59Z"), coin.ErrMalformed},
		{"a hash that is short", set("prev", "AAAA"), coin.ErrMalformed},
		{"another key's id", denomination("kid", other), coin.ErrKeyset},
		{"a key that is none", denomination("spki", "AAAA"), coin.ErrMalformed},
		{"a fractional value", denomination("value", 1.5), coin.ErrMalformed},
		{"a value of nothing", denomination("value", 0), coin.ErrKeyset},
		{"a value as text", denomination("value", "1"), coin.ErrMalformed},
		{"issue ending before it begins", denomination("issue_until", "2020-01-01T00:00:00Z"), coin.ErrKeyset},
		{"a denomination twice", func(k map[string]any) {
			ds := k["denominations"].([]any)
			k["denominations"] = append(ds, ds[0])
		}, coin.ErrKeyset},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var doc map[string]any
			if err := json.Unmarshal(good, &doc); err != nil {
				t.Fatal(err)
			}
			c.change(doc)
			payload, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			_, err = coin.ParseKeyset(m.root, must(trust.Sign(trust.TypKeyset, payload, m.masterKey, m.master)), now)
			expect(t, err, c.want)
		})
	}
	for name, payload := range map[string]string{
		"a doubled member": strings.Replace(string(good), `"seq":1`, `"seq":1,"seq":1`, 1),
		"bytes after it":   string(good) + "{}",
	} {
		if _, err := coin.ParseKeysetPayload([]byte(payload)); !errors.Is(err, coin.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := coin.ParseKeysetPayload(make([]byte, coin.MaxKeyset+1)); !errors.Is(err, coin.ErrTooLarge) {
		t.Errorf("too large: got %v", err)
	}
}

func TestDatesOfAKey(t *testing.T) {
	d := theMint().one
	with := func(change func(*coin.Denomination)) coin.Denomination { c := d; change(&c); return c }
	revoked := with(func(d *coin.Denomination) { d.Revoked = true })
	lost := with(func(d *coin.Denomination) { d.Lost = true })
	unknown := with(func(d *coin.Denomination) { d.Kind = "offline" })
	cases := []struct {
		name         string
		d            coin.Denomination
		at           time.Time
		issue, spend error
	}{
		{"a second before issue", d, issueFrom.Add(-time.Second), coin.ErrKeyNotYet, coin.ErrKeyNotYet},
		{"as issue begins", d, issueFrom, nil, nil},
		{"a second before issue ends", d, issueUntil.Add(-time.Second), nil, nil},
		{"as issue ends", d, issueUntil, coin.ErrKeyExpired, nil},
		{"a second before spending ends", d, spendUntil.Add(-time.Second), coin.ErrKeyExpired, nil},
		{"as spending ends", d, spendUntil, coin.ErrKeyExpired, coin.ErrKeyExpired},
		{"revoked", revoked, now, coin.ErrRevoked, coin.ErrRevoked},
		{"lost", lost, now, coin.ErrLost, nil},
		{"of an unknown kind", unknown, now, coin.ErrUnknownKind, coin.ErrUnknownKind},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			expect(t, c.d.CheckIssue(c.at), c.issue)
			expect(t, c.d.CheckSpend(c.at), c.spend)
		})
	}
}

func TestFindAndForIssue(t *testing.T) {
	m := theMint()
	d, err := m.keyset.Find(m.four.KeyID)
	if err != nil || d.Value != 4 {
		t.Fatalf("got %v, %v", d, err)
	}
	_, err = m.keyset.Find(coin.KeyID{})
	expect(t, err, coin.ErrUnknownKey)
	values := func(ds []coin.Denomination) (out []coin.Amount) {
		for _, d := range ds {
			out = append(out, d.Value)
		}
		return out
	}
	if got := values(m.keyset.ForIssue(coin.Bearer, now)); !slices.Equal(got, []coin.Amount{8, 4, 1}) {
		t.Fatalf("bearer: got %v", got)
	}
	if got := values(m.keyset.ForIssue(coin.Bound, now)); !slices.Equal(got, []coin.Amount{8}) {
		t.Fatalf("bound: got %v", got)
	}
	if got := m.keyset.ForIssue(coin.Bearer, issueUntil); got != nil {
		t.Fatalf("after issue: got %v", values(got))
	}
	if got := m.keysetWith(func(k *coin.Keyset) { k.Denominations[2].Revoked = true }).ForIssue(coin.Bearer, now); len(got) != 2 {
		t.Fatalf("with one revoked: got %v", values(got))
	}
}

func TestCheckSuccessor(t *testing.T) {
	m := theMint()
	previous := m.keysetWith(func(k *coin.Keyset) {
		k.Seq, k.Prev = 5, [32]byte{4}
		k.Denominations[1].Revoked, k.Denominations[2].Lost = true, true
		k.Denominations[3].DepositUntil = spendUntil.AddDate(0, 1, 0)
	})
	next := func(change func(*coin.Keyset)) *coin.Keyset {
		k := *previous
		k.Denominations = slices.Clone(k.Denominations)
		k.Seq, k.Prev, k.Digest, k.IssuedAt = 6, previous.Digest, [32]byte{66}, now
		change(&k)
		return &k
	}
	first := func(change func(*coin.Denomination)) *coin.Keyset {
		return next(func(k *coin.Keyset) { change(&k.Denominations[0]) })
	}
	cases := []struct {
		name string
		k    *coin.Keyset
		want error
	}{
		{"the next one", next(func(*coin.Keyset) {}), nil},
		{"the same one", previous, nil},
		{"a later one across a gap", next(func(k *coin.Keyset) { k.Seq, k.Prev = 9, [32]byte{8} }), nil},
		{"a new key", next(func(k *coin.Keyset) {
			k.Denominations = append(k.Denominations, m.denominationOfSpare())
		}), nil},
		{"a key newly revoked", first(func(d *coin.Denomination) { d.Revoked = true }), nil},
		{"a key spent longer", first(func(d *coin.Denomination) { d.SpendUntil = d.SpendUntil.AddDate(0, 1, 0) }), nil},
		{"a key gone after its debt ended", next(func(k *coin.Keyset) {
			k.IssuedAt, k.Denominations = legalUntil, k.Denominations[1:]
		}), nil},
		{"an older one", next(func(k *coin.Keyset) { k.Seq = 4 }), coin.ErrRollback},
		{"another of the same number", next(func(k *coin.Keyset) { k.Seq = 5 }), coin.ErrFork},
		{"a next one of another line", next(func(k *coin.Keyset) { k.Prev = [32]byte{3} }), coin.ErrFork},
		{"another bank", next(func(k *coin.Keyset) { k.Bank = "OTHERBANK" }), coin.ErrBank},
		{"another currency", next(func(k *coin.Keyset) { k.Currency = "USD" }), coin.ErrCurrency},
		{"another exponent", next(func(k *coin.Keyset) { k.Exponent = 3 }), coin.ErrCurrency},
		{"issued before its predecessor", next(func(k *coin.Keyset) { k.IssuedAt = previous.IssuedAt.Add(-time.Second) }), coin.ErrKeyset},
		{"a key gone", next(func(k *coin.Keyset) { k.Denominations = k.Denominations[1:] }), coin.ErrKeyset},
		{"a key gone across a gap", next(func(k *coin.Keyset) { k.Seq, k.Denominations = 9, k.Denominations[1:] }), coin.ErrKeyset},
		{"another value", first(func(d *coin.Denomination) { d.Value = 2 }), coin.ErrKeyset},
		{"another kind", first(func(d *coin.Denomination) { d.Kind = coin.Bound }), coin.ErrKeyset},
		{"issued from another time", first(func(d *coin.Denomination) { d.IssueFrom = d.IssueFrom.Add(-time.Hour) }), coin.ErrKeyset},
		{"issued longer", first(func(d *coin.Denomination) { d.IssueUntil = d.IssueUntil.Add(time.Hour) }), coin.ErrKeyset},
		{"spent shorter", first(func(d *coin.Denomination) { d.SpendUntil = d.SpendUntil.Add(-time.Second) }), coin.ErrKeyset},
		{"owed shorter", first(func(d *coin.Denomination) { d.LegalUntil = d.LegalUntil.Add(-time.Second) }), coin.ErrKeyset},
		{"deposited shorter", next(func(k *coin.Keyset) { k.Denominations[3].DepositUntil = spendUntil.Add(time.Hour) }), coin.ErrKeyset},
		{"deposits without an end again", next(func(k *coin.Keyset) { k.Denominations[3].DepositUntil = time.Time{} }), coin.ErrKeyset},
		{"revoked no more", next(func(k *coin.Keyset) { k.Denominations[1].Revoked = false }), coin.ErrKeyset},
		{"lost no more", next(func(k *coin.Keyset) { k.Denominations[2].Lost = false }), coin.ErrKeyset},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, c.k.CheckSuccessor(previous), c.want) })
	}
}

func (m *mint) denominationOfSpare() coin.Denomination {
	d := m.one
	d.PublicKey = &m.spare.PublicKey
	d.KeyID = must(coin.NewKeyID(d.PublicKey))
	return d
}

func FuzzKeysetPayload(f *testing.F) {
	m := theMint()
	f.Add(must(m.plainKeyset().Marshal()))
	f.Add([]byte(`{"v":1,"bank":"DEMOBANK","currency":"EUR","exponent":2,"seq":1,"prev":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","issued_at":"2026-01-01T00:00:00Z","crit":[],"denominations":[]}`))
	f.Add([]byte(`{"crit":["x"]}`))
	revoking := m.plainKeyset()
	revoking.RevokedSigners = [][32]byte{{1}, {2}}
	f.Add(must(revoking.Marshal()))
	f.Fuzz(func(t *testing.T, payload []byte) {
		k, err := coin.ParseKeysetPayload(payload)
		if err != nil {
			return
		}
		again, err := k.Marshal()
		if err != nil {
			t.Fatalf("accepted and not written again: %v", err)
		}
		back, err := coin.ParseKeysetPayload(again)
		if err != nil {
			t.Fatal(err)
		}
		back.Digest = k.Digest
		if diff := cmp.Diff(k.Denominations, back.Denominations); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(k.RevokedSigners, back.RevokedSigners); diff != "" {
			t.Fatal(diff)
		}
	})
}
