package evidence_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/evidence"
	"github.com/speciecash/specie/issuer/issuertest"
)

func TestMain(m *testing.M) { os.Exit(issuertest.Main(m)) }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// scene is a bank where bearer and bound coins were paid, with change, and the
// papers about it.
type scene struct {
	*issuertest.Bank
	till  *issuertest.Till
	purse *issuertest.Purse
	m     *issuertest.Member
}

func newScene(t testing.TB) *scene {
	h := issuertest.NewHouse(t)
	s := &scene{Bank: h.NewBank(t, nil), purse: h.NewPurse(t), m: h.Admit(t)}
	s.till = s.NewTill(t)
	return s
}

// papers pays 10 with a bearer coin of 8 and a bound one of 4.
func (s *scene) papers(t testing.TB) *evidence.File {
	t.Helper()
	ctx := t.Context()
	account, _ := s.Funded(t, 12)
	batch := s.purse.Prepare(t, 8)
	bound := s.purse.PrepareBound(t, s.m, 4)
	batch.Planchets = append(batch.Planchets, bound.Planchets...)
	batch.Outputs = append(batch.Outputs, bound.Outputs...)
	drawn := must(s.Withdraw(ctx, account, batch.Outputs))(t)
	offer := s.till.Offer(t, 10, nil)
	spend, authorisation := s.purse.AuthoriseBound(t, s.m,
		issuertest.Payment(offer, batch.Finalize(t, drawn.Signatures), s.purse.Prepare(t, 2).Outputs))
	paid := must(s.Deposit(ctx, s.till.Account, s.till.Deposit(offer, spend, authorisation)))(t)
	own := coin.HolderReceipt{
		OfferDigest: offer.Digest, SpendDigest: spend.Digest(), Amount: spend.Amount, Currency: spend.Currency, At: issuertest.Now,
	}
	return &evidence.File{
		Root: s.House.Root.Fingerprint(), Offer: offer.JWS, Private: offer.PrivateBytes,
		Spend: must(coin.EncodeSpend(spend, authorisation))(t), BankReceipt: paid.Receipt,
		MerchantReceipt: must(own.Sign(s.till.Key))(t), Keyset: s.House.KeysetJWS, Groups: [][]byte{s.House.Sign(t)},
	}
}

// statuses are a report's, by claim.
func statuses(r *evidence.Report) map[string]evidence.Status {
	out := map[string]evidence.Status{}
	for _, c := range r.Claims {
		out[c.Name] = c.Status
	}
	return out
}

func allProven() map[string]evidence.Status {
	out := map[string]evidence.Status{}
	for _, name := range []string{
		evidence.ClaimRoot, evidence.ClaimKeyset, evidence.ClaimGroups, evidence.ClaimOffer, evidence.ClaimPrivate,
		evidence.ClaimCoins, evidence.ClaimOwners, evidence.ClaimDeposit, evidence.ClaimReceipt,
	} {
		out[name] = evidence.Proven
	}
	return out
}

func expect(t *testing.T, r *evidence.Report, change map[string]evidence.Status) {
	t.Helper()
	want := allProven()
	failed := false
	for name, status := range change {
		want[name] = status
		failed = failed || status == evidence.Fails
	}
	if got := statuses(r); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v: %+v", got, want, r.Claims)
	}
	if failed && !r.Failed() {
		t.Error("nothing is said to fail")
	}
}

func TestAFileProvesWhoDidWhatYearsLater(t *testing.T) {
	s := newScene(t)
	f := s.papers(t)
	data := must(f.Encode())(t)
	back := must(evidence.Parse(data))(t)
	r := evidence.Verify(back, s.House.Root, nil) // no clock is asked: certificates have ended
	expect(t, r, nil)
	if r.Failed() {
		t.Error("it is said to fail")
	}
	if again := must(back.Encode())(t); !bytes.Equal(again, data) {
		t.Error("the file that was read writes another")
	}
	text := fmt.Sprint(r.Claims)
	for _, want := range []string{coin.MerchantID(s.till.Key.Public().(ed25519.PublicKey)), issuertest.BankID} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not named in %s", want, text)
		}
	}
}

func TestEachPaperIsVerifiedAlone(t *testing.T) {
	s := newScene(t)
	full := s.papers(t)
	absent := func(but ...string) map[string]evidence.Status {
		out := map[string]evidence.Status{}
		for name := range allProven() {
			if name != evidence.ClaimRoot && !slices.Contains(but, name) {
				out[name] = evidence.Absent
			}
		}
		return out
	}
	tests := []struct {
		name   string
		keep   func(in, out *evidence.File)
		want   map[string]evidence.Status
		failed bool
	}{
		{"the offer", func(in, out *evidence.File) { out.Offer = in.Offer }, absent(evidence.ClaimOffer), false},
		{"the bank's receipt", func(in, out *evidence.File) { out.BankReceipt = in.BankReceipt }, absent(evidence.ClaimDeposit), false},
		{"the merchant's receipt", func(in, out *evidence.File) { out.MerchantReceipt = in.MerchantReceipt }, absent(evidence.ClaimReceipt), false},
		{"the payment, with what it is verified by", func(in, out *evidence.File) {
			out.Spend, out.Keyset, out.Groups = in.Spend, in.Keyset, in.Groups
		}, absent(evidence.ClaimKeyset, evidence.ClaimGroups, evidence.ClaimCoins, evidence.ClaimOwners), false},
		{"the payment by itself", func(in, out *evidence.File) { out.Spend = in.Spend }, absent(), true},
		{"nothing", func(_, _ *evidence.File) {}, absent(), true},
		{"all but what was bought", func(in, out *evidence.File) { *out = *in; out.Private = nil },
			map[string]evidence.Status{evidence.ClaimPrivate: evidence.Absent}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &evidence.File{Root: full.Root}
			tt.keep(full, f)
			r := evidence.Verify(must(evidence.Parse(must(f.Encode())(t)))(t), s.House.Root, nil)
			expect(t, r, tt.want)
			if r.Failed() != tt.failed {
				t.Errorf("failed is %t", r.Failed())
			}
		})
	}
}

func TestPapersOfTwoPaymentsDoNotFit(t *testing.T) {
	s := newScene(t)
	one, two := s.papers(t), s.papers(t)
	tests := []struct {
		name string
		swap func(f *evidence.File)
		want map[string]evidence.Status
	}{
		{"another offer", func(f *evidence.File) { f.Offer, f.Private = two.Offer, two.Private }, map[string]evidence.Status{
			evidence.ClaimOwners: evidence.Fails, evidence.ClaimDeposit: evidence.Fails, evidence.ClaimReceipt: evidence.Fails}},
		{"another private part", func(f *evidence.File) { f.Private = two.Private }, map[string]evidence.Status{evidence.ClaimPrivate: evidence.Fails}},
		{"another payment", func(f *evidence.File) { f.Spend = two.Spend }, map[string]evidence.Status{
			evidence.ClaimOwners: evidence.Fails, evidence.ClaimDeposit: evidence.Fails, evidence.ClaimReceipt: evidence.Fails}},
		{"another receipt of the bank", func(f *evidence.File) { f.BankReceipt = two.BankReceipt }, map[string]evidence.Status{evidence.ClaimDeposit: evidence.Fails}},
		{"another receipt of the merchant", func(f *evidence.File) { f.MerchantReceipt = two.MerchantReceipt }, map[string]evidence.Status{evidence.ClaimReceipt: evidence.Fails}},
		{"a receipt of the merchant's in the bank's place", func(f *evidence.File) { f.BankReceipt = f.MerchantReceipt }, map[string]evidence.Status{evidence.ClaimDeposit: evidence.Fails}},
		{"a receipt by another merchant", func(f *evidence.File) {
			stranger := s.NewTill(t)
			sp, _, err := coin.DecodeSpend(f.Spend)
			must(sp, err)(t)
			own := coin.HolderReceipt{OfferDigest: sp.OfferDigest, SpendDigest: sp.Digest(), Amount: sp.Amount, Currency: sp.Currency, At: issuertest.Now}
			f.MerchantReceipt = must(own.Sign(stranger.Key))(t)
		}, map[string]evidence.Status{evidence.ClaimReceipt: evidence.Fails}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := *one
			tt.swap(&f)
			expect(t, evidence.Verify(&f, s.House.Root, nil), tt.want)
		})
	}
}

func TestWhatTheBankRevokedSinceProvesNothing(t *testing.T) {
	s := newScene(t)
	f := s.papers(t)
	signer := coin.SignerKey(s.House.Receipts.Chain[0])
	next := s.House.Successor(t, s.House.Keyset, func(k *coin.Keyset) { k.RevokedSigners = [][32]byte{signer} })
	expect(t, evidence.Verify(f, s.House.Root, next), map[string]evidence.Status{
		evidence.ClaimNewer: evidence.Proven, evidence.ClaimDeposit: evidence.Fails})
	plain := s.House.Successor(t, s.House.Keyset, nil)
	expect(t, evidence.Verify(f, s.House.Root, plain), map[string]evidence.Status{evidence.ClaimNewer: evidence.Proven})

	f.Keyset = plain
	expect(t, evidence.Verify(f, s.House.Root, s.House.KeysetJWS), map[string]evidence.Status{evidence.ClaimNewer: evidence.Fails})
	fork := s.House.Successor(t, s.House.Keyset, func(k *coin.Keyset) { k.IssuedAt = k.IssuedAt.AddDate(0, 0, 1) })
	expect(t, evidence.Verify(f, s.House.Root, fork), map[string]evidence.Status{evidence.ClaimNewer: evidence.Fails})
	expect(t, evidence.Verify(f, s.House.Root, []byte("a.b.c")), map[string]evidence.Status{evidence.ClaimNewer: evidence.Fails})
}

// TestCoinsOfAKeyThatWasRevokedSinceNeedTheBanksReceipt: who has the key makes
// coins, and dates a payment with them as he likes.
func TestCoinsOfAKeyThatWasRevokedSinceNeedTheBanksReceipt(t *testing.T) {
	s := newScene(t)
	f := s.papers(t)
	kid := s.House.Key(t, coin.Bearer, 8).KeyID
	next := s.House.Successor(t, s.House.Keyset, func(k *coin.Keyset) {
		for i := range k.Denominations {
			k.Denominations[i].Revoked = k.Denominations[i].Revoked || k.Denominations[i].KeyID == kid
		}
	})
	expect(t, evidence.Verify(f, s.House.Root, next), map[string]evidence.Status{evidence.ClaimNewer: evidence.Proven})
	f.BankReceipt = nil
	expect(t, evidence.Verify(f, s.House.Root, nil), map[string]evidence.Status{evidence.ClaimDeposit: evidence.Absent})
	expect(t, evidence.Verify(f, s.House.Root, next), map[string]evidence.Status{
		evidence.ClaimNewer: evidence.Proven, evidence.ClaimDeposit: evidence.Absent, evidence.ClaimCoins: evidence.Absent})
}

// refused are the papers of a payment with a bound coin that was paid to somebody else
// before.
func (s *scene) refused(t testing.TB) (*evidence.File, *coin.ConflictProof) {
	t.Helper()
	account, _ := s.Funded(t, 4)
	batch := s.purse.PrepareBound(t, s.m, 4)
	drawn := must(s.Withdraw(t.Context(), account, batch.Outputs))(t)
	coins := batch.Finalize(t, drawn.Signatures)
	first, consent := s.purse.AuthoriseBound(t, s.m, issuertest.Payment(s.NewTill(t).Offer(t, 4, nil), coins, nil))
	offer := s.till.Offer(t, 4, nil)
	spend, authorisation := s.purse.AuthoriseBound(t, s.m, issuertest.Payment(offer, coins, nil))
	proof := &coin.ConflictProof{CoinID: coins[0].ID(), Spend: first, Authorisation: consent}
	return &evidence.File{
		Root: s.House.Root.Fingerprint(), Offer: offer.JWS, Spend: must(coin.EncodeSpend(spend, authorisation))(t),
		Conflict: must(json.Marshal(proof))(t), Keyset: s.House.KeysetJWS, Groups: [][]byte{s.House.Sign(t)},
	}, proof
}

func TestWhatTheBankRefusedAPaymentWithIsProven(t *testing.T) {
	s := newScene(t)
	good, proof := s.refused(t)
	if r := evidence.Verify(must(evidence.Parse(must(good.Encode())(t)))(t), s.House.Root, nil); r.Failed() || statuses(r)[evidence.ClaimConflict] != evidence.Proven {
		t.Errorf("%+v", r.Claims)
	}
	stranger, _ := s.refused(t)
	forged := func(change func(p *coin.ConflictProof)) []byte {
		p := *proof
		change(&p)
		return must(json.Marshal(&p))(t)
	}
	spend, authorisation, err := coin.DecodeSpend(good.Spend)
	must(spend, err)(t)
	for _, x := range []struct {
		name   string
		change func(f *evidence.File)
	}{
		{"the same payment once more", func(f *evidence.File) {
			f.Conflict = forged(func(p *coin.ConflictProof) { p.Spend, p.Authorisation = spend, authorisation })
		}},
		{"another coin's", func(f *evidence.File) { f.Conflict = stranger.Conflict }},
		{"a spend that the owner did not authorise", func(f *evidence.File) {
			f.Conflict = forged(func(p *coin.ConflictProof) { p.Authorisation = authorisation })
		}},
		{"nothing", func(f *evidence.File) { f.Conflict = []byte("null") }},
		{"without the payment", func(f *evidence.File) { f.Spend = nil }},
		{"without the bank's keys", func(f *evidence.File) { f.Keyset = nil }},
		{"without the group's", func(f *evidence.File) { f.Groups = nil }},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := *good
			x.change(&f)
			if r := evidence.Verify(&f, s.House.Root, nil); statuses(r)[evidence.ClaimConflict] == evidence.Proven {
				t.Errorf("%+v", r.Claims)
			}
		})
	}
}

func TestPapersUnderAnotherRootProveNothing(t *testing.T) {
	f, other := newScene(t).papers(t), otherRoot(t)
	r := evidence.Verify(f, other, nil)
	expect(t, r, map[string]evidence.Status{
		evidence.ClaimRoot: evidence.Fails, evidence.ClaimKeyset: evidence.Fails, evidence.ClaimGroups: evidence.Fails,
		evidence.ClaimCoins: evidence.Fails, evidence.ClaimOwners: evidence.Fails, evidence.ClaimDeposit: evidence.Fails})
}

// TestEveryFieldCounts: whatever is altered in a file, it does not read, or a claim
// fails.
func TestEveryFieldCounts(t *testing.T) {
	s := newScene(t)
	lost, _ := s.refused(t)
	for _, f := range []*evidence.File{s.papers(t), lost} {
		s.alter(t, f)
	}
}

// alter changes each field of a file, here and there.
func (s *scene) alter(t *testing.T, file *evidence.File) {
	t.Helper()
	data := must(file.Encode())(t)
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	n := 0
	try := func(what string) {
		n++
		f, err := evidence.Parse(must(json.Marshal(tree))(t))
		if err != nil {
			if !errors.Is(err, evidence.ErrMalformed) {
				t.Errorf("%s: %v", what, err)
			}
			return
		}
		if !evidence.Verify(f, s.House.Root, nil).Failed() {
			t.Errorf("%s: nothing fails", what)
		}
	}
	var walk func(path string, v any, set func(any))
	walk = func(path string, v any, set func(any)) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(path+"."+k, x, func(y any) { v[k] = y })
			}
		case []any:
			for i, x := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), x, func(y any) { v[i] = y })
			}
		case float64:
			set(v + 1)
			try(path)
			set(v)
		case string:
			for _, at := range places(v) {
				b := []byte(v)
				b[at] = map[bool]byte{true: 'A', false: 'B'}[b[at] != 'A']
				set(string(b))
				try(fmt.Sprintf("%s at %d of %d", path, at, len(v)))
			}
			set(v)
		}
	}
	walk("", tree, func(any) { t.Fatal("the file is no object") })
	if n < 60 {
		t.Errorf("only %d places were tried", n)
	}
}

// places are some of a text: of each part of a JWS the beginning, the middle and
// the end.
func places(text string) (out []int) {
	from := 0
	for part := range strings.SplitSeq(text, ".") {
		if n := len(part); n > 0 {
			out = append(out, from, from+n/2, from+n-1)
		}
		from += len(part) + 1
	}
	return slices.Compact(out)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"v":1,"type":"specie-evidence","root":"` + strings.Repeat("A", 43) + `","spend":{},"groups":["a.b.c"]}`))
	f.Add([]byte(`{"v":1,"type":"specie-evidence","root":"` + strings.Repeat("A", 43) + `","offer":"a.b.c","private":"AA","keyset":"a.b.c"}`))
	f.Add([]byte(`{"v":1,"type":"specie-evidence","root":"` + strings.Repeat("A", 43) + `","spend":{},"conflict":{"v":1,"coin":"` + strings.Repeat("A", 43) + `","spend":{}}}`))
	f.Add([]byte("{"))
	root := otherRoot(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := evidence.Parse(data)
		if err != nil {
			if !errors.Is(err, evidence.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if _, err := file.Encode(); err != nil {
			t.Fatal(err)
		}
		if !evidence.Verify(file, root, nil).Failed() {
			t.Fatal("it proves something that nobody signed")
		}
	})
}
