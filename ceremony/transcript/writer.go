package transcript

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/trust"
)

// Writer appends to a transcript. Whatever way it ends, Release lets go of
// the file.
type Writer struct {
	path string
	f    *os.File
	now  func() time.Time
	t    *Transcript
	size int64
	err  error // the first failure; nothing is written after it
}

// Create begins a transcript in a file that must not exist (paper.ErrExists).
// now is the clock; nil is time.Now.
func Create(path string, now func() time.Time) (*Writer, error) {
	if err := paper.Write(path, nil, paper.Public); err != nil {
		return nil, err
	}
	return Resume(path, now)
}

// Resume goes on with a transcript that was not ended: the chain is checked
// again (ErrBroken), and a torn last line cut off. A process may have died
// before its first entry was whole; the transcript is empty then, and begins
// with [EventOpened] like a new one. Errors: ErrClosed, ErrAbandoned, ErrBusy.
func Resume(path string, now func() time.Time) (*Writer, error) {
	f, err := openRegular(path, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	w := &Writer{path: path, f: f, now: now}
	if err := w.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return w, nil
}

// open locks and reads the file. The lock goes with the process.
func (w *Writer) open() error {
	if err := syscall.Flock(int(w.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	t, size, err := readUnfinished(w.f)
	if err != nil {
		return err
	}
	if last := t.last(); last != nil && last.Event == EventAbandoned {
		return ErrAbandoned
	} else if t.Ended() {
		return ErrClosed
	}
	w.t, w.size = t, size
	if err := w.f.Truncate(w.size); err != nil {
		return err
	}
	return w.f.Sync()
}

// ReadUnfinished reads what Resume would go on from, and changes nothing.
func ReadUnfinished(path string) (*Transcript, error) {
	f, err := openRegular(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, _, err := readUnfinished(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// openRegular opens a file that is one: what a link leads to, or a device, is
// not this ceremony's to go on with.
func openRegular(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w: not a regular file", path, ErrBroken)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// readUnfinished returns the whole entries and their size in bytes. A file of
// something else has no whole line either, and is not taken for a torn one.
func readUnfinished(f *os.File) (*Transcript, int64, error) {
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, 0, err
	}
	t, torn, err := read(data)
	if err != nil {
		return nil, 0, err
	}
	if len(t.Entries) == 0 && !beginsFirst(torn) {
		return nil, 0, fmt.Errorf("%w: not the beginning of a transcript", ErrBroken)
	}
	return t, int64(len(data) - len(torn)), nil
}

// beginsFirst says whether torn is how a first line begins.
func beginsFirst(torn []byte) bool {
	first := Entry{Seq: 1, Event: EventOpened, Data: []byte("{")}
	line := first.line()
	line = line[:len(line)-1] // the brace after the data
	at := bytes.Index(line, []byte(`"at":"`)) + len(`"at":"`)
	for i := range min(len(torn), len(line)) {
		digit := i >= at && i < at+len(instantLayout) && line[i] >= '0' && line[i] <= '9'
		if digit && torn[i] >= '0' && torn[i] <= '9' {
			continue
		}
		if torn[i] != line[i] {
			return false
		}
	}
	return true
}

// Transcript is what was written so far, not to be modified.
func (w *Writer) Transcript() *Transcript { return w.t }

// Append writes an entry; it is on disk when Append returns nil. After an
// error nothing more is written: the file may end in a torn line, and the
// ceremony is to be resumed from it. data is the struct of the event.
func (w *Writer) Append(event Event, data any) error {
	return w.append(event, func(*Entry) (any, error) { return data, nil })
}

// Close ends the ceremony with the signature of whoever answers for it: by
// names him, chain is his certificates, leaf first and without the root (none
// for the root itself), signer holds the key. The file is released if it
// succeeds.
func (w *Writer) Close(by trust.Name, chain []*x509.Certificate, signer crypto.Signer) error {
	err := w.append(EventClosed, func(e *Entry) (any, error) { return sign(e, by, chain, signer) })
	if err != nil {
		return err
	}
	return w.Release()
}

// Abandon ends a ceremony that is given up, and releases the file if it
// succeeds. It is not signed: nothing is claimed.
func (w *Writer) Abandon(data Abandoned) error {
	if err := w.Append(EventAbandoned, data); err != nil {
		return err
	}
	return w.Release()
}

func (w *Writer) append(event Event, data func(*Entry) (any, error)) error {
	if w.err != nil {
		return w.err
	}
	e := &Entry{Seq: uint64(len(w.t.Entries)) + 1, Prev: w.t.Head(), At: w.now().UTC().Truncate(time.Second), Event: event}
	v, err := data(e)
	if err != nil {
		return err
	}
	if e.Data, err = json.Marshal(v); err != nil {
		return fmt.Errorf("transcript: %s: %w", event, err)
	}
	line := e.line()
	// Read back as a stranger would, so that nothing is written that nobody
	// accepts.
	next := &Transcript{Entries: w.t.Entries}
	if err := next.take(line); err != nil {
		return fmt.Errorf("the new entry: %w", err)
	}
	if err := w.write(append(line, '\n')); err != nil {
		w.err = fmt.Errorf("transcript: write: %w", err)
		return w.err
	}
	w.t = next
	return nil
}

func (w *Writer) write(line []byte) error {
	if w.size+int64(len(line)) > MaxSize {
		return fmt.Errorf("more than %d bytes", MaxSize)
	}
	if _, err := w.f.WriteAt(line, w.size); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	w.size += int64(len(line))
	return nil
}

// Release lets go of the file without ending the transcript; it can be
// resumed. A second call does nothing.
func (w *Writer) Release() error {
	if w.f == nil {
		return nil
	}
	f := w.f
	w.f = nil
	if w.err == nil {
		w.err = fmt.Errorf("transcript: %w", os.ErrClosed)
	}
	return f.Close()
}

// Path of the file, as it was given.
func (w *Writer) Path() string { return w.path }
