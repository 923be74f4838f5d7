package group

import (
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

// crowd admits n members and has the supervisors release all their tokens.
func (w *world) crowd(t testing.TB, n int) (members []*citizen, tokens []TracingToken) {
	t.Helper()
	for range n {
		m := w.admit(t)
		members, tokens = append(members, m), append(tokens, w.trace(t, m))
	}
	return members, tokens
}

// Every member's token hits all of his presentations, of whatever message,
// coins and epoch, and none of the 39 others'.
func TestATokenHitsAllItsMembersPresentationsAndOnlyThose(t *testing.T) {
	w := newWorld(t)
	members, tokens := w.crowd(t, 40)
	lists := make([]*RevocationList, len(tokens)) // of one token each
	for i, tok := range tokens {
		lists[i] = NewRevocationList(tok)
	}
	for i, m := range members {
		p := m.present(t, fmt.Sprint("payment ", i), m.coins(t, mrand.IntN(3))...)
		for k, l := range lists {
			if _, hit := l.Match(p); hit != (i == k) {
				t.Errorf("token %d on a presentation of member %d: %v", k, i, hit)
			}
		}
		for range 2 {
			again := m.present(t, fmt.Sprint(mrand.Uint64()))
			if _, hit := lists[i].Match(again); !hit || !Trace(tokens[i], again) {
				t.Errorf("token %d misses a presentation of its member", i)
			}
			if Trace(tokens[(i+1)%len(tokens)], again) {
				t.Errorf("the next member's token hits member %d", i)
			}
		}
	}
}

func TestARevocationListFindsWhoIsOnIt(t *testing.T) {
	w := newWorld(t)
	members, tokens := w.crowd(t, 6)
	for range 8 {
		// A random half of the members, in a random order.
		order := mrand.Perm(len(members))
		var chosen []TracingToken
		for _, i := range order[:3] {
			chosen = append(chosen, tokens[i])
		}
		list := NewRevocationList(chosen...)
		if list.Len() != len(chosen) {
			t.Fatalf("a list of %d", list.Len())
		}
		for at, i := range order {
			index, ok := list.Match(members[i].present(t, "m"))
			if ok != (at < 3) || ok && index != at {
				t.Errorf("member at place %d of %v: found at %d, %v", at, order, index, ok)
			}
		}
	}
	if _, ok := NewRevocationList().Match(members[0].present(t, "m")); ok {
		t.Error("nobody is on an empty list")
	}
	// A token that stands twice is found at its first place.
	list := NewRevocationList(tokens[1], tokens[0], tokens[0])
	if index, ok := list.Match(members[0].present(t, "m")); !ok || index != 1 {
		t.Errorf("found at %d, %v", index, ok)
	}
}

// A warrant's reach: the member's other epochs, yes; his membership in another
// group, no.
func TestATokenReachesIntoOtherEpochsAndNotIntoOtherGroups(t *testing.T) {
	w, elsewhere := newWorld(t), newWorld(t)
	m := w.admit(t)
	list := NewRevocationList(w.trace(t, m))
	for _, epoch := range []uint64{0, 1, epoch0 + 1, 1 << 40} {
		cred, err := w.issuer.Issue(m.join.F, m.join.Uh, epoch)
		must(t, err)
		later, err := NewMember(w.params, m.tag.Bytes(), m.w, cred)
		must(t, err)
		p, err := later.Present(t.Context(), m.key, []byte("m"), nil)
		must(t, err)
		if _, ok := list.Match(p); !ok {
			t.Errorf("the token misses epoch %d", epoch)
		}
	}
	// The same wallet on the same TPM in another group.
	secret, err := DeriveWalletSecret(m.jc.Nonce[:], elsewhere.params.ID(), m.jc.KeyName)
	must(t, err)
	j, err := NewJoin(t.Context(), elsewhere.params, m.key, m.key.q(), secret, m.jc)
	must(t, err)
	cred, err := elsewhere.issuer.Issue(j.F, j.Uh, epoch0)
	must(t, err)
	other, err := NewMember(elsewhere.params, j.F.Bytes(), secret, cred)
	must(t, err)
	p, err := other.Present(t.Context(), m.key, []byte("m"), nil)
	must(t, err)
	if _, ok := list.Match(p); ok {
		t.Error("a warrant in one group traces in another")
	}
}

// A list of leaked keys finds the key wherever it stands and however long the
// list is: short and long lists are walked in different ways.
func TestALeakedKeyIsFoundWhereverItStands(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	odd := []fp256bn.Scalar{ // digits of zero, and of all ones
		fp256bn.ScalarFromUint64(1), fp256bn.ScalarFromUint64(1).Neg(), fp256bn.ScalarFromUint64(1 << 32),
		fp256bn.ReduceScalar([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), fp256bn.ScalarFromUint64(1<<32 - 1),
		fp256bn.ReduceScalar(append([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, make([]byte, 20)...)), scalar(t),
	}
	for _, n := range []int{1, 2, longList - 1, longList, longList + 1, 64, 65, 130} {
		for _, at := range []int{0, 1, n / 2, 63, 64, n - 1} {
			if at >= n {
				continue
			}
			key := &softKey{f: odd[(n+at)%len(odd)]}
			claims := (&citizen{key: key}).coins(t, 1)
			strangers := (&citizen{key: &softKey{f: scalar(t)}}).coins(t, 1)
			keys := make([][]byte, n)
			for i := range keys {
				b := scalar(t).Bytes()
				if i == at {
					b = key.f.Bytes()
				}
				keys[i] = b[:]
			}
			lv, err := v.WithLeaked(keys)
			must(t, err)
			wantErr(t, lv.checkLeaked(claims), ErrLeaked)
			must(t, lv.checkLeaked(strangers))
			hf := fixedBases().hf.Point
			wantErr(t, lv.CheckTag(hf.Mul(key.f).Bytes()), ErrLeaked)
			must(t, lv.CheckTag(hf.Mul(scalar(t)).Bytes()))
		}
	}
	wantErr(t, v.CheckTag([33]byte{9}), ErrMalformed)
	for name, bad := range map[string][]byte{
		"short": make([]byte, 31), "long": make([]byte, 33), "empty": nil,
	} {
		if _, err := v.WithLeaked([][]byte{bad}); err == nil {
			t.Errorf("a %s key is taken", name)
		} else {
			wantErr(t, err, ErrMalformed)
		}
	}
}

// One verifier and one list serve a whole bank: its requests come at once.
func TestOneVerifierAndOneListServeManyAtOnce(t *testing.T) {
	w := newWorld(t)
	members, tokens := w.crowd(t, 4)
	list := NewRevocationList(tokens[:2]...)
	f := scalar(t).Bytes()
	v, err := w.verifier(t).WithLeaked([][]byte{f[:]})
	must(t, err)
	var wg sync.WaitGroup
	for i, m := range members {
		claims := m.coins(t, 2)
		wg.Go(func() {
			p, err := m.Present(t.Context(), m.key, []byte("m"), claims)
			if err != nil {
				t.Error(err)
				return
			}
			it := Item{p.Bytes(), []byte("m"), claims}
			if err := v.Verify(it.Presentation, it.Message, it.Claims); err != nil {
				t.Error(err)
			}
			if err := v.VerifyBatch([]Item{it})[0]; err != nil {
				t.Error(err)
			}
			if at, hit := list.Match(p); hit != (i < 2) || hit && at != i {
				t.Errorf("member %d: found at %d, %v", i, at, hit)
			}
		})
	}
	wg.Wait()
}
