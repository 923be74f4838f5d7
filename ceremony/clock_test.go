package ceremony_test

import (
	"errors"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

// month is how long after its last approval a ceremony may begin.
const month = 30 * 24 * time.Hour

func TestACeremonyBeginsSoonAfterItsApproval(t *testing.T) {
	w := newTown(t, "root")
	p := must(w.parse(rootText))(t)
	w.at = now.Add(-2 * month)
	stale := must(w.approve(p, "ADAMS"))(t)
	w.at = now
	fresh := must(w.approve(p, "CLARK"))(t)
	w.at = now.Add(month + time.Second)
	if _, err := w.runWith(t.Context(), p, append(stale, fresh...)); !errors.Is(err, ceremony.ErrClock) {
		t.Fatalf("a clock that is a month ahead: %v", err)
	}
	if w.exists("root.pem") || w.exists("root.log") || len(w.labels(t, "root")) != 0 {
		t.Error("something was done")
	}
	w.at = now.Add(month)
	must(w.runWith(t.Context(), p, append(stale, fresh...)))(t)
}

func TestAStaleApprovalIsFoundLater(t *testing.T) {
	a := newArchive(t)
	tell := func(at time.Time) error {
		s := a.mint(t)
		set := a.firstKeyset(t)
		set.IssuedAt = at
		s.resign(t, "keyset-1.jws", set, a.master)
		s.begins, s.closedAt = at, at
		_, err := a.verifier(t).Verify(s.write(t))
		return err
	}
	if err := tell(a.at.Add(month)); err != nil {
		t.Error(err)
	}
	if err := tell(a.at.Add(month + time.Second)); !errors.Is(err, ceremony.ErrClock) {
		t.Errorf("a month later: %v", err)
	}
}

func TestACeremonyFromTheFutureIsRefused(t *testing.T) {
	a := newArchive(t)
	for _, tt := range []struct {
		name  string
		lasts time.Duration
		now   time.Time
		want  error
	}{
		{"one that has just ended", 0, a.at, nil},
		{"one of a clock that is a day ahead", 0, a.at.Add(-coin.MaxAhead), nil},
		{"one that began later than now", 0, a.at.Add(-coin.MaxAhead - time.Second), ceremony.ErrClock},
		{"one that ended later than now", time.Hour, a.at.Add(-coin.MaxAhead + time.Minute), ceremony.ErrClock},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := a.mint(t)
			s.closedAt = a.at.Add(tt.lasts)
			v := a.verifier(t)
			v.Now = func() time.Time { return tt.now }
			if _, err := v.Verify(s.write(t)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAKeysetFromTheFutureIsNoneToFollow(t *testing.T) {
	a := newArchive(t)
	set := a.firstKeyset(t)
	set.IssuedAt = a.at.AddDate(8, 0, 0)
	a.write(t, "keyset-1.jws", string(must(trust.Sign(trust.TypKeyset, must(set.Marshal())(t), a.master.key, a.master.chain()))(t)))
	next := change(t, smallText, "sequence: 1", "sequence: 2\nprevious: keyset-1.jws", "keyset: keyset-1.jws", "keyset: keyset-2.jws")
	if err := must(ceremony.Parse([]byte(plan(next, noModule)), a.dir))(t).Check(a.at); !errors.Is(err, coin.ErrFuture) {
		t.Errorf("got %v", err)
	}
}
