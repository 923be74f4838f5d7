package ledger

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"
)

// A backup is a stream of bytes, in this order:
//
//	"specie-backup 1\n"
//	the header: its length, 4 bytes big-endian, and BackupHeader as a CBOR map
//	one gzip stream of rows: for each, its length, 4 bytes big-endian, and a CBOR
//	map; a length of zero ends them
//	the number of rows, 8 bytes big-endian
//	SHA-256 over every byte before it
//
// and nothing behind. CBOR is deterministic (RFC 8949 §4.2). The header is not
// compressed, so that it can be read alone.
const (
	backupName  = "specie-backup "
	backupMagic = backupName + "1\n"
	// maxBackupHeader and maxBackupRow bound what is read into memory at once.
	// The largest row is an op with all that it may carry.
	maxBackupHeader = 1 << 20
	maxBackupRow    = 16 << 20
)

// BackupHeader says what a backup is of.
type BackupHeader struct {
	// Version of the format; 1.
	Version int
	// Bank is the id of the bank, as MetaBank had it.
	Bank string
	// RestoreEpoch is the store's, see RestoreEpoch.
	RestoreEpoch uint64
	// At is when the backup was begun, by the clock of whoever made it.
	At time.Time
	// Heads are the ends of the journals in it.
	Heads []Head
}

// WriteBackup writes the whole store to w, in one consistent picture, while
// writing goes on. What was written before an error is no backup: ReadBackup
// refuses it. progress, if not nil, is told now and then how many of how many
// journal records are done.
func WriteBackup(ctx context.Context, l Ledger, w io.Writer, progress func(done, total int64)) (*BackupHeader, error) {
	b := &backupWriter{header: BackupHeader{Version: 1, At: time.Now().UTC().Truncate(time.Second)}, out: newSummer(w)}
	err := l.Dump(ctx, b.row, progress)
	if err == nil {
		err = b.close()
	}
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return &b.header, nil
}

// backupWriter keeps the first rows back until it knows the header.
type backupWriter struct {
	header BackupHeader
	first  []*Row
	out    *summer
	gzip   *gzip.Writer // nil before the header is written
	rows   uint64
}

func (b *backupWriter) row(r *Row) error {
	if b.gzip == nil && (r.Heads != nil || r.Meta != nil) {
		b.first = append(b.first, r)
		return b.learn(r)
	}
	if err := b.begin(); err != nil {
		return err
	}
	return b.write(r)
}

// learn takes from a row what the header says.
func (b *backupWriter) learn(r *Row) (err error) {
	switch {
	case r.Heads != nil:
		b.header.Heads = *r.Heads
	case r.Meta.Key == MetaBank:
		b.header.Bank = string(r.Meta.Value)
	case r.Meta.Key == MetaRestoreEpoch:
		b.header.RestoreEpoch, err = parseRestoreEpoch(r.Meta.Value)
	}
	return err
}

// begin writes the header, and the rows kept back.
func (b *backupWriter) begin() (err error) {
	if b.gzip != nil {
		return nil
	}
	header, err := encodeHeader(&b.header)
	if err != nil {
		return err
	}
	if _, err := b.out.Write(append([]byte(backupMagic), frameOf(header)...)); err != nil {
		return err
	}
	if b.gzip, err = gzip.NewWriterLevel(b.out, gzip.BestSpeed); err != nil {
		return err
	}
	for _, r := range b.first {
		if err := b.write(r); err != nil {
			return err
		}
	}
	b.first = nil
	return nil
}

func frameOf(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func (b *backupWriter) write(r *Row) error {
	encoded, err := encodeRow(r)
	if err != nil {
		return err
	}
	if len(encoded) > maxBackupRow {
		return malformed("a row of %d bytes", len(encoded))
	}
	b.rows++
	_, err = b.gzip.Write(frameOf(encoded))
	return err
}

func (b *backupWriter) close() error {
	if err := b.begin(); err != nil {
		return err
	}
	if _, err := b.gzip.Write(frameOf(nil)); err != nil {
		return err
	}
	if err := b.gzip.Close(); err != nil {
		return err
	}
	if _, err := b.out.Write(binary.BigEndian.AppendUint64(nil, b.rows)); err != nil {
		return err
	}
	sum := b.out.sum()
	_, err := b.out.Write(sum[:])
	return err
}

// ReadBackupHeader reads the header alone, and no further. Nothing vouches for
// it until ReadBackup has read the rest. ErrSchema if it is not a backup or of a
// later version, ErrCorrupt.
func ReadBackupHeader(r io.Reader) (*BackupHeader, error) {
	in := newSource(r)
	h, err := readHeader(in)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", in.blame(err))
	}
	return h, nil
}

// ReadBackup loads a backup into an empty store, all or nothing, and so raises
// its fence. ErrSchema and ErrState before anything is read; ErrCorrupt if the
// backup is cut short, was altered, has something behind its end, or its rows
// do not agree with each other. progress is as in WriteBackup.
func ReadBackup(ctx context.Context, l Ledger, r io.Reader, progress func(done, total int64)) (*BackupHeader, error) {
	in := newSource(r)
	header, err := readHeader(in)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", in.blame(err))
	}
	b := &backupReader{header: header, in: in, progress: progress}
	for _, h := range header.Heads {
		b.total += int64(h.Seq)
	}
	if err := l.Load(ctx, b.next); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return header, nil
}

func readHeader(in *source) (*BackupHeader, error) {
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(in, magic); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: not a backup", ErrSchema), in.failed)
	}
	if string(magic) != backupMagic {
		if string(magic[:len(backupName)]) == backupName {
			return nil, fmt.Errorf("%w: a backup of version %q, this program knows 1", ErrSchema, magic[len(backupName):])
		}
		return nil, fmt.Errorf("%w: not a backup", ErrSchema)
	}
	encoded, err := readFrame(in, maxBackupHeader)
	if err != nil {
		return nil, err
	}
	return decodeHeader(encoded)
}

// readFrame reads a length and as many bytes. It makes room as they come: a
// length alone makes nobody reserve memory.
func readFrame(in io.Reader, most uint32) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > most {
		return nil, corrupt("%d bytes in one piece", n)
	}
	out, err := io.ReadAll(io.LimitReader(in, int64(n)))
	if err == nil && len(out) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	return out, err
}

// backupReader hands rows to Load.
type backupReader struct {
	header      *BackupHeader
	in          *source
	gzip        *gzip.Reader
	rows        uint64
	done, total int64
	progress    func(done, total int64)
}

// next returns the next row, or io.EOF when the trailer was read and is right.
func (b *backupReader) next() (_ *Row, err error) {
	if b.gzip == nil {
		if b.gzip, err = gzip.NewReader(b.in); err != nil {
			return nil, b.in.blame(err)
		}
		b.gzip.Multistream(false)
	}
	encoded, err := readFrame(b.gzip, maxBackupRow)
	if err != nil {
		return nil, b.in.blame(err)
	}
	if len(encoded) == 0 {
		if err := b.end(); err != nil {
			return nil, b.in.blame(err)
		}
		return nil, io.EOF
	}
	b.rows++
	row, err := decodeRow(encoded)
	if err == nil {
		err = b.fits(row)
	}
	if err != nil {
		return nil, err
	}
	if row.Record != nil {
		b.done++
		if b.progress != nil && (b.done%1024 == 0 || b.done == b.total) {
			b.progress(b.done, b.total)
		}
	}
	return row, nil
}

// fits holds a row to the header.
func (b *backupReader) fits(r *Row) error {
	switch {
	case r.Heads != nil && !slices.Equal(*r.Heads, b.header.Heads):
		return corrupt("the header has other heads than the rows")
	case r.Meta != nil && r.Meta.Key == MetaBank && string(r.Meta.Value) != b.header.Bank:
		return corrupt("the header has another bank than the rows")
	case r.Meta != nil && r.Meta.Key == MetaRestoreEpoch:
		if n, err := parseRestoreEpoch(r.Meta.Value); err != nil || n != b.header.RestoreEpoch {
			return corrupt("the header has another restore epoch than the rows")
		}
	}
	return nil
}

// end reads what follows the rows.
func (b *backupReader) end() error {
	if n, err := io.Copy(io.Discard, b.gzip); err != nil { // gzip's own checksum too
		return err
	} else if n != 0 {
		return corrupt("%d bytes behind the rows", n)
	}
	var rows [8]byte
	if _, err := io.ReadFull(b.in, rows[:]); err != nil {
		return err
	}
	want := b.in.sum()
	var sum [32]byte
	if _, err := io.ReadFull(b.in, sum[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint64(rows[:]) != b.rows {
		return corrupt("%d rows, counted were %d", b.rows, binary.BigEndian.Uint64(rows[:]))
	}
	if sum != want {
		return corrupt("the bytes do not hash to the sum at their end")
	}
	if _, err := b.in.ReadByte(); err == nil {
		return corrupt("something stands behind the end")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// source is what a backup is read from: it hashes what was taken of it, byte by
// byte if gzip wants them so, and knows its own errors from those of the bytes.
type source struct {
	in     *bufio.Reader
	sums   *summer
	taken  []byte // not yet hashed
	failed error
}

func newSource(r io.Reader) *source {
	return &source{in: bufio.NewReaderSize(r, 64<<10), sums: newSummer(io.Discard), taken: make([]byte, 0, 4096)}
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	s.hash()
	_, _ = s.sums.Write(p[:n]) // to io.Discard
	return n, s.note(err)
}

func (s *source) ReadByte() (byte, error) {
	c, err := s.in.ReadByte()
	if err != nil {
		return 0, s.note(err)
	}
	if s.taken = append(s.taken, c); len(s.taken) == cap(s.taken) {
		s.hash()
	}
	return c, nil
}

func (s *source) hash() {
	_, _ = s.sums.Write(s.taken)
	s.taken = s.taken[:0]
}

func (s *source) sum() [32]byte {
	s.hash()
	return s.sums.sum()
}

func (s *source) note(err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return err
}

// blame gives an error of reading its meaning: the medium's is ErrUnavailable,
// and what io and gzip say of the bytes is ErrCorrupt.
func (s *source) blame(err error) error {
	var deflate flate.CorruptInputError
	switch {
	case err == nil:
		return nil
	case s.failed != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, s.failed)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return corrupt("cut short")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &deflate):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// summer passes bytes on and hashes them.
type summer struct {
	to io.Writer
	h  hash.Hash
}

func newSummer(to io.Writer) *summer { return &summer{to, sha256.New()} }

func (s *summer) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	s.h.Write(p[:n])
	return n, err
}

func (s *summer) sum() (out [32]byte) {
	s.h.Sum(out[:0])
	return out
}
