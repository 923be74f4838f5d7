package transcript_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/frame"
)

func readAll(w *transcript.Writer) ([]byte, error) { return os.ReadFile(w.Path()) }

func TestATranscriptIsNeverReplaced(t *testing.T) {
	w := begin(t)
	if _, err := transcript.Create(w.Path(), clock); !errors.Is(err, paper.ErrExists) {
		t.Errorf("got %v", err)
	}
	if info := must(os.Stat(w.Path()))(t); info.Mode().Perm() != paper.Public {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestOneWriterAtATime(t *testing.T) {
	w := begin(t)
	if _, err := transcript.Resume(w.Path(), clock); !errors.Is(err, transcript.ErrBusy) {
		t.Errorf("got %v", err)
	}
	ok(t, w.Release())
	ok(t, w.Release())
	again := must(transcript.Resume(w.Path(), clock))(t)
	ok(t, again.Release())
	if err := again.Append(transcript.EventResumed, transcript.Resumed{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after release: %v", err)
	}
}

// TestItIsResumedAfterEveryByte: whatever was written when the machine died,
// the whole lines are there and the next one follows them.
func TestItIsResumedAfterEveryByte(t *testing.T) {
	h := newHouse(t)
	w := begin(t)
	whole := must(readAll(w))(t)
	path := t.TempDir() + "/torn"
	for n := range len(whole) + 1 {
		if n%7 != 0 && n != len(whole) && whole[max(0, n-1)] != '\n' {
			continue // a line's ends, and samples in between
		}
		ok(t, os.WriteFile(path, whole[:n], 0o644))
		again := must(transcript.Resume(path, clock))(t)
		lines := bytes.Count(whole[:n], []byte("\n"))
		if got := len(again.Transcript().Entries); got != lines {
			t.Fatalf("%d entries after %d bytes with %d whole lines", got, n, lines)
		}
		if lines == 0 {
			ok(t, again.Append(transcript.EventOpened, opened()))
		} else {
			ok(t, again.Append(transcript.EventResumed, transcript.Resumed{Seq: uint64(lines)}))
		}
		ok(t, again.Close(h.bank.name, h.bank.chain, h.bank.key))
		must(must(transcript.ReadFile(path))(t).VerifyClose(h.root))(t)
	}
}

func TestWhatHasEndedIsNotResumed(t *testing.T) {
	h := newHouse(t)
	w := begin(t)
	ok(t, w.Close(h.bank.name, h.bank.chain, h.bank.key))
	if _, err := transcript.Resume(w.Path(), clock); !errors.Is(err, transcript.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if err := w.Append(transcript.EventResumed, transcript.Resumed{}); err == nil {
		t.Error("something was appended after the end")
	}
	w = begin(t)
	ok(t, w.Abandon(transcript.Abandoned{Reason: "the token broke", Keys: []string{"online/receipts"}}))
	if _, err := transcript.Resume(w.Path(), clock); !errors.Is(err, transcript.ErrAbandoned) {
		t.Errorf("abandoned: %v", err)
	}
	if _, err := must(transcript.ReadFile(w.Path()))(t).VerifyClose(h.root); !errors.Is(err, transcript.ErrAbandoned) {
		t.Errorf("verify: %v", err)
	}
}

func TestABrokenTranscriptIsNotResumed(t *testing.T) {
	w := begin(t)
	ok(t, w.Release())
	data := must(readAll(w))(t)
	ok(t, os.WriteFile(w.Path(), bytes.Replace(data, []byte("receipts"), []byte("recipes!"), 1), 0o644))
	if _, err := transcript.Resume(w.Path(), clock); !errors.Is(err, transcript.ErrBroken) {
		t.Errorf("got %v", err)
	}
	if _, err := transcript.Resume(w.Path()+".none", clock); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
}

func TestEntriesThatAreNotWritten(t *testing.T) {
	w := must(transcript.Create(t.TempDir()+"/t", clock))(t)
	defer w.Release()
	if err := w.Append(transcript.EventToken, transcript.Token{}); !errors.Is(err, transcript.ErrBroken) {
		t.Errorf("another entry before it was opened: %v", err)
	}
	bad := opened()
	bad.Plan = "ceremony: \xff\n"
	if err := w.Append(transcript.EventOpened, bad); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("text that is not UTF-8: %v", err)
	}
	ok(t, w.Append(transcript.EventOpened, opened()))
	if err := w.Append("no such", transcript.Token{}); !errors.Is(err, transcript.ErrBroken) {
		t.Errorf("an event with a space: %v", err)
	}
	if err := w.Append(transcript.EventToken, []int(nil)); !errors.Is(err, transcript.ErrBroken) {
		t.Errorf("data that is no object: %v", err)
	}
	if err := w.Append(transcript.EventOpened, opened()); !errors.Is(err, transcript.ErrBroken) {
		t.Errorf("opened twice: %v", err)
	}
	// None of it left a trace.
	if tr := must(transcript.ReadFile(w.Path()))(t); len(tr.Entries) != 1 {
		t.Errorf("%d entries", len(tr.Entries))
	}
}

// broken is a signer whose token has gone, or signs wrongly.
type broken struct {
	crypto.Signer
	err error
}

func (b broken) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	digest[0] ^= 1
	return b.Signer.Sign(rand, digest, opts)
}

func TestAFailedSignatureLeavesItOpen(t *testing.T) {
	h := newHouse(t)
	w := begin(t)
	gone := errors.New("token gone")
	if err := w.Close(h.bank.name, h.bank.chain, broken{h.bank.key, gone}); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	if err := w.Close(h.bank.name, h.bank.chain, broken{h.bank.key, nil}); !errors.Is(err, transcript.ErrSignature) {
		t.Errorf("a signature that does not verify: %v", err)
	}
	ok(t, w.Close(h.bank.name, h.bank.chain, h.bank.key))
	must(must(transcript.ReadFile(w.Path()))(t).VerifyClose(h.root))(t)
}

func TestATranscriptIsBounded(t *testing.T) {
	w := must(transcript.Create(t.TempDir()+"/t", nil))(t)
	defer w.Release()
	ok(t, w.Append(transcript.EventOpened, opened()))
	if err := w.Append(transcript.EventToken, transcript.Token{Label: strings.Repeat("x", transcript.MaxLine)}); !errors.Is(err, transcript.ErrBroken) {
		t.Errorf("a line too long: %v", err)
	}
	token := transcript.Token{Label: strings.Repeat("x", transcript.MaxLine-1<<10)}
	var err error
	for n := 0; err == nil; n++ {
		if err = w.Append(transcript.EventToken, token); n > transcript.MaxSize/transcript.MaxLine+1 {
			t.Fatal("it grows on")
		}
	}
	data := must(readAll(w))(t)
	must(transcript.Read(data))(t)
	// What was refused stays so: the file may have ended in a torn line.
	if again := w.Append(transcript.EventToken, transcript.Token{}); again == nil {
		t.Error("something was appended after a failure")
	}
	last := must(transcript.Read(data))(t).Entries
	e := last[len(last)-1]
	for range 2 {
		line := fmt.Sprintf(`{"seq":%d,"prev":"%s","at":"2026-11-21T12:00:00Z","event":"token","data":%s}`, e.Seq+1, e.Hash, e.Data)
		e.Seq, e.Hash = e.Seq+1, frame.Digest([]byte("specie/transcript/1"), []byte(line))
		data = append(data, line+"\n"...)
	}
	if _, err := transcript.Read(data); !errors.Is(err, transcript.ErrBroken) {
		t.Errorf("too large a file: %v", err)
	}
}

func TestAFileOfSomethingElseIsNotTakenForATornTranscript(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/other"
	for name, text := range map[string]string{
		"a line without its end":    "officers' notes",
		"the beginning of an entry": `{"seq":2,"prev":"`,
		"JSON of another kind":      `{"kty":"EC"}`,
		"another first event":       `{"seq":1,"prev":"` + transcript.Hash{}.String() + `","at":"2026-03-01T12:00:00Z","event":"closed"`,
		"no time":                   `{"seq":1,"prev":"` + transcript.Hash{}.String() + `","at":"yesterday`,
	} {
		ok(t, os.WriteFile(path, []byte(text), 0o600))
		if _, err := transcript.Resume(path, nil); !errors.Is(err, transcript.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := transcript.ReadUnfinished(path); !errors.Is(err, transcript.ErrBroken) {
			t.Errorf("%s, read: %v", name, err)
		}
		if left := must(os.ReadFile(path))(t); string(left) != text {
			t.Errorf("%s: now %q", name, left)
		}
	}
	ok(t, os.WriteFile(path, nil, 0o600))
	ok(t, os.Symlink(path, dir+"/link"))
	ok(t, syscall.Mkfifo(dir+"/fifo", 0o600))
	for _, name := range []string{"/link", "/fifo"} {
		if _, err := transcript.Resume(dir+name, nil); err == nil {
			t.Errorf("%s was resumed", name)
		}
	}
	empty := must(transcript.Resume(path, nil))(t)
	ok(t, empty.Release())
}
