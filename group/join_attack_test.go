package group

import (
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

// forgedJoin proves for any Uh what can be proven of it. weakOK says whether a
// verifier would take it that takes the first move T_U from the prover.
func forgedJoin(t *testing.T, w *world, key *softKey, u fp256bn.Scalar, uh fp256bn.G1, jc JoinContext) (j *Join, weakOK bool) {
	t.Helper()
	b := fixedBases()
	f, l, e, ctr, err := key.Commit(t.Context(), &b.g, b.hf.S2, b.hf.Y2)
	must(t, err)
	k, uT, kT := scalar(t), scalar(t), scalar(t)
	j = &Join{Q: key.q(), F: f, Uh: uh, C1: b.p2.Mul(k), C2: b.p2.Mul(u).Add(w.params.O2.Mul(k))}
	first := joinCommitments{tq: e, tf: l, tu: b.hu.Mul(uT), t1: b.p2.Mul(kT), t2: b.p2.Mul(uT).Add(w.params.O2.Mul(kT))}
	d := j.delta(w.params, jc, first)
	nu, s, err := key.Sign(t.Context(), d, ctr)
	must(t, err)
	copy(j.Nu[:], nu)
	j.C = challenge(j.Nu, d)
	j.SF, j.SU, j.SK = s, uT.Add(j.C.Mul(u)), kT.Add(j.C.Mul(k))
	without := j.commitments(w.params)
	without.tu = first.tu
	return j, challenge(j.Nu, j.delta(w.params, jc, without)).Equal(j.C)
}

func TestJoinProvesUhToItsOwnBaseAlone(t *testing.T) {
	w := newWorld(t)
	b := fixedBases()
	cases := []struct {
		name string
		// uh spoils Uh and returns the witness that a credential on it serves.
		uh    func(key *softKey, u fp256bn.Scalar) (uh fp256bn.G1, f fp256bn.Scalar)
		epoch uint64
	}{
		{"Uh = [u]Hu − F + [f']H_f makes a membership without a TPM", func(key *softKey, u fp256bn.Scalar) (fp256bn.G1, fp256bn.Scalar) {
			f2 := scalar(t)
			return b.hu.Mul(u).Sub(b.hf.Point.Mul(key.f)).Add(b.hf.Point.Mul(f2)), f2
		}, epoch0},
		{"Uh = [u]Hu + [5]He makes a credential for a later epoch", func(key *softKey, u fp256bn.Scalar) (fp256bn.G1, fp256bn.Scalar) {
			return b.hu.Mul(u).Add(b.he.Mul(fp256bn.ScalarFromUint64(5))), key.f
		}, epoch0 + 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			key, u := &softKey{f: scalar(t)}, scalar(t)
			uh, f := c.uh(key, u)
			jc := JoinContext{KeyName: []byte("n")}
			j, weakOK := forgedJoin(t, w, key, u, uh, jc)
			if !weakOK {
				t.Fatal("without T_U the join should pass")
			}
			wantErr(t, VerifyJoin(w.params, j, key.q(), jc), ErrProof)

			// What the manager would have given away.
			cred, err := w.issuer.Issue(j.F, j.Uh, epoch0)
			must(t, err)
			cred.Epoch = c.epoch
			member, err := NewMember(w.params, b.hf.Point.Mul(f).Bytes(), WalletSecret{u}, cred)
			must(t, err)
			p, err := member.Present(t.Context(), &softKey{f: f}, []byte("m"), nil)
			must(t, err)
			must(t, w.verifier(t, c.epoch).Verify(p.Bytes(), []byte("m"), nil))
		})
	}
}

func TestOneExponentOnTwoCredentialsGivesEveryEpoch(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t)
	b := fixedBases()
	// A careless manager uses the e of epoch 7 again in epoch 8.
	e := m.cred.E
	x := e.Add(w.issuer.gamma).Inverse()
	a7, a8 := m.cred.A, credentialBase(m.tag, m.join.Uh, epoch0+1).Mul(x)
	// A8−A7 = [1/(e+γ)]He, so A100 = A8 + [92](A8−A7): no manager needed.
	a100 := a8.Add(a8.Sub(a7).Mul(fp256bn.ScalarFromUint64(100 - epoch0 - 1)))
	stolen := Credential{A: a100, E: e, Epoch: 100}
	must(t, stolen.Verify(w.params, m.tag, b.hu.Mul(m.w.u)))

	next, err := w.issuer.Issue(m.tag, m.join.Uh, epoch0+1)
	must(t, err)
	again, err := w.issuer.Issue(m.tag, m.join.Uh, epoch0)
	must(t, err)
	other, err := w.issuer.Issue(w.admit(t).tag, m.join.Uh, epoch0)
	must(t, err)
	if next.E.Equal(m.cred.E) || other.E.Equal(m.cred.E) {
		t.Fatal("one e stands on two different B")
	}
	if !again.E.Equal(m.cred.E) || !again.A.Equal(m.cred.A) {
		t.Fatal("a retried issue must return the same credential")
	}
}

func TestOneUhInTwoMembershipsIsOneTracingToken(t *testing.T) {
	// Why the manager refuses a Uh he has seen: one warrant would trace two.
	w := newWorld(t)
	a, b := w.admit(t), w.admit(t)
	cred, err := w.issuer.Issue(b.tag, a.join.Uh, epoch0)
	must(t, err)
	both, err := NewMember(w.params, b.tag.Bytes(), a.w, cred)
	must(t, err)
	p, err := both.Present(t.Context(), b.key, []byte("m"), nil)
	must(t, err)
	if !Trace(w.trace(t, a), p) {
		t.Fatal("the token of the first membership should recognise the second")
	}
}

func TestJoinIsBoundToItsContext(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t)
	other := *w.params
	other.Name = "OTHERGROUP"
	cases := map[string]func(jc *JoinContext, p **Parameters){
		"another nonce": func(jc *JoinContext, _ **Parameters) { jc.Nonce[0] ^= 1 },
		"another key":   func(jc *JoinContext, _ **Parameters) { jc.KeyName = []byte("another") },
		"another EK":    func(jc *JoinContext, _ **Parameters) { jc.EK[5] ^= 1 },
		"another form":  func(jc *JoinContext, _ **Parameters) { jc.Form[31] ^= 1 },
		"another group": func(_ *JoinContext, p **Parameters) { *p = &other },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			jc, p := m.jc, w.params
			spoil(&jc, &p)
			wantErr(t, VerifyJoin(p, m.join, m.key.q(), jc), ErrProof)
		})
	}
	wantErr(t, VerifyJoin(w.params, m.join, w.admit(t).key.q(), m.jc), ErrKey)
}
