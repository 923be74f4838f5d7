package ledger_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/ledgertest"
	"github.com/speciecash/specie/ledger/sqlite"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func openStore(tb testing.TB, path string, opts sqlite.Options) *sqlite.Ledger {
	tb.Helper()
	l, err := sqlite.OpenLedger(context.Background(), path, opts)
	must(tb, err)
	tb.Cleanup(func() { l.Close() })
	return l
}

func emptyStore(tb testing.TB) *sqlite.Ledger {
	return openStore(tb, filepath.Join(tb.TempDir(), "ledger.db"), sqlite.Options{})
}

// aBackup is one of a store that has something of everything.
func aBackup(tb testing.TB) (ledger.Ledger, []byte, *ledger.BackupHeader) {
	tb.Helper()
	l := emptyStore(tb)
	ledgertest.Fill(tb, l)
	var out bytes.Buffer
	header, err := ledger.WriteBackup(context.Background(), l, &out, nil)
	must(tb, err)
	return l, out.Bytes(), header
}

func TestABackupIsReadBack(t *testing.T) {
	ctx := context.Background()
	source, backup, header := aBackup(t)
	audit, err := source.Verify(ctx, ledger.Verification{})
	must(t, err)
	if header.Version != 1 || header.Bank != "BANKB" || header.RestoreEpoch != 3 || !slices.Equal(header.Heads, audit.Heads) {
		t.Fatalf("the header is %+v", header)
	}
	alone, err := ledger.ReadBackupHeader(bytes.NewReader(backup[:400])) // what follows may be missing
	must(t, err)
	target := emptyStore(t)
	var steps [][2]int64
	read, err := ledger.ReadBackup(ctx, target, iotest.HalfReader(bytes.NewReader(backup)), func(done, total int64) {
		steps = append(steps, [2]int64{done, total})
	})
	must(t, err)
	if diff := cmp.Diff(header, alone) + cmp.Diff(header, read); diff != "" {
		t.Fatalf("the header differs (-want +got):\n%s", diff)
	}
	if len(steps) == 0 || steps[len(steps)-1] != [2]int64{audit.Records, audit.Records} {
		t.Fatalf("progress told %v of %d records", steps, audit.Records)
	}
	after, err := target.Verify(ctx, ledger.Verification{})
	must(t, err)
	if after.Ops != audit.Ops || after.Records != audit.Records+1 {
		t.Fatalf("audits are %+v and %+v", audit, after)
	}
	fence, err := ledger.RaisedFence(ctx, target)
	must(t, err)
	if fence == nil || fence.Reason != ledger.FenceRestored || !slices.Equal(fence.Heads, header.Heads) {
		t.Fatalf("the fence is %+v", fence)
	}
	if _, err := ledger.ReadBackup(ctx, target, bytes.NewReader(backup), nil); !errors.Is(err, ledger.ErrState) {
		t.Fatalf("a store that is not empty: %v", err)
	}
}

func TestABackupOfAnEmptyStore(t *testing.T) {
	var out bytes.Buffer
	_, err := ledger.WriteBackup(context.Background(), emptyStore(t), &out, nil)
	must(t, err)
	_, err = ledger.ReadBackup(context.Background(), emptyStore(t), &out, nil)
	must(t, err)
}

func TestADamagedBackupKeepsNothing(t *testing.T) {
	_, good, _ := aBackup(t)
	target := emptyStore(t)
	refused := func(t *testing.T, backup []byte, want error) {
		t.Helper()
		_, err := ledger.ReadBackup(context.Background(), target, bytes.NewReader(backup), nil)
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
		audit, err := target.Verify(context.Background(), ledger.Verification{})
		must(t, err)
		if audit.Records != 0 {
			t.Fatalf("%d records were kept", audit.Records)
		}
	}
	header := 16 + 4 + int(binary.BigEndian.Uint32(good[16:]))
	t.Run("cut short anywhere", func(t *testing.T) {
		for n := 16; n < len(good); n += max(1, len(good)/97) {
			refused(t, good[:n], ledger.ErrCorrupt)
		}
		for n := len(good) - 45; n < len(good); n++ {
			refused(t, good[:n], ledger.ErrCorrupt)
		}
	})
	t.Run("one bit altered anywhere", func(t *testing.T) {
		for n := 16; n < len(good); n += max(1, len(good)/211) {
			bad := bytes.Clone(good)
			bad[n] ^= 1 << (n % 8)
			refused(t, bad, ledger.ErrCorrupt)
		}
		for n := header; n < header+10; n++ { // gzip's own header, which holds no row
			bad := bytes.Clone(good)
			bad[n] ^= 1
			refused(t, bad, ledger.ErrCorrupt)
		}
	})
	for name, bad := range map[string][]byte{
		"something behind the end":   append(bytes.Clone(good), 0),
		"two backups in one":         append(bytes.Clone(good), good...),
		"a header of four gigabytes": slices.Concat(good[:16], []byte{255, 255, 255, 255}, good[20:]),
		"no header":                  slices.Concat(good[:16], []byte{0, 0, 0, 0}, good[header:]),
	} {
		t.Run(name, func(t *testing.T) { refused(t, bad, ledger.ErrCorrupt) })
	}
	for name, bad := range map[string][]byte{
		"nothing":         nil,
		"another file":    []byte("SQLite format 3\x00 and more"),
		"a later version": append([]byte("specie-backup 2\n"), good[16:]...),
		"half a name":     good[:9],
	} {
		t.Run(name, func(t *testing.T) { refused(t, bad, ledger.ErrSchema) })
	}
	t.Run("a medium that fails", func(t *testing.T) {
		torn := errors.New("tape torn")
		_, err := ledger.ReadBackup(context.Background(), target,
			io.MultiReader(bytes.NewReader(good[:len(good)/2]), iotest.ErrReader(torn)), nil)
		if !errors.Is(err, torn) || !errors.Is(err, ledger.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
	})
	_, err := ledger.ReadBackup(context.Background(), target, bytes.NewReader(good), nil)
	must(t, err)
}

// TestABackupOfVersion1 reads one that was written when the format was new.
func TestABackupOfVersion1(t *testing.T) {
	old, err := os.Open("testdata/full.backup")
	must(t, err)
	defer old.Close()
	l := emptyStore(t)
	header, err := ledger.ReadBackup(context.Background(), l, old, nil)
	must(t, err)
	if header.Version != 1 || header.Bank != "BANKB" || len(header.Heads) != 3 {
		t.Fatalf("the header is %+v", header)
	}
	audit, err := l.Verify(context.Background(), ledger.Verification{})
	must(t, err)
	if audit.Ops != 15 || audit.Accounts != 2 {
		t.Fatalf("audit is %+v", audit)
	}
}

// limited is a medium with so much room.
type limited struct{ room int }

func (l *limited) Write(p []byte) (int, error) {
	if l.room -= len(p); l.room < 0 {
		return 0, errors.New("no room left")
	}
	return len(p), nil
}

func TestABackupSaysThatItsMediumIsFull(t *testing.T) {
	source, good, _ := aBackup(t)
	for room := 0; room < len(good); room += max(1, len(good)/20) {
		if _, err := ledger.WriteBackup(context.Background(), source, &limited{room}, nil); err == nil || !strings.Contains(err.Error(), "no room left") {
			t.Fatalf("with room for %d of %d bytes: %v", room, len(good), err)
		}
	}
}

// reader is a store that only looks at what it is to load: what it lets pass,
// a real one may still refuse.
type reader struct {
	ledger.Ledger
	rows []*ledger.Row
}

func (r *reader) Load(_ context.Context, next func() (*ledger.Row, error)) error {
	var c ledger.RowChecker
	for {
		row, err := next()
		if errors.Is(err, io.EOF) {
			return c.Close()
		}
		if err != nil {
			return err
		}
		if err := c.Check(row); err != nil {
			return err
		}
		r.rows = append(r.rows, row)
	}
}

// Dump shows what was loaded.
func (r *reader) Dump(_ context.Context, row func(*ledger.Row) error, _ func(done, total int64)) error {
	for _, one := range r.rows {
		if err := row(one); err != nil {
			return err
		}
	}
	return nil
}

func FuzzReadBackup(f *testing.F) {
	good, err := os.ReadFile("testdata/full.backup")
	must(f, err)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(good[:len(good)/2])
	f.Add(append(bytes.Clone(good), 7))
	var empty bytes.Buffer
	_, err = ledger.WriteBackup(context.Background(), &reader{rows: []*ledger.Row{{Heads: &[]ledger.Head{}}}}, &empty, nil)
	must(f, err)
	f.Add(empty.Bytes())
	f.Add([]byte("specie-backup 1\n\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		alone, headerErr := ledger.ReadBackupHeader(bytes.NewReader(in))
		var r reader
		header, err := ledger.ReadBackup(context.Background(), &r, bytes.NewReader(in), nil)
		if err != nil {
			if !errors.Is(err, ledger.ErrCorrupt) && !errors.Is(err, ledger.ErrSchema) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if headerErr != nil || !cmp.Equal(alone, header) {
			t.Fatalf("the header alone is %+v, %v", alone, headerErr)
		}
		var out bytes.Buffer
		_, err = ledger.WriteBackup(context.Background(), &r, &out, nil)
		must(t, err)
		var again reader
		_, err = ledger.ReadBackup(context.Background(), &again, &out, nil)
		must(t, err)
		if diff := cmp.Diff(r.rows, again.rows); diff != "" {
			t.Fatalf("written again it differs:\n%s", diff)
		}
	})
}
