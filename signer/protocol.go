package signer

import (
	"bufio"
	"crypto"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Greetings. The server sends hello, and the client sends it back; a server
// that does not serve the peer sends goodbye instead, and nothing else. A
// server of version 1, which knows no batch, sends helloBefore: a client
// speaks that version with it, so that the two need not change places in one
// instant. Clients are renewed first.
const (
	hello       = "specie-signer 2\n"
	helloBefore = "specie-signer 1\n"
	goodbye     = "specie-signer -\n"
	greetSize   = len(hello)
)

// Bounds of the protocol, in bytes.
const (
	maxRequest  = 16 << 10 // body of a request: a sealed box is the largest
	maxResponse = 1 << 20  // body of an answer: the list of keys
	maxText     = 512      // of an error
	maxBlinded  = 512      // RSA-4096
	maxLabel    = 64
	maxAAD      = 4 << 10
	maxKeys     = 1024
	maxBatch    = 16 // messages of one request: all of RSA-4096 are 9 KiB
)

const (
	lengthSize     = 4
	requestHeader  = 8 + 1 + 4 // id, operation, wait
	responseHeader = 8 + 1     // id, status
)

// maxWait bounds how long a request may say that its caller waits.
const maxWait = 10 * time.Minute

// An op is what a request asks for.
type op byte

const (
	opList  op = 1 + iota // the public keys, after a look for new ones
	opBlind               // raw RSA on a blinded message
	opSign                // ECDSA on a digest
	opOpen                // opens a box sealed under an AES key
	opCheck               // lets a key do a real operation
	opBatch               // opBlind for several messages, all or none
	ops
)

// String names the operation in metrics.
func (o op) String() string {
	if o == 0 || o >= ops {
		return "unknown"
	}
	return [ops]string{"", "list", "blind_sign", "sign", "open", "check", "blind_sign_batch"}[o]
}

// A request as it stands on the wire. Which fields it has depends on op:
//
//	list
//	blind  key (32) ‖ blinded message
//	sign   key (32) ‖ hash (1: SHA-256, 2: SHA-384) ‖ digest
//	open   label length (1) ‖ label ‖ length of associated data (2) ‖ associated data ‖ box
//	check  key (32)
//	batch  of each message, 1 to 16 of them: key (32) ‖ length (2) ‖ blinded message
//
// The answer to a batch is, for each message in its place: length (2) ‖
// signature.
type request struct {
	id    uint64
	op    op
	wait  time.Duration // whole milliseconds on the wire
	key   ID
	hash  crypto.Hash
	label string
	aad   []byte
	body  []byte // blinded message, digest or box
	batch []blinded
}

// A blinded message of a batch, and the key that is to sign it.
type blinded struct {
	key  ID
	body []byte
}

// appendRequest appends the request's frame to b.
func appendRequest(b []byte, r *request) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, r.id)
	b = append(b, byte(r.op))
	b = binary.BigEndian.AppendUint32(b, uint32(min(max(r.wait, 0), maxWait)/time.Millisecond))
	switch r.op {
	case opBlind:
		b = append(append(b, r.key[:]...), r.body...)
	case opSign:
		b = append(append(append(b, r.key[:]...), hashCode(r.hash)), r.body...)
	case opOpen:
		b = append(append(b, byte(len(r.label))), r.label...)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(r.aad))), r.aad...)
		b = append(b, r.body...)
	case opCheck:
		b = append(b, r.key[:]...)
	case opBatch:
		for _, m := range r.batch {
			b = append(b, m.key[:]...)
			b = appendShort(b, m.body)
		}
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-lengthSize))
	return b
}

// appendShort appends a field and, before it, its length in two bytes.
func appendShort(b, field []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(field))), field...)
}

// check bounds what goes into a request's length fields.
func (r *request) check() error {
	switch {
	case r.op == opBatch:
		return r.checkBatch()
	case r.op == opBlind && (len(r.body) == 0 || len(r.body) > maxBlinded):
		return fmt.Errorf("%w: a blinded message of %d bytes", ErrInput, len(r.body))
	case r.op == opSign && (hashCode(r.hash) == 0 || len(r.body) != r.hash.Size()):
		return fmt.Errorf("%w: a digest of %d bytes for hash %d", ErrInput, len(r.body), r.hash)
	case r.op == opOpen && (len(r.label) == 0 || len(r.label) > maxLabel || len(r.aad) > maxAAD ||
		len(r.body) == 0 || requestHeader+1+len(r.label)+2+len(r.aad)+len(r.body) > maxRequest):
		return fmt.Errorf("%w: a box of %d bytes with %d bytes of associated data under a label of %d bytes",
			ErrInput, len(r.body), len(r.aad), len(r.label))
	}
	return nil
}

func (r *request) checkBatch() error {
	if len(r.batch) == 0 || len(r.batch) > maxBatch {
		return fmt.Errorf("%w: a batch of %d blinded messages; at most %d", ErrInput, len(r.batch), maxBatch)
	}
	for _, m := range r.batch {
		if len(m.body) == 0 || len(m.body) > maxBlinded {
			return fmt.Errorf("%w: a blinded message of %d bytes", ErrInput, len(m.body))
		}
	}
	return nil
}

// parseRequest reads the body of a frame. The request keeps slices of b. If
// the header can be read, the result has the id even if there is an error,
// which is ErrProtocol or, for a field out of its bounds, ErrInput.
func parseRequest(b []byte) (*request, error) {
	if len(b) < requestHeader {
		return nil, fmt.Errorf("%w: a request of %d bytes", ErrProtocol, len(b))
	}
	r := &request{
		id:   binary.BigEndian.Uint64(b),
		op:   op(b[8]),
		wait: min(time.Duration(binary.BigEndian.Uint32(b[9:]))*time.Millisecond, maxWait),
	}
	in := reader{b: b[requestHeader:]}
	switch r.op {
	case opList:
	case opBlind:
		copy(r.key[:], in.take(len(r.key)))
		r.body = in.rest()
	case opSign:
		copy(r.key[:], in.take(len(r.key)))
		r.hash = hashOf(in.uint8())
		r.body = in.rest()
	case opOpen:
		r.label = string(in.take(int(in.uint8())))
		r.aad = in.take(in.uint16())
		r.body = in.rest()
	case opCheck:
		copy(r.key[:], in.take(len(r.key)))
	case opBatch:
		// One more than is allowed is as good as many.
		for len(in.b) > 0 && len(r.batch) <= maxBatch {
			var m blinded
			copy(m.key[:], in.take(len(m.key)))
			m.body = in.take(in.uint16())
			r.batch = append(r.batch, m)
		}
		in.rest()
	default:
		return r, fmt.Errorf("%w: operation %d", ErrInput, r.op)
	}
	if in.short || len(in.b) > 0 {
		return r, fmt.Errorf("%w: %s request of %d bytes", ErrInput, r.op, len(b))
	}
	return r, r.check()
}

// Hashes by their number on the wire; 0 is none.
func hashCode(h crypto.Hash) byte {
	switch h {
	case crypto.SHA256:
		return 1
	case crypto.SHA384:
		return 2
	}
	return 0
}

func hashOf(code byte) crypto.Hash {
	switch code {
	case 1:
		return crypto.SHA256
	case 2:
		return crypto.SHA384
	}
	return 0
}

// A response is the answer to the request of that id. payload is the result,
// or the text of a status other than statusOK.
type response struct {
	id      uint64
	status  status
	payload []byte
}

// appendResponse appends the response's frame to b. What is too large for one
// becomes a failure.
func appendResponse(b []byte, r response) []byte {
	if r.status != statusOK && len(r.payload) > maxText {
		r.payload = r.payload[:maxText]
	}
	if responseHeader+len(r.payload) > maxResponse {
		r.status, r.payload = statusFailed, []byte("the answer is too large")
	}
	b = binary.BigEndian.AppendUint32(b, uint32(responseHeader+len(r.payload)))
	b = binary.BigEndian.AppendUint64(b, r.id)
	b = append(b, byte(r.status))
	return append(b, r.payload...)
}

// parseResponse reads the body of a frame. The response keeps a slice of b.
func parseResponse(b []byte) (response, error) {
	if len(b) < responseHeader {
		return response{}, fmt.Errorf("%w: an answer of %d bytes", ErrProtocol, len(b))
	}
	r := response{id: binary.BigEndian.Uint64(b), status: status(b[8]), payload: b[responseHeader:]}
	if r.status >= statuses || r.status != statusOK && len(r.payload) > maxText {
		return response{}, fmt.Errorf("%w: status %d with %d bytes", ErrProtocol, r.status, len(r.payload))
	}
	return r, nil
}

// appendSignatures appends the answer to opBatch.
func appendSignatures(b []byte, signatures [][]byte) []byte {
	for _, s := range signatures {
		b = appendShort(b, s)
	}
	return b
}

// parseSignatures reads the answer to a batch: for each of its messages a
// signature of the same length, and nothing else. ErrProtocol if it does not
// read. The signatures are slices of b.
func parseSignatures(b []byte, batch []blinded) ([][]byte, error) {
	in := reader{b: b}
	signatures := make([][]byte, len(batch))
	for i, m := range batch {
		signatures[i] = in.take(in.uint16())
		if in.short || len(signatures[i]) != len(m.body) {
			return nil, fmt.Errorf("%w: signature %d of a batch of %d does not read", ErrProtocol, i, len(batch))
		}
	}
	if len(in.b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes behind the signatures of a batch", ErrProtocol, len(in.b))
	}
	return signatures, nil
}

// readFrame reads one frame's body, of at most limit bytes, into memory of
// its own. io.EOF means that the stream ended between two frames.
func readFrame(r *bufio.Reader, limit int) ([]byte, error) {
	var length [lengthSize]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if int64(n) > int64(limit) {
		return nil, fmt.Errorf("%w: a frame of %d bytes; at most %d", ErrProtocol, n, limit)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return body, nil
}

// A reader takes fields from a body. After a field that is not all there,
// short is set and all else is empty.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.b, r.short = nil, true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) rest() []byte { return r.take(len(r.b)) }

func (r *reader) uint8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() int {
	if b := r.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}
