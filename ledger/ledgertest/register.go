package ledgertest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

// room is more sessions than any test opens.
const room = 1000

// few is how many sessions of one EK tests open.
const few = 3

// noCode enrols somebody who succeeds nobody.
var noCode [32]byte

func short(kind string, n int) (out [16]byte) {
	h := id(kind, n)
	copy(out[:], h[:])
	return out
}

func point(kind string, n int) (out [33]byte) {
	h := id(kind, n)
	out[0] = 2
	copy(out[1:], h[:])
	return out
}

// session n of EK ek, good until moment(100).
func session(n, ek int) ledger.Session {
	return ledger.Session{ID: short("session", n), EK: id("ek", ek), Nonce: id("nonce", n), State: "challenged",
		Expires: moment(100), Payload: []byte{byte(n)}}
}

// member n with EK, tag and Uh of its number.
func member(n int) ledger.Member {
	return ledger.Member{ID: short("member", n), EK: id("ek", n), F: point("tag", n), Uh: point("uh", n), Epoch: 7,
		State: ledger.MemberPending, Transcript: []byte("transcript"), Form: []byte("form"), Issued: []byte("issued"),
		Name: "Ada", JoinedAt: moment(n)}
}

// enrol opens a session for m's EK and enrols m with it.
func enrol(f fataler, r ledger.Register, sessionNo int, m ledger.Member) error {
	f.Helper()
	s := session(sessionNo, 0)
	s.EK = m.EK
	check(f, r.PutSession(context.Background(), s, room, few))
	return r.Enrol(context.Background(), s.ID, moment(0), m, noCode)
}

func wantMember(f fataler, r ledger.Register, want ledger.Member) {
	f.Helper()
	ctx := context.Background()
	for by, read := range map[string]func() (*ledger.Member, error){
		"id":  func() (*ledger.Member, error) { return r.MemberByID(ctx, want.ID) },
		"ek":  func() (*ledger.Member, error) { return r.MemberByEK(ctx, want.EK) },
		"tag": func() (*ledger.Member, error) { return r.MemberByTag(ctx, want.F) },
		"uh":  func() (*ledger.Member, error) { return r.MemberByUh(ctx, want.Uh) },
	} {
		got, err := read()
		check(f, err)
		if diff := differ(&want, got); diff != "" {
			f.Fatalf("member by %s differs (-want +got):\n%s", by, diff)
		}
	}
}

func testSessions(t *testing.T, fresh FreshRegister) {
	open := fresh(t)
	r := open()
	ctx := context.Background()
	first, second, other := session(1, 1), session(2, 1), session(3, 2)
	for _, s := range []ledger.Session{first, other, second} {
		check(t, r.PutSession(ctx, s, room, few))
	}
	second.State, second.Payload = "joined", []byte("more")
	check(t, r.PutSession(ctx, second, room, few)) // in the place of what it was
	check(t, r.Close())
	r = open()
	defer r.Close()
	_, err := r.Session(ctx, session(9, 9).ID)
	wantErr(t, err, ledger.ErrNotFound)
	for _, want := range []ledger.Session{first, second, other} {
		got, err := r.Session(ctx, want.ID)
		check(t, err)
		if diff := differ(&want, got); diff != "" {
			t.Fatalf("session differs (-want +got):\n%s", diff)
		}
	}
	reused := session(4, 4)
	reused.ID = other.ID
	wantDuplicate(t, r.PutSession(ctx, reused, room, few), ledger.FieldSession)
	reused = session(4, 4)
	reused.Nonce = other.Nonce
	wantDuplicate(t, r.PutSession(ctx, reused, room, few), ledger.FieldSession)
	for name, change := range map[string]func(*ledger.Session){
		"no id":          func(s *ledger.Session) { s.ID = [16]byte{} },
		"no ek":          func(s *ledger.Session) { s.EK = [32]byte{} },
		"no nonce":       func(s *ledger.Session) { s.Nonce = [32]byte{} },
		"no state":       func(s *ledger.Session) { s.State = "" },
		"no end":         func(s *ledger.Session) { s.Expires = time.Time{} },
		"a huge payload": func(s *ledger.Session) { s.Payload = make([]byte, ledger.MaxSession+1) },
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			s := session(5, 5)
			change(&s)
			wantErr(t, r.PutSession(ctx, s, room, few), ledger.ErrMalformed)
		})
	}
	check(t, r.PurgeSessions(ctx, moment(99)))
	_, err = r.Session(ctx, other.ID)
	check(t, err)
	check(t, r.PurgeSessions(ctx, moment(100)))
	_, err = r.Session(ctx, other.ID)
	wantErr(t, err, ledger.ErrNotFound)
}

// testSessionsOfOneEK: whoever knows its certificate can open some, and must not
// end one that has come further.
func testSessionsOfOneEK(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	ctx := context.Background()
	joined := session(1, 1)
	joined.State = "joined"
	check(t, r.PutSession(ctx, joined, room, few))
	for n := 2; n < 10; n++ {
		check(t, r.PutSession(ctx, session(n, 1), room, few))
	}
	check(t, r.PutSession(ctx, session(20, 2), room, few))
	open := func(want ...int) {
		t.Helper()
		var got []int
		for n := 1; n <= 20; n++ {
			if _, err := r.Session(ctx, session(n, 1).ID); err == nil {
				got = append(got, n)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("open are %d, not %d", got, want)
		}
	}
	open(1, 8, 9, 20)
	for _, n := range []int{8, 9} {
		s := session(n, 1)
		s.State = "joined"
		check(t, r.PutSession(ctx, s, room, few))
	}
	open(1, 8, 9, 20)
	check(t, r.PutSession(ctx, session(10, 1), room, few)) // none is left but joined ones
	open(8, 9, 10, 20)
	check(t, r.PutSession(ctx, session(11, 1), 4, few+1)) // in the place of its own
	open(8, 9, 11, 20)
	s := session(12, 2)
	s.State = "joined"
	wantErr(t, r.PutSession(ctx, s, 4, few), ledger.ErrFull)
	open(8, 9, 11, 20)
}

func testTakeOnce(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	check(t, r.PutSession(context.Background(), session(1, 1), room, few))
	var taken atomic.Int64
	together(100, func(int) {
		s, err := r.TakeSession(context.Background(), session(1, 1).ID, moment(0))
		switch {
		case err == nil && s.Nonce == session(1, 1).Nonce:
			taken.Add(1)
		case !errors.Is(err, ledger.ErrNotFound):
			t.Error(err)
		}
	})
	if taken.Load() != 1 {
		t.Fatalf("taken %d times", taken.Load())
	}
}

func testExpiredSession(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	ctx := context.Background()
	s := session(1, 1)
	check(t, r.PutSession(ctx, s, room, few))
	_, err := r.TakeSession(ctx, s.ID, moment(100))
	wantErr(t, err, ledger.ErrExpired)
	_, err = r.TakeSession(ctx, s.ID, moment(0))
	wantErr(t, err, ledger.ErrNotFound)
	check(t, r.PutSession(ctx, s, room, few))
	wantErr(t, r.Enrol(ctx, s.ID, moment(100), member(1), noCode), ledger.ErrExpired)
	wantErr(t, r.Enrol(ctx, s.ID, moment(0), member(1), noCode), ledger.ErrNotFound)
	_, err = r.MemberByEK(ctx, s.EK)
	wantErr(t, err, ledger.ErrNotFound)
}

func testMemberReadBack(t *testing.T, fresh FreshRegister) {
	open := fresh(t)
	r := open()
	ctx := context.Background()
	wantErr(t, r.Enrol(ctx, session(1, 1).ID, moment(0), member(1), noCode), ledger.ErrNotFound)
	check(t, enrol(t, r, 1, member(1)))
	bare := member(2)
	bare.Transcript, bare.Form, bare.Issued, bare.Name, bare.State = nil, nil, nil, "", ledger.MemberActive
	check(t, enrol(t, r, 2, bare))
	check(t, r.Close())
	r = open()
	defer r.Close()
	wantMember(t, r, member(1))
	wantMember(t, r, bare)
	_, err := r.Session(ctx, session(1, 1).ID)
	wantErr(t, err, ledger.ErrNotFound)

	check(t, r.PutSession(ctx, session(3, 4), room, few))
	wantErr(t, r.Enrol(ctx, session(3, 4).ID, moment(0), member(3), noCode), ledger.ErrMalformed) // another EK's session
	wantErr(t, r.Enrol(ctx, session(3, 4).ID, moment(0), member(4), noCode), ledger.ErrNotFound)  // and now it is used up
	for name, change := range map[string]func(*ledger.Member){
		"no id":         func(m *ledger.Member) { m.ID = [16]byte{} },
		"no tag":        func(m *ledger.Member) { m.F = [33]byte{} },
		"expelled":      func(m *ledger.Member) { m.State = ledger.MemberExpelled },
		"a bad name":    func(m *ledger.Member) { m.Name = "\xff" },
		"no time":       func(m *ledger.Member) { m.JoinedAt = time.Time{} },
		"a huge form":   func(m *ledger.Member) { m.Form = make([]byte, ledger.MaxSession+1) },
		"a zero Uh":     func(m *ledger.Member) { m.Uh = [33]byte{} },
		"a zero EK":     func(m *ledger.Member) { m.EK = [32]byte{} },
		"no such state": func(m *ledger.Member) { m.State = "asleep" },
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			m := member(5)
			change(&m)
			wantErr(t, r.Enrol(ctx, session(5, 5).ID, moment(0), m, noCode), ledger.ErrMalformed)
		})
	}
}

func testUniqueMembers(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	active := member(1)
	active.State = ledger.MemberActive
	check(t, enrol(t, r, 1, active))
	check(t, enrol(t, r, 2, member(2)))
	for _, old := range []ledger.Member{active, member(2)} {
		for _, c := range []struct {
			name  string
			copy  func(*ledger.Member)
			field string
		}{
			{"another key on the same EK", func(m *ledger.Member) { m.EK = old.EK }, ledger.FieldEK},
			{"the same tag under another EK", func(m *ledger.Member) { m.F = old.F }, ledger.FieldTag},
			{"the same Uh with another tag", func(m *ledger.Member) { m.Uh = old.Uh }, ledger.FieldUh},
			{"the same member id", func(m *ledger.Member) { m.ID = old.ID }, ledger.FieldMember},
			{"EK and tag, but not Uh", func(m *ledger.Member) { m.EK, m.F = old.EK, old.F }, ledger.FieldEK},
			{"tag and Uh, but not EK", func(m *ledger.Member) { m.Uh, m.F = old.Uh, old.F }, ledger.FieldTag},
		} {
			t.Run(c.name+", against one "+string(old.State), func(t *testing.T) {
				m := member(3)
				c.copy(&m)
				wantDuplicate(t, enrol(t, r, 3, m), c.field)
				// The nonce has answered, though the member was refused.
				wantErr(t, r.Enrol(context.Background(), session(3, 0).ID, moment(0), member(3), noCode), ledger.ErrNotFound)
				wantMember(t, r, old)
			})
		}
	}
	again := active
	again.ID, again.State = short("member", 9), ledger.MemberPending
	wantDuplicate(t, enrol(t, r, 4, again), ledger.FieldEK)
	check(t, enrol(t, r, 5, member(3)))
}

func testRepeatedJoin(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	ctx := context.Background()
	first := member(1)
	check(t, enrol(t, r, 1, first))
	check(t, enrol(t, r, 2, member(2)))
	second := first
	second.ID, second.Transcript = short("member", 10), []byte("transcript of another nonce")
	check(t, enrol(t, r, 3, second))
	wantMember(t, r, second)
	_, err := r.MemberByID(ctx, first.ID)
	wantErr(t, err, ledger.ErrNotFound)
	clash := second
	clash.ID = member(2).ID
	wantDuplicate(t, enrol(t, r, 4, clash), ledger.FieldMember)
	wantMember(t, r, second) // a refused repetition leaves the first
	check(t, r.Activate(ctx, second.ID))
	wantDuplicate(t, enrol(t, r, 5, second), ledger.FieldEK)
	second.State = ledger.MemberActive
	wantMember(t, r, second)
}

func testMemberStates(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	ctx := context.Background()
	m := member(1)
	wantErr(t, r.Activate(ctx, m.ID), ledger.ErrNotFound)
	check(t, enrol(t, r, 1, m))
	wantErr(t, r.Renew(ctx, m.ID, 8, nil), ledger.ErrState)
	check(t, r.Activate(ctx, m.ID))
	check(t, r.Activate(ctx, m.ID))
	check(t, r.Renew(ctx, m.ID, 8, []byte("for 8")))
	check(t, r.Renew(ctx, m.ID, 8, []byte("for 8, again")))
	wantErr(t, r.Renew(ctx, m.ID, 7, nil), ledger.ErrStale)
	wantErr(t, r.Renew(ctx, m.ID, 9, make([]byte, ledger.MaxSession+1)), ledger.ErrMalformed)
	m.State, m.Epoch, m.Issued = ledger.MemberActive, 8, []byte("for 8, again")
	wantMember(t, r, m)
	check(t, r.Expel(ctx, m.ID))
	check(t, r.Expel(ctx, m.ID))
	wantErr(t, r.Activate(ctx, m.ID), ledger.ErrState)
	wantErr(t, r.Readmit(ctx, readmission(1, m)), ledger.ErrState)
	wantErr(t, r.Renew(ctx, m.ID, 9, nil), ledger.ErrState)
	wantErr(t, r.Expel(ctx, short("member", 2)), ledger.ErrNotFound)
	m.State = ledger.MemberExpelled
	wantMember(t, r, m)
}

// testConcurrentEnrol contests EK, tag and Uh in turn, each caller with a
// session of its own.
func testConcurrentEnrol(t *testing.T, fresh FreshRegister) {
	ctx := context.Background()
	for name, contest := range map[string]func(*ledger.Member){
		ledger.FieldTag: func(m *ledger.Member) { m.F = point("tag", 1) },
		ledger.FieldUh:  func(m *ledger.Member) { m.Uh = point("uh", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			r := startRegister(t, fresh)
			const n = 100
			for i := range n {
				check(t, r.PutSession(ctx, session(i, i), room, few))
			}
			var won atomic.Int64
			together(n, func(i int) {
				m := member(i)
				contest(&m)
				err := r.Enrol(ctx, session(i, i).ID, moment(0), m, noCode)
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, ledger.ErrDuplicate) {
					t.Error(err)
				}
			})
			if won.Load() != 1 {
				t.Fatalf("%d joins won", won.Load())
			}
		})
	}
	// Sessions of one EK replace each other, so that here put and enrol race.
	t.Run(ledger.FieldEK, func(t *testing.T) {
		r := startRegister(t, fresh)
		var won atomic.Int64
		together(100, func(i int) {
			s := session(i, 1)
			if err := r.PutSession(ctx, s, room, few); err != nil {
				t.Error(err)
			}
			m := member(i)
			m.EK = s.EK
			err := r.Enrol(ctx, s.ID, moment(0), m, noCode)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, ledger.ErrDuplicate) && !errors.Is(err, ledger.ErrNotFound) {
				t.Error(err)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("%d joins won", won.Load())
		}
	})
}

func testConcurrentSession(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	ctx := context.Background()
	check(t, r.PutSession(ctx, session(1, 1), room, few))
	var won atomic.Int64
	together(100, func(i int) {
		m := member(100 + i)
		m.EK = id("ek", 1)
		err := r.Enrol(ctx, session(1, 1).ID, moment(0), m, noCode)
		if err == nil {
			won.Add(1)
		} else if !errors.Is(err, ledger.ErrNotFound) {
			t.Error(err)
		}
	})
	if won.Load() != 1 {
		t.Fatalf("%d joins won", won.Load())
	}
}
