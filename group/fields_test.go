package group

import (
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

var one = fp256bn.ScalarFromUint64(1)

// moved is another valid point, moved2 the same in G2, and next another
// scalar: flips that decoding can't see.
func moved(p fp256bn.G1) fp256bn.G1        { return p.Add(fixedBases().g) }
func moved2(p fp256bn.G2) fp256bn.G2       { return p.Add(fixedBases().p2) }
func next(s fp256bn.Scalar) fp256bn.Scalar { return s.Add(one) }

func TestEveryFieldOfAPresentation(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	claims := m.coins(t, 2)
	good := m.present(t, "m", claims...)
	cases := []struct {
		name string
		flip func(p *Presentation)
		want error
	}{
		{"the epoch", func(p *Presentation) { p.Epoch++ }, ErrEpoch},
		{"A'", func(p *Presentation) { p.APrime = moved(p.APrime) }, ErrProof},
		{"A' to its opposite", func(p *Presentation) { p.APrime = p.APrime.Neg() }, ErrProof},
		{"A' to infinity", func(p *Presentation) { p.APrime = fp256bn.G1{} }, ErrMalformed},
		{"B̄", func(p *Presentation) { p.BBar = moved(p.BBar) }, ErrProof},
		{"B̄ to infinity", func(p *Presentation) { p.BBar = fp256bn.G1{} }, ErrMalformed},
		{"D", func(p *Presentation) { p.D = moved(p.D) }, ErrProof},
		{"D to infinity", func(p *Presentation) { p.D = fp256bn.G1{} }, ErrMalformed},
		{"E1", func(p *Presentation) { p.E1 = moved(p.E1) }, ErrProof},
		{"E2", func(p *Presentation) { p.E2 = moved(p.E2) }, ErrProof},
		{"E1 to infinity", func(p *Presentation) { p.E1 = fp256bn.G1{} }, ErrMalformed},
		{"E2 to infinity", func(p *Presentation) { p.E2 = fp256bn.G1{} }, ErrMalformed},
		{"V", func(p *Presentation) { p.V = moved(p.V) }, ErrProof},
		{"V to infinity", func(p *Presentation) { p.V = fp256bn.G1{} }, ErrMalformed},
		{"c", func(p *Presentation) { p.C = next(p.C) }, ErrProof},
		{"ν", func(p *Presentation) { p.Nu[31] ^= 1 }, ErrProof},
		{"ν to a short one", func(p *Presentation) { p.Nu[0] = 0 }, ErrMalformed},
		{"s_f", func(p *Presentation) { p.SF = next(p.SF) }, ErrProof},
		{"s_e", func(p *Presentation) { p.SE = next(p.SE) }, ErrProof},
		{"s_r1", func(p *Presentation) { p.SR1 = next(p.SR1) }, ErrProof},
		{"s_r3", func(p *Presentation) { p.SR3 = next(p.SR3) }, ErrProof},
		{"s_u", func(p *Presentation) { p.SU = next(p.SU) }, ErrProof},
		{"s_k", func(p *Presentation) { p.SK = next(p.SK) }, ErrProof},
	}
	items := []Item{{good.Bytes(), []byte("m"), claims}}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := *good
			c.flip(&p)
			wantErr(t, v.Verify(p.Bytes(), []byte("m"), claims), c.want)
			items = append(items, Item{p.Bytes(), []byte("m"), claims})
		})
	}
	// In a batch each has the same error, and the good one none.
	for i, err := range v.VerifyBatch(items) {
		if i == 0 {
			must(t, err)
			continue
		}
		wantErr(t, err, cases[i-1].want)
	}
}

func TestEveryFieldOfAJoin(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t)
	cases := []struct {
		name string
		flip func(j *Join)
		want error
	}{
		{"Q", func(j *Join) { j.Q = moved(j.Q) }, ErrKey},
		{"F", func(j *Join) { j.F = moved(j.F) }, ErrProof},
		{"F to infinity", func(j *Join) { j.F = fp256bn.G1{} }, ErrMalformed},
		{"Uh", func(j *Join) { j.Uh = moved(j.Uh) }, ErrProof},
		{"Uh to infinity", func(j *Join) { j.Uh = fp256bn.G1{} }, ErrMalformed},
		{"C1", func(j *Join) { j.C1 = moved2(j.C1) }, ErrProof},
		{"C1 to infinity", func(j *Join) { j.C1 = fp256bn.G2{} }, ErrMalformed},
		{"C2", func(j *Join) { j.C2 = moved2(j.C2) }, ErrProof},
		{"C2 to infinity", func(j *Join) { j.C2 = fp256bn.G2{} }, ErrMalformed},
		{"c", func(j *Join) { j.C = next(j.C) }, ErrProof},
		{"ν", func(j *Join) { j.Nu[31] ^= 1 }, ErrProof},
		{"ν to a short one", func(j *Join) { j.Nu[0] = 0 }, ErrMalformed},
		{"s_f", func(j *Join) { j.SF = next(j.SF) }, ErrProof},
		{"s_u", func(j *Join) { j.SU = next(j.SU) }, ErrProof},
		{"s_k", func(j *Join) { j.SK = next(j.SK) }, ErrProof},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			j := *m.join
			c.flip(&j)
			wantErr(t, VerifyJoin(w.params, &j, m.key.q(), m.jc), c.want)
			// No supervisor decrypts the escrow of such a join.
			if _, err := TracePartial(w.params, w.key, w.shares[0], &j, m.jc); err == nil {
				t.Error("a supervisor decrypts its escrow")
			}
		})
	}
}

func TestEveryFieldOfAPartialOpening(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	it := Item{m.present(t, "m").Bytes(), []byte("m"), nil}
	cases := []struct {
		name string
		flip func(p *PartialOpening)
	}{
		{"the index", func(p *PartialOpening) { p.Index = 3 }},
		{"the index to 0, where the secret itself would be", func(p *PartialOpening) { p.Index = 0 }},
		{"the index to one more than there are", func(p *PartialOpening) { p.Index = 4 }},
		{"D", func(p *PartialOpening) { p.D = moved(p.D) }},
		{"D to infinity", func(p *PartialOpening) { p.D = fp256bn.G1{} }},
		{"c", func(p *PartialOpening) { p.C = next(p.C) }},
		{"s", func(p *PartialOpening) { p.S = next(p.S) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			parts := w.partials(t, v, it, 1, 2)
			c.flip(parts[0])
			_, err := CombineOpening(v, w.key, it, parts)
			wantErr(t, err, ErrPartial)
		})
	}
}

func TestEveryFieldOfAPartialTrace(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t)
	cases := []struct {
		name string
		flip func(p *PartialTrace)
	}{
		{"the index", func(p *PartialTrace) { p.Index = 3 }},
		{"the index to 0, where the secret itself would be", func(p *PartialTrace) { p.Index = 0 }},
		{"the index to one more than there are", func(p *PartialTrace) { p.Index = 4 }},
		{"D", func(p *PartialTrace) { p.D = moved2(p.D) }},
		{"D to infinity", func(p *PartialTrace) { p.D = fp256bn.G2{} }},
		{"c", func(p *PartialTrace) { p.C = next(p.C) }},
		{"s", func(p *PartialTrace) { p.S = next(p.S) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var parts []*PartialTrace
			for i := range 2 {
				p, err := TracePartial(w.params, w.key, w.shares[i], m.join, m.jc)
				must(t, err)
				parts = append(parts, p)
			}
			c.flip(parts[0])
			_, err := CombineTrace(w.params, w.key, m.join, parts)
			wantErr(t, err, ErrPartial)
		})
	}
	t.Run("the token that comes out", func(t *testing.T) {
		tok := w.trace(t, m)
		tok.tau = moved2(tok.tau)
		wantErr(t, tok.Check(m.join.Uh), ErrEscrow)
		wantErr(t, TracingToken{}.Check(m.join.Uh), ErrEscrow)
	})
}

func TestEveryFieldOfASupervisionKey(t *testing.T) {
	w := newWorldOf(t, 3, 2)
	v, m := w.verifier(t), w.admit(t)
	it := Item{m.present(t, "m").Bytes(), []byte("m"), nil}
	parts := w.partials(t, v, it, 1, 2)
	cases := []struct {
		name string
		flip func(k *SupervisionKey)
		want error
	}{
		{"n to fewer than there are", func(k *SupervisionKey) { k.N = 1 }, ErrMalformed},
		{"n to none", func(k *SupervisionKey) { k.N = 0 }, ErrMalformed},
		{"n to too many", func(k *SupervisionKey) { k.N = MaxSupervisors + 1 }, ErrMalformed},
		{"k down", func(k *SupervisionKey) { k.K = 1 }, ErrMalformed},
		{"k up", func(k *SupervisionKey) { k.K = 3 }, ErrMalformed},
		{"k and the commitments down", func(k *SupervisionKey) { k.K, k.Opening, k.Tracing = 1, k.Opening[:1], k.Tracing[:1] }, ErrPartial},
		{"O", func(k *SupervisionKey) { k.Opening[0] = moved(k.Opening[0]) }, ErrShare},
		{"O to infinity", func(k *SupervisionKey) { k.Opening[0] = fp256bn.G1{} }, ErrMalformed},
		{"the opening polynomial", func(k *SupervisionKey) { k.Opening[1] = moved(k.Opening[1]) }, ErrPartial},
		{"one opening commitment less", func(k *SupervisionKey) { k.Opening = k.Opening[:1] }, ErrMalformed},
		{"O2", func(k *SupervisionKey) { k.Tracing[0] = moved2(k.Tracing[0]) }, ErrShare},
		{"O2 to infinity", func(k *SupervisionKey) { k.Tracing[0] = fp256bn.G2{} }, ErrMalformed},
		{"the tracing polynomial", func(k *SupervisionKey) { k.Tracing[1] = moved2(k.Tracing[1]) }, nil},
		{"one tracing commitment less", func(k *SupervisionKey) { k.Tracing = k.Tracing[:1] }, ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k := &SupervisionKey{N: w.key.N, K: w.key.K}
			k.Opening = append(k.Opening, w.key.Opening...)
			k.Tracing = append(k.Tracing, w.key.Tracing...)
			c.flip(k)
			_, err := CombineOpening(v, k, it, parts)
			if c.want == nil { // an opening doesn't look at it; tracing and the share's owner do
				must(t, err)
				wantErr(t, k.CheckShare(w.shares[0]), ErrShare)
				pt, err := TracePartial(w.params, w.key, w.shares[0], m.join, m.jc)
				must(t, err)
				_, err = CombineTrace(w.params, k, m.join, []*PartialTrace{pt})
				wantErr(t, err, ErrPartial)
				return
			}
			wantErr(t, err, c.want)
			if _, err := OpenPartial(v, k, w.shares[0], it); err == nil {
				t.Error("a supervisor opens under it")
			}
		})
	}
}

func TestEveryFieldOfADealing(t *testing.T) {
	const name = "TESTGROUP"
	cases := []struct {
		name string
		flip func(d *Dealing)
		want error
		// late: the dealing by itself is well-formed; it shows when the shares
		// come.
		late bool
	}{
		{"the dealer", func(d *Dealing) { d.Dealer = 2 }, ErrProof, false},
		{"the dealer to 0", func(d *Dealing) { d.Dealer = 0 }, ErrMalformed, false},
		{"the dealer to one more than there are", func(d *Dealing) { d.Dealer = 4 }, ErrMalformed, false},
		{"n down", func(d *Dealing) { d.N = 1 }, ErrQuorum, false},
		{"n up", func(d *Dealing) { d.N = 4 }, ErrQuorum, false},
		{"k", func(d *Dealing) { d.K = 3 }, ErrMalformed, false},
		{"the constant term in G1", func(d *Dealing) { d.Opening[0] = moved(d.Opening[0]) }, ErrProof, false},
		{"the constant term in G1 to infinity", func(d *Dealing) { d.Opening[0] = fp256bn.G1{} }, ErrMalformed, false},
		{"the higher term in G1", func(d *Dealing) { d.Opening[1] = moved(d.Opening[1]) }, ErrShare, true},
		{"the constant term in G2", func(d *Dealing) { d.Tracing[0] = moved2(d.Tracing[0]) }, ErrProof, false},
		{"the constant term in G2 to infinity", func(d *Dealing) { d.Tracing[0] = fp256bn.G2{} }, ErrMalformed, false},
		{"the higher term in G2", func(d *Dealing) { d.Tracing[1] = moved2(d.Tracing[1]) }, ErrShare, true},
		{"a commitment less", func(d *Dealing) { d.Opening = d.Opening[:1] }, ErrMalformed, false},
		{"a commitment more", func(d *Dealing) { d.Tracing = append(d.Tracing, d.Tracing[0]) }, ErrMalformed, false},
		{"the challenge of the proof of o", func(d *Dealing) { d.ProofO[31] ^= 1 }, ErrProof, false},
		{"the response of the proof of o", func(d *Dealing) { d.ProofO[63] ^= 1 }, ErrProof, false},
		{"the challenge of the proof of o2", func(d *Dealing) { d.ProofO2[31] ^= 1 }, ErrProof, false},
		{"the response of the proof of o2", func(d *Dealing) { d.ProofO2[63] ^= 1 }, ErrProof, false},
		{"a proof's scalar above the group order", func(d *Dealing) {
			for i := range 32 {
				d.ProofO[i] = 0xff
			}
		}, ErrMalformed, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var dealings []*Dealing
			var mine []*Share
			for i := 1; i <= 3; i++ {
				d, shares, err := Deal(name, i, 3, 2)
				must(t, err)
				dealings, mine = append(dealings, d), append(mine, shares[1])
			}
			c.flip(dealings[0])
			key, err := CombineDealings(name, dealings)
			if c.late {
				must(t, err)
				_, err = CombineShares(key, 2, dealings, mine)
			}
			wantErr(t, err, c.want)
		})
	}
}

func TestEveryFieldOfAShare(t *testing.T) {
	w := newWorld(t)
	for name, flip := range map[string]func(s *Share){
		"the index":                        func(s *Share) { s.Index = 2 },
		"the index to 0":                   func(s *Share) { s.Index = 0 },
		"the index to more than there are": func(s *Share) { s.Index = 4 },
		"o":                                func(s *Share) { s.o = next(s.o) },
		"o2":                               func(s *Share) { s.o2 = next(s.o2) },
		"o and o2 exchanged":               func(s *Share) { s.o, s.o2 = s.o2, s.o },
	} {
		t.Run(name, func(t *testing.T) {
			s := *w.shares[0]
			flip(&s)
			wantErr(t, w.key.CheckShare(&s), ErrShare)
		})
	}
}

func TestEveryFieldOfACredentialAndOfTheParameters(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t)
	for name, flip := range map[string]func(c *Credential){
		"A":             func(c *Credential) { c.A = moved(c.A) },
		"A to infinity": func(c *Credential) { c.A = fp256bn.G1{} },
		"e":             func(c *Credential) { c.E = next(c.E) },
		"the epoch":     func(c *Credential) { c.Epoch++ },
	} {
		t.Run(name, func(t *testing.T) {
			c := m.cred
			flip(&c)
			wantErr(t, c.Verify(w.params, m.tag, m.join.Uh), ErrCredential)
			_, err := NewMember(w.params, m.tag.Bytes(), m.w, c)
			wantErr(t, err, ErrCredential)
		})
	}
	wantErr(t, m.cred.Verify(w.params, moved(m.tag), m.join.Uh), ErrCredential)
	wantErr(t, m.cred.Verify(w.params, m.tag, moved(m.join.Uh)), ErrCredential)

	good := m.present(t, "m").Bytes()
	for name, flip := range map[string]func(p *Parameters) error{
		"the name":       func(p *Parameters) error { p.Name += "X"; return ErrProof },
		"W":              func(p *Parameters) error { p.W = moved2(p.W); return ErrProof },
		"O":              func(p *Parameters) error { p.O = moved(p.O); return ErrProof },
		"O2":             func(p *Parameters) error { p.O2 = moved2(p.O2); return ErrProof },
		"W to infinity":  func(p *Parameters) error { p.W = fp256bn.G2{}; return ErrMalformed },
		"O to infinity":  func(p *Parameters) error { p.O = fp256bn.G1{}; return ErrMalformed },
		"O2 to infinity": func(p *Parameters) error { p.O2 = fp256bn.G2{}; return ErrMalformed },
	} {
		t.Run(name, func(t *testing.T) {
			p := *w.params
			want := flip(&p)
			v, err := NewVerifier(&p, epoch0)
			if err == nil {
				err = v.Verify(good, []byte("m"), nil)
			}
			wantErr(t, err, want)
		})
	}
}
