package registration_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/trust"
)

func TestAWarrantIsEnteredOnceAndEverybodySeesIt(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	ctx := t.Context()
	before := w.ReadDocument(t)
	if before.Warrants != (groupdoc.WarrantHead{}) {
		t.Fatalf("an empty register has the head %+v", before.Warrants)
	}
	jws, first := w.Enter(t, warrant.Open, warrant.Case([32]byte{1}))
	doc := w.ReadDocument(t)
	if doc.Seq <= before.Seq || doc.Warrants != first.Head() {
		t.Fatalf("number %d with the head %+v", doc.Seq, doc.Warrants)
	}
	again, err := w.EnterWarrant(ctx, jws)
	must(t, err)
	if *again != first || w.ReadDocument(t).Seq != doc.Seq {
		t.Fatal("a repetition was entered again")
	}
	_, second := w.Enter(t, warrant.Trace, warrant.Membership{Member: enrol.ID{1}}.Subject())
	entries, err := w.Warrants(ctx, 0)
	must(t, err)
	head := w.ReadDocument(t).Warrants
	must(t, warrant.Extends(groupdoc.WarrantHead{}, entries, head))
	must(t, warrant.Extends(doc.Warrants, []warrant.Entry{second}, head))
	if rest, err := w.Warrants(ctx, 1); err != nil || len(rest) != 1 || rest[0] != second {
		t.Fatalf("got %v, %v", rest, err)
	}
	counts, err := w.WarrantCounts(ctx)
	must(t, err)
	if counts.Head != head || counts.Counts[warrant.Open] != 1 || counts.Counts[warrant.Trace] != 1 || counts.Counts[warrant.Expel] != 0 {
		t.Fatalf("got %+v", counts)
	}

	// Years later the entry is still found, and the papers.
	w.Clock.Forward(60 * 24 * time.Hour)
	if _, err = w.EnterWarrant(ctx, jws); err != nil {
		t.Fatalf("a repetition after the term: %v", err)
	}
	papers, err := w.WarrantPapers(ctx, first.Warrant)
	must(t, err)
	if len(papers) != len(jws) || string(papers[1]) != string(jws[1]) {
		t.Fatal("the papers are others")
	}
	_, err = w.WarrantPapers(ctx, [32]byte{1})
	wantErr(t, err, registration.ErrUnregistered)
	row, err := w.Register.WarrantByDigest(ctx, first.Warrant)
	must(t, err)
	if string(row.Papers) == string(jws[0]) || len(row.Papers) == 0 {
		t.Fatal("the papers are not sealed")
	}
}

func TestWarrantsThatAreNotEntered(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	ctx := t.Context()
	court := w.Court()
	now := w.Clock.Now()
	draft := court.Draft(warrant.Open, warrant.Case([32]byte{1}), now)
	other := draft
	other.Reason = "another reason"
	late := court.Draft(warrant.Open, warrant.Case([32]byte{1}), now.AddDate(0, -2, 0))
	foreign := draft
	foreign.Group = "OTHERGROUP"
	payload, err := draft.Marshal()
	must(t, err)
	byManager, err := trust.Sign(trust.TypWarrant, payload, w.Group.Manager.Key, w.Group.Manager.Chain)
	must(t, err)
	asOther, err := trust.Sign(trust.TypMember, payload, w.Group.Officers[0].Key, w.Group.Officers[0].Chain)
	must(t, err)
	good := court.Sign(t, draft)
	for _, c := range []struct {
		name string
		jws  [][]byte
		want error
	}{
		{"nobody signed", nil, registration.ErrWarrant},
		{"one supervisor signed", court.Sign(t, draft, 1), warrant.ErrQuorum},
		{"one supervisor signed twice", court.Sign(t, draft, 1, 1), warrant.ErrQuorum},
		{"two signed different warrants", append(court.Sign(t, draft, 1), court.Sign(t, other, 2)...), warrant.ErrSigner},
		{"the manager signed in a supervisor's place", [][]byte{good[0], byManager}, trust.ErrRole},
		{"a signature over another kind of paper", [][]byte{good[0], asOther}, trust.ErrType},
		{"its term is over", court.Sign(t, late), warrant.ErrExpired},
		{"another group's", court.Sign(t, foreign), warrant.ErrGroup},
		{"no paper at all", [][]byte{[]byte("paper"), good[1]}, trust.ErrMalformed},
		{"a flipped bit in a signature", [][]byte{good[0], append(good[1][:len(good[1])-2:len(good[1])-2], 'A', 'A')}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.EnterWarrant(ctx, c.jws)
			wantErr(t, err, registration.ErrWarrant)
			if c.want != nil {
				wantErr(t, err, c.want)
			}
		})
	}
	if entries, err := w.Warrants(ctx, 0); err != nil || len(entries) != 0 {
		t.Fatalf("entered: %v, %v", entries, err)
	}
	if _, err := w.EnterWarrant(ctx, good); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
}

func TestAWarrantIsEnteredThoughTheTokenIsGone(t *testing.T) {
	k := &token{}
	w := registrationtest.NewWorld(t, bench, func(c *registration.Config) { k.Signer, c.Signer = c.Signer, k })
	ctx := t.Context()
	court := w.Court()
	jws := court.Sign(t, court.Draft(warrant.Open, warrant.Case([32]byte{1}), w.Clock.Now()))
	k.gone.Store(true)
	_, err := w.EnterWarrant(ctx, jws)
	wantErr(t, err, registration.ErrUnavailable)
	k.gone.Store(false)
	w.Clock.Forward(2 * time.Second)
	e, err := w.EnterWarrant(ctx, jws)
	must(t, err)
	if entries, err := w.Warrants(ctx, 0); err != nil || len(entries) != 1 || w.ReadDocument(t).Warrants != e.Head() {
		t.Fatalf("got %v, %v", entries, err)
	}
}

func TestATranscriptIsHandedOutOnAWarrantOnly(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	ctx := t.Context()
	ada := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	charles := registrationtest.NewComputer(t, bench, registrationtest.TPMB, "rsa2048")
	id, _ := ada.Enrol(t, w, "Ada Lovelace")
	otherID, _ := charles.Enrol(t, w, "Charles Babbage")
	m, err := w.Member(ctx, id)
	must(t, err)
	court := w.Court()

	unentered := court.Sign(t, court.Draft(warrant.Trace, m.Subject, w.Clock.Now()))
	_, err = w.Transcript(ctx, id, unentered)
	wantErr(t, err, registration.ErrUnregistered)
	toOpen, _ := w.Enter(t, warrant.Open, warrant.Case([32]byte{1}))
	_, err = w.Transcript(ctx, id, toOpen)
	wantErr(t, err, warrant.ErrScope)
	_, err = w.Transcript(ctx, id, nil)
	wantErr(t, err, registration.ErrWarrant)

	for _, scope := range []warrant.Scope{warrant.Trace, warrant.Expel} {
		jws, _ := w.Enter(t, scope, m.Subject)
		_, err = w.Transcript(ctx, otherID, jws)
		wantErr(t, err, warrant.ErrSubject)
		_, err = w.Transcript(ctx, enrol.ID{9}, jws)
		wantErr(t, err, registration.ErrNotFound)
		statement, err := w.Transcript(ctx, id, jws)
		must(t, err)
		who, err := enrol.ParseStatement(w.Group.Root, w.ReadDocument(t).Parameters(), statement, w.Clock.Now())
		must(t, err)
		if who.Member != id || who.Name != "Ada Lovelace" {
			t.Fatalf("got %+v", who)
		}
		w.Clock.Forward(31 * 24 * time.Hour)
		_, err = w.Transcript(ctx, id, jws)
		wantErr(t, err, warrant.ErrExpired)
	}
}

// TestARegisterThatWasTamperedWithIsNotOpened changes single rows of the file.
func TestARegisterThatWasTamperedWithIsNotOpened(t *testing.T) {
	for _, c := range []struct{ name, statement string }{
		{"an entry taken out", "DELETE FROM warrants WHERE seq=2"},
		{"the first one taken out", "DELETE FROM warrants WHERE seq=1"},
		{"a scope changed", "UPDATE warrants SET scope='trace' WHERE seq=1"},
		{"a digest changed", "UPDATE warrants SET digest=zeroblob(32) WHERE seq=3"},
		{"a time changed", "UPDATE warrants SET at=at-1000000 WHERE seq=2"},
		{"a hash changed", "UPDATE warrants SET hash=zeroblob(32) WHERE seq=3"},
		{"a link changed", "UPDATE warrants SET prev=zeroblob(32) WHERE seq=2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "register.db")
			open := func() *sqlite.Register {
				r, err := sqlite.OpenRegister(context.Background(), path, sqlite.Options{})
				must(t, err)
				return r
			}
			r := open()
			w := registrationtest.NewWorld(t, bench, func(cfg *registration.Config) { cfg.Register = r })
			for n := range 3 {
				w.Enter(t, warrant.Open, warrant.Case([32]byte{byte(n)}))
			}
			must(t, r.Close())
			db, err := sql.Open("sqlite", path)
			must(t, err)
			_, err = db.Exec(c.statement)
			must(t, errors.Join(err, db.Close()))
			w.Config.Register = open()
			defer w.Config.Register.Close()
			_, err = registration.New(t.Context(), w.Config)
			wantErr(t, err, registration.ErrRegister)
		})
	}
}

func FuzzEnterWarrant(f *testing.F) {
	w := registrationtest.NewWorld(f, bench)
	court := w.Court()
	good := court.Sign(f, court.Draft(warrant.Open, warrant.Case([32]byte{1}), w.Clock.Now()))
	f.Add(good[0], good[1])
	f.Add(good[0], good[0])
	f.Add([]byte("a.b.c"), []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		_, err := w.EnterWarrant(t.Context(), [][]byte{a, b})
		if err != nil && !errors.Is(err, registration.ErrWarrant) {
			t.Fatalf("got %v", err)
		}
		if entries, listed := w.Warrants(t.Context(), 0); listed != nil || len(entries) > 1 || err == nil && len(entries) != 1 {
			t.Fatalf("%d entries, %v", len(entries), listed)
		}
	})
}
