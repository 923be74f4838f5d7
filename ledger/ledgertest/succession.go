package ledgertest

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"testing"

	"github.com/speciecash/specie/ledger"
)

// readmission n of m, good until moment(100).
func readmission(n int, m ledger.Member) ledger.Readmission {
	return ledger.Readmission{Code: id("code", n), Member: m.ID, Expires: moment(100)}
}

// activeMember n, enrolled in session n.
func activeMember(f fataler, r ledger.Register, n int) ledger.Member {
	f.Helper()
	m := member(n)
	m.State = ledger.MemberActive
	check(f, enrol(f, r, n, m))
	return m
}

// successor n of old, active.
func successor(n int, old ledger.Member) ledger.Member {
	m := member(n)
	m.State, m.Succeeds = ledger.MemberActive, old.ID
	return m
}

// succeed enrols m in session n with a code.
func succeed(f fataler, r ledger.Register, n int, m ledger.Member, code [32]byte) error {
	f.Helper()
	s := session(n, 0)
	s.EK = m.EK
	check(f, r.PutSession(context.Background(), s, room, few))
	return r.Enrol(context.Background(), s.ID, moment(0), m, code)
}

func testFullOfSessions(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	ctx := context.Background()
	check(t, r.PutSession(ctx, session(1, 1), 2, few))
	check(t, r.PutSession(ctx, session(2, 2), 2, few))
	wantErr(t, r.PutSession(ctx, session(3, 3), 2, few), ledger.ErrFull)
	check(t, r.PutSession(ctx, session(4, 2), 2, few)) // in the place of its own
	n, err := r.Sessions(ctx)
	check(t, err)
	if n != 2 {
		t.Fatalf("%d sessions", n)
	}
	check(t, r.PurgeSessions(ctx, moment(100)))
	check(t, r.PutSession(ctx, session(3, 3), 2, few))
}

func testSuccession(t *testing.T, fresh FreshRegister) {
	ctx := context.Background()
	for name, same := range map[string]bool{"on another TPM": false, "on the same TPM, cleared": true} {
		t.Run(name, func(t *testing.T) {
			open := fresh(t)
			r := open()
			old := activeMember(t, r, 1)
			lost := readmission(8, old)
			check(t, r.Readmit(ctx, lost))
			a := readmission(9, old)
			check(t, r.Readmit(ctx, a)) // the first code is void
			_, err := r.ReadmissionByCode(ctx, lost.Code)
			wantErr(t, err, ledger.ErrNotFound)
			old.State = ledger.MemberRevoked
			wantMember(t, r, old)
			wantErr(t, r.Renew(ctx, old.ID, 8, nil), ledger.ErrState)

			m := successor(2, old)
			if same {
				m.EK = old.EK
			}
			wantErr(t, succeed(t, r, 2, m, lost.Code), ledger.ErrReadmission)
			check(t, succeed(t, r, 3, m, a.Code))
			check(t, r.Close())
			r = open()
			defer r.Close()
			wantMember(t, r, m)
			got, err := r.MemberByID(ctx, old.ID)
			check(t, err)
			old.State, old.SucceededBy = ledger.MemberSucceeded, m.ID
			if diff := differ(&old, got); diff != "" {
				t.Fatalf("the old member differs (-want +got):\n%s", diff)
			}
			if !same {
				wantMember(t, r, old) // his EK is still taken
			}
			a.Used = true
			for by, read := range map[string]func() (*ledger.Readmission, error){
				"code":   func() (*ledger.Readmission, error) { return r.ReadmissionByCode(ctx, a.Code) },
				"member": func() (*ledger.Readmission, error) { return r.ReadmissionOf(ctx, old.ID) },
			} {
				got, err := read()
				check(t, err)
				if diff := differ(&a, got); diff != "" {
					t.Fatalf("readmission by %s differs (-want +got):\n%s", by, diff)
				}
			}
			wantErr(t, succeed(t, r, 4, successor(3, old), a.Code), ledger.ErrReadmission)
			wantErr(t, r.Readmit(ctx, readmission(10, old)), ledger.ErrState)
			wantErr(t, r.Expel(ctx, old.ID), ledger.ErrState)
			wantErr(t, r.Activate(ctx, old.ID), ledger.ErrState)
		})
	}
}

func testNoSuccession(t *testing.T, fresh FreshRegister) {
	ctx := context.Background()
	for _, c := range []struct {
		name  string
		spoil func(f fataler, r ledger.Register, old, other ledger.Member, m *ledger.Member, code *[32]byte)
		want  error
		field string
	}{
		{"without a code", func(_ fataler, _ ledger.Register, _, _ ledger.Member, _ *ledger.Member, code *[32]byte) {
			*code = noCode
		}, ledger.ErrMalformed, ""},
		{"with a code that continues nobody", func(_ fataler, _ ledger.Register, _, _ ledger.Member, m *ledger.Member, _ *[32]byte) {
			m.Succeeds = [16]byte{}
		}, ledger.ErrMalformed, ""},
		{"with a code that was never given", func(_ fataler, _ ledger.Register, _, _ ledger.Member, _ *ledger.Member, code *[32]byte) {
			*code = id("code", 99)
		}, ledger.ErrReadmission, ""},
		{"with a code of another member", func(f fataler, r ledger.Register, _, other ledger.Member, m *ledger.Member, _ *[32]byte) {
			m.Succeeds = other.ID
		}, ledger.ErrReadmission, ""},
		{"with a code that has run out", func(f fataler, r ledger.Register, old, _ ledger.Member, _ *ledger.Member, code *[32]byte) {
			a := readmission(7, old)
			a.Expires = moment(0)
			check(f, r.Readmit(ctx, a))
			*code = a.Code
		}, ledger.ErrReadmission, ""},
		{"of a member who was expelled since", func(f fataler, r ledger.Register, old, _ ledger.Member, _ *ledger.Member, _ *[32]byte) {
			check(f, r.Expel(ctx, old.ID))
		}, ledger.ErrReadmission, ""},
		{"on the TPM of a third", func(_ fataler, _ ledger.Register, _, other ledger.Member, m *ledger.Member, _ *[32]byte) {
			m.EK = other.EK
		}, ledger.ErrDuplicate, ledger.FieldEK},
		{"with the old tag", func(_ fataler, _ ledger.Register, old, _ ledger.Member, m *ledger.Member, _ *[32]byte) {
			m.EK, m.F = old.EK, old.F
		}, ledger.ErrDuplicate, ledger.FieldTag},
		{"with the old Uh", func(_ fataler, _ ledger.Register, old, _ ledger.Member, m *ledger.Member, _ *[32]byte) {
			m.Uh = old.Uh
		}, ledger.ErrDuplicate, ledger.FieldUh},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := startRegister(t, fresh)
			old, other := activeMember(t, r, 1), activeMember(t, r, 2)
			a := readmission(9, old)
			check(t, r.Readmit(ctx, a))
			m, code := successor(3, old), a.Code
			c.spoil(t, r, old, other, &m, &code)
			err := succeed(t, r, 3, m, code)
			wantErr(t, err, c.want)
			if c.field != "" {
				wantDuplicate(t, err, c.field)
			}
			_, err = r.MemberByID(ctx, m.ID)
			wantErr(t, err, ledger.ErrNotFound)
			got, err := r.MemberByID(ctx, old.ID)
			check(t, err)
			if got.SucceededBy != [16]byte{} || got.State == ledger.MemberSucceeded {
				t.Fatalf("the old member is %s", got.State)
			}
			if a, err := r.ReadmissionByCode(ctx, a.Code); err == nil && a.Used {
				t.Fatal("the code is used up")
			}
		})
	}
	r := startRegister(t, fresh)
	old := activeMember(t, r, 1)
	check(t, r.Readmit(ctx, readmission(9, old)))
	wantDuplicate(t, enrol(t, r, 4, func() ledger.Member { m := member(4); m.EK = old.EK; return m }()), ledger.FieldEK)
	for name, a := range map[string]ledger.Readmission{
		"a code of zeros":   {Member: old.ID, Expires: moment(1)},
		"no end":            {Code: id("code", 1), Member: old.ID},
		"one that was used": {Code: id("code", 1), Member: old.ID, Expires: moment(1), Used: true},
	} {
		t.Run("refused: "+name, func(t *testing.T) { wantErr(t, r.Readmit(ctx, a), ledger.ErrMalformed) })
	}
	wantErr(t, r.Readmit(ctx, readmission(1, member(9))), ledger.ErrNotFound)
	waiting := member(5)
	check(t, enrol(t, r, 5, waiting))
	wantErr(t, r.Readmit(ctx, readmission(1, waiting)), ledger.ErrState)
	other := activeMember(t, r, 6)
	wantDuplicate(t, r.Readmit(ctx, ledger.Readmission{Code: id("code", 9), Member: other.ID, Expires: moment(1)}), ledger.FieldCode)
	got, err := r.MemberByID(ctx, other.ID)
	check(t, err)
	if got.State != ledger.MemberActive {
		t.Fatalf("a refused readmission left the member %s", got.State)
	}
}

func testLineOfSuccession(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	ctx := context.Background()
	first := activeMember(t, r, 1)
	line := []ledger.Member{first}
	for n := 2; n <= 4; n++ {
		last := line[len(line)-1]
		check(t, r.Readmit(ctx, readmission(n, last)))
		m := successor(n, last)
		if n == 4 {
			m.EK = first.EK // the first TPM is back from repair
		}
		check(t, succeed(t, r, n, m, id("code", n)))
		line = append(line, m)
	}
	got, err := r.MemberByEK(ctx, first.EK)
	check(t, err)
	if got.ID != line[3].ID {
		t.Fatalf("held by %x", got.ID)
	}
	wantDuplicate(t, enrol(t, r, 9, func() ledger.Member { m := member(9); m.EK = line[1].EK; return m }()), ledger.FieldEK)
}

func testConcurrentSuccession(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	ctx := context.Background()
	old := activeMember(t, r, 200)
	a := readmission(1, old)
	check(t, r.Readmit(ctx, a))
	for i := range 100 {
		check(t, r.PutSession(ctx, session(i, i), room, few))
	}
	var won atomic.Int64
	together(100, func(i int) {
		err := r.Enrol(ctx, session(i, i).ID, moment(0), successor(i, old), a.Code)
		if err == nil {
			won.Add(1)
		} else if !errors.Is(err, ledger.ErrReadmission) {
			t.Error(err)
		}
	})
	if won.Load() != 1 {
		t.Fatalf("%d successors", won.Load())
	}
}

func testMemberLists(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	ctx := context.Background()
	want := map[[16]byte]ledger.Member{}
	for n := range 5 {
		m := activeMember(t, r, n)
		if n == 0 {
			check(t, r.Expel(ctx, m.ID))
			m.State = ledger.MemberExpelled
		}
		if n == 1 {
			check(t, r.Readmit(ctx, readmission(1, m)))
			m.State = ledger.MemberRevoked
		}
		want[m.ID] = m
	}
	var after [16]byte
	for pages := 0; ; pages++ {
		page, err := r.Members(ctx, after, 2)
		check(t, err)
		if len(page) == 0 {
			break
		}
		if pages > 3 || len(page) > 2 {
			t.Fatalf("page %d has %d members", pages, len(page))
		}
		for _, m := range page {
			if string(m.ID[:]) <= string(after[:]) {
				t.Fatal("not in the order of ids")
			}
			after = m.ID
			if diff := differ(want[m.ID], m); diff != "" {
				t.Fatalf("member differs (-want +got):\n%s", diff)
			}
			delete(want, m.ID)
		}
	}
	if len(want) > 0 {
		t.Fatalf("%d members are not listed", len(want))
	}
	counts, err := r.MemberCounts(ctx)
	check(t, err)
	maps.DeleteFunc(counts, func(_ ledger.MemberState, n int64) bool { return n == 0 })
	if diff := differ(map[ledger.MemberState]int64{ledger.MemberActive: 3, ledger.MemberExpelled: 1, ledger.MemberRevoked: 1}, counts); diff != "" {
		t.Fatalf("counts differ (-want +got):\n%s", diff)
	}
}
