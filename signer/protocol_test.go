package signer

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func sampleRequests() []request {
	digest := bytes.Repeat([]byte{7}, 48)
	return []request{
		{id: 1, op: opList},
		{id: 2, op: opBlind, wait: 15 * time.Second, key: ID{1}, body: bytes.Repeat([]byte{5}, 256)},
		{id: 3, op: opBlind, key: ID{1}, body: bytes.Repeat([]byte{5}, maxBlinded)},
		{id: 4, op: opSign, wait: time.Millisecond, key: ID{2}, hash: crypto.SHA256, body: digest[:32]},
		{id: 5, op: opSign, wait: maxWait, key: ID{2}, hash: crypto.SHA384, body: digest},
		{id: 6, op: opOpen, label: "seal", aad: []byte("aad"), body: []byte("box")},
		{id: 7, op: opOpen, label: strings.Repeat("l", maxLabel), body: []byte{0}},
		{id: 1<<64 - 1, op: opCheck, key: ID{3}},
		{id: 8, op: opBatch, wait: time.Second, batch: []blinded{{ID{1}, []byte{5}}}},
		{id: 9, op: opBatch, batch: []blinded{{ID{1}, bytes.Repeat([]byte{5}, 256)}, {ID{2}, bytes.Repeat([]byte{6}, 384)}}},
		{id: 10, op: opBatch, batch: slices.Repeat([]blinded{{ID{1}, make([]byte, maxBlinded)}}, maxBatch)},
	}
}

func TestRequestsReadAsTheyWereWritten(t *testing.T) {
	for _, want := range sampleRequests() {
		frame := appendRequest([]byte("before"), &want)[len("before"):]
		body, err := readFrame(bufio.NewReader(bytes.NewReader(frame)), maxRequest)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseRequest(body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got, cmp.AllowUnexported(request{}, blinded{}), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	}
}

// body is a request's body without the frame's length.
func body(r request) []byte { return appendRequest(nil, &r)[lengthSize:] }

func TestRequestsOutOfTheirBoundsAreRefused(t *testing.T) {
	blind := body(request{op: opBlind, body: []byte{1}})
	open := body(request{op: opOpen, label: "seal", aad: []byte("aad"), body: []byte("box")})
	batch := body(request{op: opBatch, batch: []blinded{{ID{1}, []byte{5}}, {ID{2}, []byte{6}}}})
	with := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	for _, c := range []struct {
		name string
		body []byte
		want error
	}{
		{"nothing", nil, ErrProtocol},
		{"a header cut short", blind[:requestHeader-1], ErrProtocol},
		{"operation 0", with(blind, 8, 0), ErrInput},
		{"an operation that is not there", with(blind, 8, byte(ops)), ErrInput},
		{"a key cut short", blind[:requestHeader+31], ErrInput},
		{"no message to sign", blind[:requestHeader+32], ErrInput},
		{"a message longer than the longest key", body(request{op: opBlind, body: make([]byte, maxBlinded+1)}), ErrInput},
		{"a hash that is not there", body(request{op: opSign, hash: crypto.SHA512, body: make([]byte, 64)}), ErrInput},
		{"a digest of another length", body(request{op: opSign, hash: crypto.SHA256, body: make([]byte, 31)}), ErrInput},
		{"a digest without its hash", body(request{op: opSign})[:requestHeader+32], ErrInput},
		{"an empty label", body(request{op: opOpen, body: []byte("box")}), ErrInput},
		{"a label too long", body(request{op: opOpen, label: strings.Repeat("l", maxLabel+1), body: []byte("box")}), ErrInput},
		{"a label that runs over the end", with(open, requestHeader, 200), ErrInput},
		{"associated data that run over the end", with(open, requestHeader+5, 200), ErrInput},
		{"associated data too long", body(request{op: opOpen, label: "l", aad: make([]byte, maxAAD+1), body: []byte("b")}), ErrInput},
		{"an empty box", body(request{op: opOpen, label: "l", aad: []byte("aad")}), ErrInput},
		{"an empty batch", body(request{op: opBatch}), ErrInput},
		{"a batch of one more than is allowed", body(request{op: opBatch, batch: slices.Repeat([]blinded{{body: []byte{1}}}, maxBatch+1)}), ErrInput},
		{"a batch of very many", body(request{op: opBatch, batch: slices.Repeat([]blinded{{body: []byte{1}}}, 10*maxBatch)}), ErrInput},
		{"a message longer than the longest key in a batch", body(request{op: opBatch, batch: []blinded{{body: make([]byte, maxBlinded+1)}}}), ErrInput},
		{"an empty message in a batch", body(request{op: opBatch, batch: []blinded{{body: []byte{1}}, {}}}), ErrInput},
		{"a batch whose last message is cut short", batch[:len(batch)-1], ErrInput},
		{"a batch whose last key is cut short", batch[:len(batch)-5], ErrInput},
		{"a message of a batch that runs over the end", with(batch, requestHeader+32, 1, 0), ErrInput},
		{"bytes behind a check", append(body(request{op: opCheck}), 0), ErrInput},
		{"bytes behind a list", append(body(request{op: opList}), 0), ErrInput},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parseRequest(c.body); !errors.Is(err, c.want) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestAWaitIsBounded(t *testing.T) {
	b := body(request{op: opList})
	copy(b[9:], []byte{255, 255, 255, 255})
	r, err := parseRequest(b)
	if err != nil || r.wait != maxWait {
		t.Fatalf("%v, %v", r.wait, err)
	}
	if r, err = parseRequest(body(request{op: opList, wait: -time.Second})); err != nil || r.wait != 0 {
		t.Fatalf("%v, %v", r.wait, err)
	}
}

func TestAnswersReadAsTheyWereWritten(t *testing.T) {
	for s := range statuses {
		want := response{id: 5, status: s, payload: []byte("payload")}
		frame := appendResponse(nil, want)
		got, err := parseResponse(frame[lengthSize:])
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(response{})); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
}

func TestAnswersAreBoundedWhereTheyAreWrittenAndRead(t *testing.T) {
	long := appendResponse(nil, response{id: 1, status: statusInput, payload: make([]byte, maxText+1)})
	if got := len(long); got != lengthSize+responseHeader+maxText {
		t.Errorf("a text of %d bytes", got)
	}
	huge := appendResponse(nil, response{id: 1, payload: make([]byte, maxResponse)})
	if r, err := parseResponse(huge[lengthSize:]); err != nil || r.status != statusFailed {
		t.Errorf("%v, %v", r, err)
	}
	for name, b := range map[string][]byte{
		"a header cut short":      make([]byte, responseHeader-1),
		"a status not there":      {8: byte(statuses)},
		"a text that is too long": append([]byte{8: byte(statusInput)}, make([]byte, maxText+1)...),
	} {
		if _, err := parseResponse(b); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAFrameIsBoundedBeforeItIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"the end between frames":     {nil, io.EOF},
		"a length cut short":         {[]byte{0, 0}, io.ErrUnexpectedEOF},
		"a body cut short":           {[]byte{0, 0, 0, 2, 1}, io.ErrUnexpectedEOF},
		"a body that is not there":   {[]byte{0, 0, 0, 2}, io.ErrUnexpectedEOF},
		"one byte more than allowed": {append([]byte{0, 0, 0, 11}, make([]byte, 11)...), ErrProtocol},
		"four gigabytes":             {[]byte{255, 255, 255, 255}, ErrProtocol},
	} {
		if _, err := readFrame(bufio.NewReader(bytes.NewReader(c.in)), 10); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func samplePublicKeys(t testing.TB) []PublicKey {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newPublicKey(Blind, "coins", r.Public())
	if err != nil {
		t.Fatal(err)
	}
	b, err := newPublicKey(Digest, "receipts", e.Public())
	if err != nil {
		t.Fatal(err)
	}
	return []PublicKey{a, b}
}

func TestAListOfKeysReadsAsItWasWritten(t *testing.T) {
	want := samplePublicKeys(t)
	got, err := parseKeys(appendKeys(nil, want))
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	for i := range want {
		type equal interface{ Equal(crypto.PublicKey) bool }
		if got[i].ID != want[i].ID || got[i].Kind != want[i].Kind || got[i].Label != want[i].Label ||
			!got[i].Public.(equal).Equal(want[i].Public) {
			t.Errorf("key %d: got %+v", i, got[i])
		}
		if id, err := IDOf(got[i].Public); err != nil || id != got[i].ID {
			t.Errorf("key %d: id %x, %v", i, id, err)
		}
	}
}

func TestAListOfKeysThatDoesNotReadIsRefused(t *testing.T) {
	keys := samplePublicKeys(t)
	good := appendKeys(nil, keys)
	crossed := []PublicKey{keys[0]}
	crossed[0].Kind = Digest
	crossed2 := []PublicKey{keys[1]}
	crossed2[0].Kind = Blind
	broken := []PublicKey{keys[0]}
	broken[0].spki = broken[0].spki[:100]
	for name, b := range map[string][]byte{
		"nothing":                    nil,
		"more keys than are there":   append([]byte{0, 3}, good[2:]...),
		"fewer keys than are there":  append([]byte{0, 1}, good[2:]...),
		"more keys than are allowed": append([]byte{255, 255}, good[2:]...),
		"a key cut short":            good[:len(good)-1],
		"an RSA key for digests":     appendKeys(nil, crossed),
		"an EC key for coins":        appendKeys(nil, crossed2),
		"a public key that is none":  appendKeys(nil, broken),
	} {
		if _, err := parseKeys(b); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAKeyOfALaterKindIsLeftOut(t *testing.T) {
	keys := samplePublicKeys(t)
	keys[0].Kind, keys[0].spki = 9, []byte("something new")
	got, err := parseKeys(appendKeys(nil, keys))
	if err != nil || len(got) != 1 || got[0].Label != "receipts" {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestEveryStatusIsItsErrorAgain(t *testing.T) {
	for s := statusInput; s < statuses; s++ {
		err := s.failure("text")
		if got := statusOf(err); got != s {
			t.Errorf("%s comes back as %s", s, got)
		}
	}
	if statusOf(errors.New("something else")) != statusFailed || statusOf(nil) != statusOK {
		t.Error("an unknown error is not a failure")
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, r := range sampleRequests() {
		f.Add(body(r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			if !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrInput) {
				t.Fatalf("an error without a name: %v", err)
			}
			return
		}
		// What was read can be written, and reads the same.
		again, err := parseRequest(body(*r))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(request{}, blinded{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	for s := range statuses {
		f.Add(appendResponse(nil, response{id: 1, status: s, payload: []byte("x")})[lengthSize:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseResponse(b)
		if err != nil || len(b) > maxResponse {
			return
		}
		if again := appendResponse(nil, r)[lengthSize:]; !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func TestSignaturesOfABatchThatDoNotReadAreRefused(t *testing.T) {
	batch := []blinded{{ID{1}, make([]byte, 3)}, {ID{2}, make([]byte, 2)}}
	good := appendSignatures(nil, [][]byte{{1, 2, 3}, {4, 5}})
	if got, err := parseSignatures(good, batch); err != nil || !bytes.Equal(got[0], good[2:5]) || !bytes.Equal(got[1], good[7:]) {
		t.Fatalf("%x, %v", got, err)
	}
	for name, b := range map[string][]byte{
		"nothing":                          nil,
		"a signature cut short":            good[:len(good)-1],
		"one signature too few":            good[:5],
		"one signature too many":           append(bytes.Clone(good), 0, 1, 9),
		"a byte behind":                    append(bytes.Clone(good), 0),
		"signatures of each other's place": appendSignatures(nil, [][]byte{{4, 5}, {1, 2, 3}}),
	} {
		if got, err := parseSignatures(b, batch); !errors.Is(err, ErrProtocol) || got != nil {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

func FuzzParseSignatures(f *testing.F) {
	f.Add(appendSignatures(nil, [][]byte{{1, 2, 3}, {4, 5}}), 3, 2)
	f.Add([]byte{255, 255}, 65535, 0)
	f.Fuzz(func(t *testing.T, b []byte, one, two int) {
		if min(one, two) < 0 || max(one, two) > maxBlinded {
			return
		}
		got, err := parseSignatures(b, []blinded{{body: make([]byte, one)}, {body: make([]byte, two)}})
		if err != nil {
			return
		}
		if again := appendSignatures(nil, got); len(got) != 2 || !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add(appendKeys(nil, samplePublicKeys(f)))
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := parseKeys(b)
		if err != nil {
			return
		}
		again, err := parseKeys(appendKeys(nil, keys))
		if err != nil || len(again) != len(keys) {
			t.Fatalf("%d keys became %d, %v", len(keys), len(again), err)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add(appendRequest(nil, &request{op: opList}))
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bufio.NewReader(bytes.NewReader(b))
		for {
			frame, err := readFrame(in, maxRequest)
			if err != nil {
				return
			}
			if len(frame) > maxRequest {
				t.Fatalf("%d bytes", len(frame))
			}
		}
	})
}
