package ceremony_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// plant leaves an unfinished transcript of a plan that officers approved, as
// anybody can who writes files: nobody has signed one before it is closed.
func (w *town) plant(t *testing.T, text string, alter func(*transcript.Opened), entries ...told) {
	t.Helper()
	p := must(w.parse(text))(t)
	opened := transcript.Opened{
		Ceremony: string(p.Kind), Plan: transcript.Text(p.Text()), Inputs: must(p.Inputs())(t), Digest: must(p.Digest())(t),
		Roster: transcript.Text(w.file(t, "officers.yaml")),
	}
	for _, a := range must(w.approve(p, "ADAMS", "CLARK"))(t) {
		opened.Approvals = append(opened.Approvals, transcript.Text(a))
	}
	if alter != nil {
		alter(&opened)
	}
	at := w.at
	wr := must(transcript.Create(p.TranscriptPath(), func() time.Time { at = at.Add(w.tick); return at }))(t)
	defer wr.Release()
	for _, e := range append([]told{{transcript.EventOpened, opened}}, entries...) {
		if err := wr.Append(e.event, e.data); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADestructionIsNotBelievedOfATranscript(t *testing.T) {
	for _, tt := range []struct {
		name   string
		keyset string
		event  transcript.Event
		alter  func(t *testing.T, w *town, d *transcript.Destroyed)
		want   error
	}{
		{"that it was done", "keyset-2.jws", transcript.EventDestroyed, nil, ceremony.ErrKey},
		{"that it was done, and the PIN is another now", "keyset-2.jws", transcript.EventDestroyed, func(t *testing.T, w *town, _ *transcript.Destroyed) {
			pin := hsm.RandomPIN()
			if err := errors.Join(os.Remove(w.path("online.pin")), pin.Save(w.path("online.pin"))); err != nil {
				t.Fatal(err)
			}
		}, ceremony.ErrKey},
		{"that it had begun, and the keys are still needed", "keyset-1.jws", transcript.EventErasing, nil, ceremony.ErrNeeded},
		{"that it had begun, with other keys", "keyset-2.jws", transcript.EventErasing, func(_ *testing.T, _ *town, d *transcript.Destroyed) {
			d.Keys = d.Keys[:2]
		}, ceremony.ErrKey},
		{"that it had begun, with another token", "keyset-2.jws", transcript.EventErasing, func(_ *testing.T, _ *town, d *transcript.Destroyed) {
			d.Serial = "0123456789abcdef"
		}, ceremony.ErrKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := revoked(t)
			gone := transcript.Destroyed{Token: "online"}
			w.withToken(t, "online", func(tok *hsm.Token) { gone.Serial = tok.Info().Serial })
			for _, log := range []string{"keyset-1.log", "signing.log"} {
				for _, k := range must(transcript.All[transcript.Key](w.log(t, log), transcript.EventKey))(t) {
					if k.Token == "online" {
						gone.Keys = append(gone.Keys, k.ID)
					}
				}
			}
			if tt.alter != nil {
				tt.alter(t, w, &gone)
			}
			text := change(t, destroyText, "keyset-2.jws", tt.keyset)
			w.plant(t, text, nil, told{transcript.EventRehearsed, transcript.Rehearsed{OK: true}}, told{tt.event, gone})
			if _, err := w.run(t.Context(), text); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if n := w.objects(t, "online"); n != 6 {
				t.Errorf("%d objects in the token", n)
			}
			if _, err := must(transcript.ReadFile(w.path("destroy.log")))(t).VerifyClose(w.root(t)); !errors.Is(err, transcript.ErrOpen) {
				t.Errorf("the transcript: %v", err)
			}
		})
	}
}

// rehearsed says that one key was made and thrown away.
var rehearsed = told{transcript.EventRehearsed, transcript.Rehearsed{Keys: 1, OK: true}}

// plantOutput leaves a file as an interrupted run would have.
func (w *town) plantOutput(t *testing.T, path string, data []byte, secret bool) told {
	t.Helper()
	w.write(t, path+paper.PartSuffix, string(data))
	return told{transcript.EventOutput, transcript.Output{Path: path, SHA256: sum(data), Secret: secret}}
}

func TestAForgedOutputIsNotSigned(t *testing.T) {
	stranger := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	forged := pemOf("CERTIFICATE", must(trust.CreateRoot(stranger, instant("2026-01-01T00:00:00Z"), instant("2046-01-01T00:00:00Z")))(t))
	open := func(t *testing.T, w *town, log string) {
		t.Helper()
		if tr := must(transcript.ReadFile(w.path(log)))(t); tr.Ended() {
			t.Error("the transcript was closed")
		}
	}
	t.Run("a root certificate of another key", func(t *testing.T) {
		w := newTown(t, "root")
		w.plant(t, rootText, nil, rehearsed, w.plantOutput(t, "root.pem", forged, false))
		if _, err := w.run(t.Context(), rootText); !errors.Is(err, ceremony.ErrClaim) || !errors.Is(err, ceremony.ErrKey) {
			t.Errorf("got %v", err)
		}
		if w.exists("root.pem") {
			t.Error("it was put in its place")
		}
		open(t, w, "root.log")
	})
	t.Run("group secrets that somebody else drew", func(t *testing.T) {
		w := newTown(t, "root", "manager")
		w.mustRun(t, rootText)
		theirs := must(must(ceremony.GenerateGroupSecrets("TESTGROUP"))(t).Seal(t.Context(), clear{}))(t)
		w.plant(t, groupText, nil, told{transcript.EventRehearsed, transcript.Rehearsed{Keys: 2, OK: true}}, w.plantOutput(t, "group.sealed", theirs, true))
		if _, err := w.run(t.Context(), groupText); !errors.Is(err, ceremony.ErrSealed) {
			t.Errorf("got %v", err)
		}
		open(t, w, "group.log")
	})
	t.Run("and one more that the plan does not name", func(t *testing.T) {
		w := newTown(t, "root")
		w.plant(t, rootText, nil, rehearsed, w.plantOutput(t, "other.pem", forged, false))
		if _, err := w.run(t.Context(), rootText); !errors.Is(err, ceremony.ErrClaim) {
			t.Errorf("got %v", err)
		}
		open(t, w, "root.log")
	})
}

// clear is a key that hides nothing.
type clear struct{}

func (clear) Seal(_ context.Context, plain, _ []byte) ([]byte, error) { return plain, nil }
func (clear) Open(_ context.Context, box, _ []byte) ([]byte, error)   { return box, nil }

func TestAForgedBeginningIsNotGoneOnWith(t *testing.T) {
	for _, tt := range []struct {
		name  string
		alter func(*transcript.Opened)
		want  error
	}{
		{"the text of another plan", func(o *transcript.Opened) { o.Plan += "\n" }, ceremony.ErrInterrupted},
		{"other officers", func(o *transcript.Opened) { o.Roster += "\n" }, ceremony.ErrInterrupted},
		{"another kind", func(o *transcript.Opened) { o.Ceremony = "group" }, ceremony.ErrInterrupted},
		{"an input by another path", func(o *transcript.Opened) { o.Inputs[0].Path = "./officers.yaml" }, ceremony.ErrInterrupted},
		{"a ceremony before that the plan does not name", func(o *transcript.Opened) { o.Follows = &transcript.Hash{} }, ceremony.ErrInterrupted},
		{"officers before", func(o *transcript.Opened) { o.Former = o.Roster }, ceremony.ErrInterrupted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTown(t, "root")
			w.plant(t, rootText, tt.alter)
			if _, err := w.run(t.Context(), rootText); !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a token that describes itself otherwise", func(t *testing.T) {
		w := newTown(t, "root")
		w.plant(t, rootText, nil, rehearsed, told{transcript.EventToken, transcript.Token{Label: "root", Serial: "0bad"}})
		if _, err := w.run(t.Context(), rootText); !errors.Is(err, ceremony.ErrKey) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a rehearsal of nothing", func(t *testing.T) {
		w := newTown(t, "root")
		w.plant(t, rootText, nil, told{transcript.EventRehearsed, transcript.Rehearsed{OK: true}})
		w.mustRun(t, rootText)
		if all := must(transcript.All[transcript.Rehearsed](w.log(t, "root.log"), transcript.EventRehearsed))(t); len(all) != 2 || all[1].Keys != 1 {
			t.Errorf("rehearsed: %+v", all)
		}
	})
	t.Run("before the root that it is under", func(t *testing.T) {
		w := newTown(t, "root", "offline")
		w.mustRun(t, rootText)
		w.at = instant("2025-12-31T00:00:00Z")
		w.plant(t, issuerText, nil)
		w.at = now
		if _, err := w.run(t.Context(), issuerText); !errors.Is(err, ceremony.ErrClock) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("at a time that is still to come", func(t *testing.T) {
		w := newTown(t, "root")
		w.at, w.tick = now.Add(2*time.Hour), -time.Hour
		w.plant(t, rootText, nil, rehearsed)
		w.at, w.tick = now, 0
		if _, err := w.run(t.Context(), rootText); !errors.Is(err, ceremony.ErrClock) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAbandonTakesNothingAwayForAnotherPlan(t *testing.T) {
	far := filepath.Join(t.TempDir(), "precious.pem")
	for _, tt := range []struct{ name, output, path string }{
		{"a file elsewhere", far, far},
		{"a file below", "below/precious.pem", "below/precious.pem"},
		{"the officers of this plan", "officers.yaml", "officers.yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTown(t, "root")
			if err := os.Mkdir(w.path("below"), 0o755); err != nil {
				t.Fatal(err)
			}
			path := tt.path
			if !filepath.IsAbs(path) {
				path = w.path(path)
			}
			if _, err := os.Lstat(path); err != nil {
				if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			data := must(os.ReadFile(path))(t)
			other := change(t, rootText, "certificate: root.pem", "certificate: "+tt.output)
			if tt.output == "officers.yaml" {
				w.write(t, "others.yaml", string(data))
				other = "officers: others.yaml" + other
			}
			w.plant(t, other, nil, told{transcript.EventOutput, transcript.Output{Path: tt.output, SHA256: sum(data)}})
			if _, err := w.abandon(t, must(w.parse(rootText))(t)); !errors.Is(err, ceremony.ErrInterrupted) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Error(err)
			}
			must(w.abandon(t, must(w.parse(other))(t)))(t)
		})
	}
}

func TestAForgedDocumentOfASupervisorIsNotSigned(t *testing.T) {
	p := newPanel(t)
	p.round(t)
	p.mustStep(t, "ALICE")
	p.carry(t, "ALICE", "BORIS")
	p.carry(t, "CAROL", "BORIS")
	r := &ceremony.Runner{}
	r.Interrupt(func(step string) error {
		if step == "combined" {
			return errCrash
		}
		return nil
	})
	if _, err := p.step(r, "BORIS", supervisorsText, "ADAMS", "CLARK"); !errors.Is(err, errCrash) {
		t.Fatalf("got %v", err)
	}
	doc, log := filepath.Join(p.machines["BORIS"], "supervision-BORIS.jws"), filepath.Join(p.machines["BORIS"], "supervisors-BORIS.log")
	forged := p.on(t, "BORIS", "dealing-BORIS.jws")
	if err := os.WriteFile(doc+paper.PartSuffix, forged, 0o644); err != nil {
		t.Fatal(err)
	}
	w := must(transcript.Resume(log, func() time.Time { return p.at }))(t)
	err := w.Append(transcript.EventOutput, transcript.Output{Path: "supervision-BORIS.jws", SHA256: sum(forged)})
	if err := errors.Join(err, w.Release()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.step(&ceremony.Runner{}, "BORIS", supervisorsText, "ADAMS", "CLARK"); !errors.Is(err, ceremony.ErrClaim) {
		t.Errorf("got %v", err)
	}
	if must(transcript.ReadFile(log))(t).Ended() {
		t.Error("the transcript was closed")
	}
}
