package ceremony_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
)

var errCrash = errors.New("the plug was pulled")

// crashAt lets the runs of the town stop at a step, counted from 1, and tells
// which it was; "" if the run had fewer.
func (w *town) crashAt(n int) (at *string) {
	at = new(string)
	w.runner.Interrupt(func(step string) error {
		if n--; n == 0 {
			*at = step
			return errCrash
		}
		return nil
	})
	return at
}

// crashes runs a ceremony again and again, each time under other names, and
// stops it one step later than before; then look is called. It returns when
// the ceremony has no more steps.
func (w *town) crashes(t *testing.T, text func(i int) string, look func(t *testing.T, i int, text, step string)) {
	t.Helper()
	for i := 1; ; i++ {
		step := w.crashAt(i)
		text := text(i)
		r, err := w.run(t.Context(), text)
		w.runner.Interrupt(nil)
		if *step == "" {
			if err != nil || i < 8 {
				t.Errorf("%d steps, %v, %+v", i-1, err, r)
			}
			return
		}
		t.Run(fmt.Sprintf("%d after %s", i, *step), func(t *testing.T) {
			if !errors.Is(err, errCrash) {
				t.Fatalf("got %v", err)
			}
			w.at = w.at.Add(time.Minute)
			look(t, i, text, *step)
		})
	}
}

// checkResumed runs a ceremony that was stopped to its end, and looks whether
// it left what an uninterrupted one leaves.
func (w *town) checkResumed(t *testing.T, text, log, step string) *ceremony.Result {
	t.Helper()
	p := must(w.parse(text))(t)
	if step == "closed" {
		if err := p.Check(w.at); !errors.Is(err, paper.ErrExists) {
			t.Errorf("over, and Check says %v", err)
		}
		return nil
	}
	if err := p.Check(w.at); err != nil {
		t.Errorf("Check: %v", err)
	}
	// The approvals are in the transcript, if there is one.
	var approvals [][]byte
	if step == "created" {
		approvals = must(w.approve(p, "ADAMS", "BAKER"))(t)
	}
	r := must(w.runWith(t.Context(), p, approvals))(t)
	if r.Resumed != (step != "created") {
		t.Errorf("resumed %v", r.Resumed)
	}
	for _, out := range p.Outputs() {
		if _, err := os.Stat(out); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(out + paper.PartSuffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a part is left: %v", err)
		}
	}
	tr := w.log(t, log)
	made := must(transcript.All[transcript.Key](tr, transcript.EventKey))(t)
	rehearsed := must(transcript.All[transcript.Rehearsed](tr, transcript.EventRehearsed))(t)
	outputs := must(transcript.All[transcript.Output](tr, transcript.EventOutput))(t)
	if len(made) != len(r.Keys) || len(rehearsed) != 1 || len(outputs) != len(p.Outputs()) {
		t.Errorf("%d keys, %d rehearsals, %d outputs in the transcript", len(made), len(rehearsed), len(outputs))
	}
	if !r.At.Equal(tr.Entries[0].At) {
		t.Errorf("began at %s, opened at %s", r.At, tr.Entries[0].At)
	}
	return r
}

func TestAKeysetThatIsInterruptedAnywhereIsFinished(t *testing.T) {
	w := newBank(t)
	text := func(i int) string {
		return change(t, denominationsText, "keyset-1.jws", fmt.Sprintf("k%d.jws", i), "keyset-1.log", fmt.Sprintf("k%d.log", i), "key: bearer", fmt.Sprintf("key: b%d", i))
	}
	w.crashes(t, text, func(t *testing.T, i int, text, step string) {
		r := w.checkResumed(t, text, fmt.Sprintf("k%d.log", i), step)
		if r == nil {
			return
		}
		set := w.keyset(t, fmt.Sprintf("k%d.jws", i))
		if len(set.Denominations) != 2 || !set.IssuedAt.Equal(r.At) {
			t.Fatalf("%d keys, issued %s, begun %s", len(set.Denominations), set.IssuedAt, r.At)
		}
		w.withToken(t, "online", func(tok *hsm.Token) {
			for j, d := range set.Denominations {
				key := must(tok.FindRSA(t.Context(), fmt.Sprintf("b%d-%d", i, j+1)))(t)
				if kid := must(coin.NewKeyID(key.Public()))(t); kid != d.KeyID {
					t.Errorf("key %d in the keyset is not the one in the token", j)
				}
			}
		})
	})
}

func TestAGroupThatIsInterruptedAnywhereIsFinished(t *testing.T) {
	w := newTown(t, "root", "manager")
	w.mustRun(t, rootText)
	text := func(i int) string {
		n := fmt.Sprintf("g%d", i)
		return change(t, groupText, "group.pem", n+".pem", "group.sealed", n+".sealed", "group.log", n+".log",
			"KEY(manager/documents)", "KEY(manager/d"+n+")", "KEY(manager/seal)", "KEY(manager/s"+n+")")
	}
	w.crashes(t, text, func(t *testing.T, i int, text, step string) {
		n := fmt.Sprintf("g%d", i)
		if w.checkResumed(t, text, n+".log", step) == nil {
			return
		}
		w.withToken(t, "manager", func(tok *hsm.Token) {
			key := must(tok.FindAES(t.Context(), "s"+n))(t)
			must(ceremony.UnsealGroup(t.Context(), w.file(t, n+".sealed"), key, "TESTGROUP"))(t)
			if doc := must(tok.FindECDSA(t.Context(), "d"+n))(t); !w.chain(t, n+".pem")[0].PublicKey.(*ecdsa.PublicKey).Equal(doc.Public()) {
				t.Error("the certificate is of another key")
			}
		})
	})
}

func TestACeremonyThatIsInterruptedAnywhereCanBeAbandoned(t *testing.T) {
	w := newTown(t, "root", "manager")
	w.mustRun(t, rootText)
	text := func(i int) string {
		n := fmt.Sprintf("g%d", i)
		return change(t, groupText, "group.pem", n+".pem", "group.sealed", n+".sealed", "group.log", n+".log",
			"KEY(manager/documents)", "KEY(manager/d"+n+")", "KEY(manager/seal)", "KEY(manager/s"+n+")")
	}
	w.crashes(t, text, func(t *testing.T, i int, text, step string) {
		n := fmt.Sprintf("g%d", i)
		p := must(w.parse(text))(t)
		left, err := w.abandon(t, p)
		if step == "closed" {
			if !errors.Is(err, transcript.ErrClosed) || !w.exists(n+".pem") {
				t.Errorf("a ceremony that is over: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{".pem", ".pem.part", ".sealed", ".sealed.part"} {
			if w.exists(n + name) {
				t.Errorf("%s is left", n+name)
			}
		}
		// Every key that is there is named.
		there := w.labels(t, "manager")
		for _, label := range []string{"d" + n, "s" + n} {
			if there[label] && !strings.Contains(strings.Join(left, " ")+" ", "manager/"+label+" ") {
				t.Errorf("%s is in the token, and not in %q", label, left)
			}
		}
		if step == "created" {
			if w.exists(n + ".log") {
				t.Error("an empty transcript is left")
			}
			return
		}
		tr := must(transcript.ReadFile(w.path(n + ".log")))(t)
		if _, err := tr.VerifyClose(w.root(t)); !errors.Is(err, transcript.ErrAbandoned) {
			t.Errorf("the transcript: %v", err)
		}
		if _, err := w.abandon(t, p); !errors.Is(err, transcript.ErrAbandoned) {
			t.Errorf("once more: %v", err)
		}
		if _, err := w.run(t.Context(), text); !errors.Is(err, paper.ErrExists) {
			t.Errorf("run after that: %v", err)
		}
	})
}

func (w *town) abandon(t *testing.T, p *ceremony.Plan) ([]string, error) {
	r := ceremony.Runner{Now: func() time.Time { return w.at }}
	return r.Abandon(t.Context(), p, "the plug was pulled")
}

func TestAbandonRefuses(t *testing.T) {
	w := newTown(t, "root")
	p := must(w.parse(rootText))(t)
	if _, err := w.abandon(t, p); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing to abandon: %v", err)
	}
	if _, err := (&ceremony.Runner{}).Abandon(t.Context(), p, " "); !errors.Is(err, ceremony.ErrInput) {
		t.Errorf("no reason: %v", err)
	}
}

// interrupted is a town whose root ceremony stopped when the key was there and
// not yet noted.
func interrupted(t *testing.T, at string) *town {
	t.Helper()
	w := newTown(t, "root")
	w.runner.Interrupt(func(step string) error {
		if step == at {
			return errCrash
		}
		return nil
	})
	if r, err := w.run(t.Context(), rootText); !errors.Is(err, errCrash) || r == nil {
		t.Fatalf("got %v", err)
	}
	w.runner.Interrupt(nil)
	return w
}

func TestAnotherPlanDoesNotTakeOver(t *testing.T) {
	w := interrupted(t, "generated")
	other := change(t, rootText, "until: 2046", "until: 2045")
	if _, err := w.run(t.Context(), other); !errors.Is(err, ceremony.ErrInterrupted) || !strings.Contains(err.Error(), "root.log") {
		t.Errorf("another plan: %v", err)
	}
	roster := string(w.file(t, "officers.yaml"))
	w.write(t, "officers.yaml", roster+"\n")
	if _, err := w.run(t.Context(), rootText); !errors.Is(err, ceremony.ErrInterrupted) {
		t.Errorf("the same plan with another input: %v", err)
	}
	w.write(t, "officers.yaml", roster)
	w.at = now.Add(-time.Second)
	if _, err := w.run(t.Context(), rootText); !errors.Is(err, ceremony.ErrClock) {
		t.Errorf("before it began: %v", err)
	}
	w.at = now
	// The other plan's officer gives up what is there; the transcript says what
	// that was.
	left := must(w.abandon(t, must(w.parse(other))(t)))(t)
	if len(left) != 1 || left[0] != "root/root (perhaps)" {
		t.Errorf("left: %q", left)
	}
	noted := must(transcript.All[transcript.Abandoned](must(transcript.ReadFile(w.path("root.log")))(t), transcript.EventAbandoned))(t)
	if len(noted) != 1 || len(noted[0].Keys) != 1 || noted[0].Keys[0] != "root/root" {
		t.Errorf("noted: %+v", noted)
	}
}

func TestAKeyThatWasExchangedMeanwhileIsRefused(t *testing.T) {
	w := interrupted(t, "key")
	w.eraseToken(t, "root")
	if _, err := w.run(t.Context(), rootText); !errors.Is(err, hsm.ErrKeyNotFound) {
		t.Errorf("the key is gone: %v", err)
	}
	w.withToken(t, "root", func(tok *hsm.Token) {
		must(tok.GenerateECDSA(t.Context(), "root", elliptic.P384()))(t)
	})
	if _, err := w.run(t.Context(), rootText); !errors.Is(err, ceremony.ErrKey) {
		t.Errorf("another key: %v", err)
	}
	if w.exists("root.pem") {
		t.Error("a certificate was written")
	}
}

// What lies under the label is adopted only if it is what was planned.
func TestAKeyOfAnotherKindIsNotAdopted(t *testing.T) {
	w := interrupted(t, "generating")
	w.withToken(t, "root", func(tok *hsm.Token) {
		must(tok.GenerateECDSA(t.Context(), "root", elliptic.P256()))(t)
	})
	if _, err := w.run(t.Context(), rootText); !errors.Is(err, ceremony.ErrKey) {
		t.Errorf("got %v", err)
	}
}

// A process that died while it made the key, before the token had done so.
func TestAKeyThatWasNotMadeAfterAllIsMade(t *testing.T) {
	w := interrupted(t, "generating")
	w.mustRun(t, rootText)
	w.root(t)
}

// A power cut in the middle of a line: what it would have said had not begun.
func TestATornTranscriptIsTakenUp(t *testing.T) {
	w := interrupted(t, "generating")
	log := string(w.file(t, "root.log"))
	w.write(t, "root.log", log[:len(log)-10])
	w.mustRun(t, rootText)
	w.log(t, "root.log")
}

func TestOutputsThatWereTamperedWithMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name, step, file string
		want             error
	}{
		{"the part was changed after it was noted", "output", "root.pem.part", ceremony.ErrInput},
		{"the output was changed after it was placed", "placed", "root.pem", ceremony.ErrInput},
		{"somebody wrote a file in its place", "staged certificate", "root.pem", paper.ErrExists},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := interrupted(t, tt.step)
			w.write(t, tt.file, "forged")
			if _, err := w.run(t.Context(), rootText); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if string(w.file(t, tt.file)) != "forged" {
				t.Error("it was replaced")
			}
		})
	}
	t.Run("a stranger's file is seen before a token is opened, and is not abandoned with the ceremony", func(t *testing.T) {
		w := interrupted(t, "staged certificate")
		w.write(t, "root.pem", "forged")
		p := must(w.parse(rootText))(t)
		if err := p.Check(w.at); !errors.Is(err, paper.ErrExists) {
			t.Errorf("Check: %v", err)
		}
		must(w.abandon(t, p))(t)
		if string(w.file(t, "root.pem")) != "forged" || w.exists("root.pem.part") {
			t.Error("not the ceremony's own file was taken away")
		}
	})
	t.Run("an unnoted part is made anew", func(t *testing.T) {
		w := interrupted(t, "staged certificate")
		w.write(t, "root.pem.part", "forged")
		w.mustRun(t, rootText)
		w.log(t, "root.log")
	})
	t.Run("a part that a stranger left", func(t *testing.T) {
		w := newTown(t, "root")
		w.write(t, "root.pem.part", "somebody's")
		if _, err := w.run(t.Context(), rootText); !errors.Is(err, paper.ErrExists) {
			t.Errorf("got %v", err)
		}
	})
}

// The transcript is looked at again once nobody else can write it.
func TestATranscriptThatWasExchangedDuringTheRehearsal(t *testing.T) {
	other := newTown(t, "root")
	other.runner.Interrupt(func(step string) error {
		if step == "opened" {
			return errCrash
		}
		return nil
	})
	if _, err := other.run(t.Context(), change(t, rootText, "2046", "2045")); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	w := interrupted(t, "opened")
	w.runner.Progress = func(int, int) { w.write(t, "root.log", string(other.file(t, "root.log"))) }
	if _, err := w.run(t.Context(), rootText); !errors.Is(err, ceremony.ErrInterrupted) {
		t.Errorf("got %v", err)
	}
	if len(w.labels(t, "root")) != 0 {
		t.Error("a key was made")
	}
}

// Two runs of one plan at a time: the second waits for nobody, and does
// nothing.
func TestTwoRunsAtATime(t *testing.T) {
	w := interrupted(t, "key")
	other := must(transcript.Resume(w.path("root.log"), nil))(t)
	if _, err := w.run(t.Context(), rootText); !errors.Is(err, transcript.ErrBusy) {
		t.Errorf("got %v", err)
	}
	if err := other.Release(); err != nil {
		t.Fatal(err)
	}
	w.mustRun(t, rootText)
}
