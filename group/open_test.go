package group

import (
	"fmt"
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

func (w *world) partials(t testing.TB, v *Verifier, it Item, who ...int) []*PartialOpening {
	t.Helper()
	var out []*PartialOpening
	for _, i := range who {
		po, err := OpenPartial(v, w.key, w.shares[i-1], it)
		must(t, err)
		back, err := ParsePartialOpening(po.Bytes())
		must(t, err)
		out = append(out, back)
	}
	return out
}

func (w *world) trace(t testing.TB, c *citizen, who ...int) TracingToken {
	t.Helper()
	if len(who) == 0 {
		who = []int{1, 3}
	}
	var parts []*PartialTrace
	for _, i := range who {
		pt, err := TracePartial(w.params, w.key, w.shares[i-1], c.join, c.jc)
		must(t, err)
		back, err := ParsePartialTrace(pt.Bytes())
		must(t, err)
		parts = append(parts, back)
	}
	tok, err := CombineTrace(w.params, w.key, c.join, parts)
	must(t, err)
	return tok
}

func TestAnyTwoOfThreeSupervisorsOpen(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	claims := m.coins(t, 1)
	it := Item{m.present(t, "m", claims...).Bytes(), []byte("m"), claims}
	for _, who := range [][]int{{1, 2}, {2, 3}, {3, 1}, {1, 2, 3}} {
		f, err := CombineOpening(v, w.key, it, w.partials(t, v, it, who...))
		must(t, err)
		if f != m.tag.Bytes() {
			t.Fatalf("supervisors %v name another member", who)
		}
	}
	refusals := []struct {
		name  string
		parts func() []*PartialOpening
		item  Item
		want  error
	}{
		{"one supervisor alone", func() []*PartialOpening { return w.partials(t, v, it, 2) }, it, ErrQuorum},
		{"one supervisor twice", func() []*PartialOpening { return w.partials(t, v, it, 2, 2) }, it, ErrQuorum},
		{"a part that decrypts to another point", func() []*PartialOpening {
			p := w.partials(t, v, it, 1, 2)
			p[0].D = p[0].D.Add(fixedBases().g)
			return p
		}, it, ErrPartial},
		{"a part under another's index", func() []*PartialOpening {
			p := w.partials(t, v, it, 1, 2)
			p[0].Index = 3
			return p
		}, it, ErrPartial},
		{"a part with another response", func() []*PartialOpening {
			p := w.partials(t, v, it, 1, 2)
			p[1].S = p[1].S.Add(fp256bn.ScalarFromUint64(1))
			return p
		}, it, ErrPartial},
		{"parts of another presentation", func() []*PartialOpening {
			o := w.admit(t)
			ot := Item{o.present(t, "m").Bytes(), []byte("m"), nil}
			return w.partials(t, v, ot, 1, 2)
		}, it, ErrPartial},
		{"an index out of range", func() []*PartialOpening {
			p := w.partials(t, v, it, 1, 2)
			p[0].Index = 200
			return p
		}, it, ErrPartial},
		{"a presentation that does not verify", func() []*PartialOpening { return w.partials(t, v, it, 1, 2) },
			Item{it.Presentation, []byte("another"), claims}, ErrProof},
	}
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			_, err := CombineOpening(v, w.key, r.item, r.parts())
			wantErr(t, err, r.want)
		})
	}
}

func TestASupervisorRefusesWhatHeShouldNotDecrypt(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	p := m.present(t, "m")
	_, err := OpenPartial(v, w.key, w.shares[0], Item{p.Bytes(), []byte("not what was signed"), nil})
	wantErr(t, err, ErrProof)
	// A bare ciphertext moved into an attacker's presentation.
	moved := *w.admit(t).present(t, "m")
	moved.E1, moved.E2 = p.E1, p.E2
	_, err = OpenPartial(v, w.key, w.shares[0], Item{moved.Bytes(), []byte("m"), nil})
	wantErr(t, err, ErrProof)
	_, err = OpenPartial(v, newWorld(t).key, w.shares[0], Item{p.Bytes(), []byte("m"), nil})
	wantErr(t, err, ErrShare)
	wrong := *w.shares[0]
	wrong.Index = 2
	_, err = OpenPartial(v, w.key, &wrong, Item{p.Bytes(), []byte("m"), nil})
	wantErr(t, err, ErrShare)

	j := *m.join
	j.C1 = j.C1.Add(fixedBases().p2)
	_, err = TracePartial(w.params, w.key, w.shares[0], &j, m.jc)
	wantErr(t, err, ErrProof)
}

func TestATokenTracesItsMemberAndNobodyElse(t *testing.T) {
	w := newWorld(t)
	a, b := w.admit(t), w.admit(t)
	tok := w.trace(t, a)
	back, err := ParseTracingToken(tok.Bytes())
	must(t, err)
	must(t, back.Check(a.join.Uh))
	wantErr(t, back.Check(b.join.Uh), ErrEscrow)
	for range 3 {
		if !Trace(back, a.present(t, "m", a.coins(t, 1)...)) {
			t.Fatal("the token misses its member")
		}
		if Trace(back, b.present(t, "m")) {
			t.Fatal("the token names another member")
		}
	}
	pt, err := TracePartial(w.params, w.key, w.shares[0], a.join, a.jc)
	must(t, err)
	_, err = CombineTrace(w.params, w.key, a.join, []*PartialTrace{pt, pt})
	wantErr(t, err, ErrQuorum)
	pt.D = pt.D.Add(fixedBases().p2)
	_, err = CombineTrace(w.params, w.key, a.join, []*PartialTrace{pt})
	wantErr(t, err, ErrPartial)
}

func TestDealings(t *testing.T) {
	const name = "TESTGROUP"
	deal := func() ([]*Dealing, [][]*Share) {
		var ds []*Dealing
		var ss [][]*Share
		for i := 1; i <= 3; i++ {
			d, s, err := Deal(name, i, 3, 2)
			must(t, err)
			ds, ss = append(ds, d), append(ss, s)
		}
		return ds, ss
	}
	t.Run("a dealing with another's proof", func(t *testing.T) {
		ds, _ := deal()
		ds[0].ProofO = ds[1].ProofO
		_, err := CombineDealings(name, ds)
		wantErr(t, err, ErrProof)
	})
	t.Run("a tracing proof flipped", func(t *testing.T) {
		ds, _ := deal()
		ds[2].ProofO2[40] ^= 1
		_, err := CombineDealings(name, ds)
		wantErr(t, err, ErrProof)
	})
	t.Run("a constant term chosen to cancel the others", func(t *testing.T) {
		ds, _ := deal()
		ds[2].Opening[0] = ds[2].Opening[0].Sub(ds[0].Opening[0]).Sub(ds[1].Opening[0])
		_, err := CombineDealings(name, ds)
		wantErr(t, err, ErrProof)
	})
	t.Run("a dealing made for another ceremony", func(t *testing.T) {
		ds, _ := deal()
		_, err := CombineDealings("ANOTHER", ds)
		wantErr(t, err, ErrProof)
	})
	t.Run("a dealer twice", func(t *testing.T) {
		ds, _ := deal()
		ds[2] = ds[1]
		_, err := CombineDealings(name, ds)
		wantErr(t, err, ErrMalformed)
	})
	t.Run("a dealing missing", func(t *testing.T) {
		ds, _ := deal()
		_, err := CombineDealings(name, ds[:2])
		wantErr(t, err, ErrQuorum)
	})
	t.Run("a wrong share names its dealer's fault", func(t *testing.T) {
		ds, ss := deal()
		key, err := CombineDealings(name, ds)
		must(t, err)
		got := []*Share{ss[0][1], ss[1][1], ss[2][1]}
		got[1] = &Share{Index: 2, o: got[1].o, o2: got[1].o}
		_, err = CombineShares(key, 2, ds, got)
		wantErr(t, err, ErrShare)
		got[1] = ss[1][0]
		_, err = CombineShares(key, 2, ds, got)
		wantErr(t, err, ErrShare)
	})
	t.Run("a threshold above the number", func(t *testing.T) {
		_, _, err := Deal(name, 1, 2, 3)
		wantErr(t, err, ErrMalformed)
	})
}

func TestSharesAndSecretsDoNotPrint(t *testing.T) {
	w := newWorld(t)
	s := w.shares[0]
	for _, v := range []any{s, w.issuer, w.admit(t).w} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if got := fmt.Sprintf(verb, v); got != "[redacted]" {
				t.Fatalf("%s prints %s", verb, got)
			}
		}
	}
	back, err := ParseShare(s.Bytes())
	must(t, err)
	must(t, w.key.CheckShare(back))
	_, err = ParseShare(s.Bytes()[1:])
	wantErr(t, err, ErrMalformed)
}
