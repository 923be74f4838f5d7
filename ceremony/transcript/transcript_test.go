package transcript_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/trust"
)

func TestATranscriptIsReadAsItWasWritten(t *testing.T) {
	h := newHouse(t)
	for _, by := range []party{h.self, h.bank, h.supervisor} {
		tr := must(transcript.Read(closed(t, by)))(t)
		if name := must(tr.VerifyClose(h.root))(t); name != by.name {
			t.Errorf("closed by %s, not %s", name, by.name)
		}
		if diff := cmp.Diff(opened(), *must(tr.Opened())(t)); diff != "" {
			t.Error(diff)
		}
		keys := must(transcript.All[transcript.Key](tr, transcript.EventKey))(t)
		if len(tr.Entries) != 6 || len(keys) != 1 || !bytes.Equal(keys[0].SPKI, []byte{1, 2}) || !tr.Ended() {
			t.Errorf("%d entries, keys %v", len(tr.Entries), keys)
		}
	}
}

func TestThePlansDigestCoversItsInputs(t *testing.T) {
	o := opened()
	plan := []byte(o.Plan)
	base := transcript.PlanDigest(plan, o.Inputs)
	for name, other := range map[string]transcript.Hash{
		"plan":       transcript.PlanDigest(append(plan, ' '), o.Inputs),
		"no input":   transcript.PlanDigest(plan, nil),
		"content":    transcript.PlanDigest(plan, []transcript.Input{{Field: "root", SHA256: transcript.Hash{9}}}),
		"field":      transcript.PlanDigest(plan, []transcript.Input{{Field: "master", SHA256: transcript.Hash{1}}}),
		"one more":   transcript.PlanDigest(plan, append(o.Inputs, o.Inputs[0])),
		"moved edge": transcript.PlanDigest(append(plan, 0, 0, 0, 4), o.Inputs),
	} {
		if other == base {
			t.Errorf("another %s, the same digest", name)
		}
	}
}

// damage is a transcript that was tampered with, and how it shows.
type damage struct {
	name  string
	lines []string
	want  error
}

func TestDamageShows(t *testing.T) {
	h := newHouse(t)
	data := closed(t, h.bank)
	good := strings.SplitAfter(strings.TrimSuffix(string(data), "\n"), "\n")
	good[len(good)-1] += "\n"
	without := func(i int) []string { return append(append([]string{}, good[:i]...), good[i+1:]...) }
	with := func(i int, line string) []string {
		out := append([]string{}, good...)
		out[i] = line
		return out
	}
	swapped := append([]string{}, good...)
	swapped[2], swapped[3] = swapped[3], swapped[2]
	last := len(good) - 1
	edit := func(i int, old, new string) []string {
		if !strings.Contains(good[i], old) {
			t.Fatalf("no %q in line %d", old, i+1)
		}
		return with(i, strings.Replace(good[i], old, new, 1))
	}
	tests := []damage{
		{"as it was written", good, nil},
		{"empty", nil, transcript.ErrBroken},
		{"the first line removed", without(0), transcript.ErrBroken},
		{"a line removed in the middle", without(2), transcript.ErrBroken},
		{"the line before the last removed", without(last - 1), transcript.ErrBroken},
		{"the last line removed", without(last), transcript.ErrOpen},
		{"two lines exchanged", swapped, transcript.ErrBroken},
		{"a line twice", append(append(append([]string{}, good[:3]...), good[2]), good[3:]...), transcript.ErrBroken},
		{"a value edited", edit(3, "receipts", "recipes!"), transcript.ErrBroken},
		{"the plan edited", edit(0, "a plan", "a scam"), transcript.ErrBroken},
		{"a time edited", edit(1, "2026", "2025"), transcript.ErrBroken},
		{"the time of closing edited", edit(last, "12:00:00Z", "12:00:01Z"), transcript.ErrSignature},
		{"a space put in", edit(1, `"data":`, `"data": `), transcript.ErrBroken},
		{"a member put in", edit(1, `"data":`, `"note":1,"data":`), transcript.ErrBroken},
		{"a member put into the closing", edit(last, `"alg":`, `"note":1,"alg":`), transcript.ErrBroken},
		{"a line appended", append(append([]string{}, good...), good[1]), transcript.ErrBroken},
		{"a torn last line", with(last, good[last][:40]), transcript.ErrBroken},
		{"a last line without its end", with(last, strings.TrimSuffix(good[last], "\n")), transcript.ErrBroken},
		{"an empty line at the end", append(append([]string{}, good...), "\n"), transcript.ErrBroken},
		{"another system's line ends", with(1, strings.TrimSuffix(good[1], "\n")+"\r\n"), transcript.ErrBroken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := check(h, []byte(strings.Join(tt.lines, ""))); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func check(h *house, data []byte) error {
	tr, err := transcript.Read(data)
	if err != nil {
		return err
	}
	_, err = tr.VerifyClose(h.root)
	return err
}

func TestEveryByteCounts(t *testing.T) {
	h := newHouse(t)
	data := closed(t, h.bank)
	for i := range data {
		changed := bytes.Clone(data)
		changed[i] ^= []byte{1, 4, 0x20}[i%3]
		if check(h, changed) == nil {
			t.Fatalf("byte %d (%q in %q) can be changed", i, data[i], data[max(0, i-20):min(len(data), i+20)])
		}
	}
}

// forge chains lines anew, as somebody would who wants them believed. Only
// the closing signature stands in his way.
func forge(t testing.TB, data []byte, change func(i int, line string) string) []byte {
	t.Helper()
	var out []byte
	prev := transcript.Hash{}
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		at := strings.Index(line, `"prev":"`) + len(`"prev":"`)
		line = change(i, line[:at]+prev.String()+line[at+64:])
		prev = transcript.Hash(frame.Digest([]byte("specie/transcript/1"), []byte(line)))
		out = append(out, line+"\n"...)
	}
	return out
}

func TestAForgedChainNeedsTheKey(t *testing.T) {
	h := newHouse(t)
	data := closed(t, h.bank)
	same := func(_ int, line string) string { return line }
	if !bytes.Equal(forge(t, data, same), data) {
		t.Fatal("the forger does not know the format")
	}
	tests := []struct {
		name   string
		change func(i int, line string) string
		want   error
	}{
		{"a key replaced, everything chained again", func(i int, line string) string {
			if i == 3 {
				return strings.Replace(line, `"spki":"AQI="`, `"spki":"AQM="`, 1)
			}
			return line
		}, transcript.ErrSignature},
		{"an event without a name", func(i int, line string) string {
			return strings.Replace(line, `"event":"token"`, `"event":""`, 1)
		}, transcript.ErrBroken},
		{"an event with other characters", func(i int, line string) string {
			return strings.Replace(line, `"event":"token"`, `"event":"to ken"`, 1)
		}, transcript.ErrBroken},
		{"opened a second time", func(i int, line string) string {
			return strings.Replace(line, `"event":"token"`, `"event":"opened"`, 1)
		}, transcript.ErrBroken},
		{"never opened", func(i int, line string) string {
			return strings.Replace(line, `"event":"opened"`, `"event":"resumed"`, 1)
		}, transcript.ErrBroken},
		{"abandoned, and closed after all", func(i int, line string) string {
			return strings.Replace(line, `"event":"token"`, `"event":"abandoned"`, 1)
		}, transcript.ErrBroken},
		{"data that is no object", func(i int, line string) string {
			if i == 1 {
				return line[:strings.Index(line, `"data":`)] + `"data":[1]}`
			}
			return line
		}, transcript.ErrBroken},
		{"a time in another form", func(i int, line string) string {
			return strings.Replace(line, "12:00:00Z", "12:00:00.0Z", 1)
		}, transcript.ErrBroken},
		{"too long a line", func(i int, line string) string {
			return strings.Replace(line, "receipts", strings.Repeat("x", transcript.MaxLine), 1)
		}, transcript.ErrBroken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := check(h, forge(t, data, tt.change)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// reclose replaces what the closing entry says.
func reclose(t testing.TB, data []byte, change func(*transcript.Closed)) []byte {
	t.Helper()
	return forge(t, data, func(i int, line string) string {
		head, body, found := strings.Cut(line, `"event":"closed","data":`)
		if !found {
			return line
		}
		var c transcript.Closed
		ok(t, json.Unmarshal([]byte(strings.TrimSuffix(body, "}")), &c))
		change(&c)
		return head + `"event":"closed","data":` + string(must(json.Marshal(c))(t)) + "}"
	})
}

func TestClosingSignaturesThatAreRefused(t *testing.T) {
	h, elsewhere := newHouse(t), newHouse(t)
	data := closed(t, h.bank)
	signature := func(by party) []byte {
		tr := must(transcript.Read(closed(t, by)))(t)
		return must(transcript.All[transcript.Closed](tr, transcript.EventClosed))(t)[0].Signature
	}
	tests := []struct {
		name string
		data []byte
		want error
	}{
		{"under another root", closed(t, elsewhere.bank), trust.ErrChain},
		{"by another root's own key", closed(t, elsewhere.self), transcript.ErrSignature},
		{"by another key under the same name", closed(t, party{h.bank.name, newKey(t, h.bank.key.Curve), h.bank.chain}), transcript.ErrSignature},
		{"by another bank under this one's name", closed(t, party{h.bank.name, h.other.key, h.other.chain}), transcript.ErrSignature},
		{"by a bank as the root", closed(t, party{h.self.name, h.bank.key, h.bank.chain}), transcript.ErrSignature},
		{"by a supervisor as a bank", closed(t, party{h.bank.name, h.supervisor.key, h.supervisor.chain}), transcript.ErrSignature},
		{"with a certificate not yet valid", closed(t, h.late), trust.ErrExpired},
		{"with the signature of another transcript", reclose(t, data, func(c *transcript.Closed) { c.Signature = signature(h.bank) }), nil},
		{"with the signature of another bank", reclose(t, data, func(c *transcript.Closed) { c.Signature = signature(h.other) }), transcript.ErrSignature},
		{"with another algorithm named", reclose(t, data, func(c *transcript.Closed) { c.Algorithm = "ecdsa-p256-sha256" }), transcript.ErrSignature},
		{"with no signature", reclose(t, data, func(c *transcript.Closed) { c.Signature = nil }), transcript.ErrBroken},
		{"without its certificate", reclose(t, data, func(c *transcript.Closed) { c.Chain = nil }), transcript.ErrSignature},
		{"with too many certificates", reclose(t, data, func(c *transcript.Closed) { c.Chain = append(c.Chain, c.Chain[0], c.Chain[0]) }), transcript.ErrSignature},
		{"with rubbish for a certificate", reclose(t, data, func(c *transcript.Closed) { c.Chain = [][]byte{{1}} }), transcript.ErrSignature},
		{"with a certificate beyond all size", closed(t, h.large(t)), transcript.ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := check(h, tt.data)
			if tt.want == nil {
				// Same entries, same time: the same head, so that it is right.
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAnEmptyTranscriptSaysNothing(t *testing.T) {
	h, tr := newHouse(t), &transcript.Transcript{}
	if _, err := tr.VerifyClose(h.root); !errors.Is(err, transcript.ErrOpen) {
		t.Errorf("VerifyClose: %v", err)
	}
	if _, err := tr.Opened(); !errors.Is(err, transcript.ErrBroken) {
		t.Errorf("Opened: %v", err)
	}
	if tr.Head() != (transcript.Hash{}) || tr.Ended() {
		t.Error("it has a head, or an end")
	}
}

func TestTheRootsOwnValidityIsJudgedAtTheTimeOfClosing(t *testing.T) {
	h := newHouse(t)
	w := must(transcript.Create(t.TempDir()+"/t", func() time.Time { return now.AddDate(2, 0, 0) }))(t)
	ok(t, w.Append(transcript.EventOpened, opened()))
	ok(t, w.Close(h.self.name, nil, h.self.key))
	tr := must(transcript.ReadFile(w.Path()))(t)
	if _, err := tr.VerifyClose(h.root); !errors.Is(err, trust.ErrExpired) {
		t.Errorf("got %v", err)
	}
}

func TestEntriesAreDecodedStrictly(t *testing.T) {
	e := transcript.Entry{Seq: 2, Event: transcript.EventToken}
	for _, data := range []string{`{"label":"a","pin":"1"}`, `{"label":null}`, `{"label":1}`, `{"Label":"a"}`} {
		e.Data = []byte(data)
		var v transcript.Token
		if err := e.Decode(&v); !errors.Is(err, transcript.ErrBroken) {
			t.Errorf("%s: %v", data, err)
		}
	}
	for _, text := range []string{"", "00", strings.Repeat("0", 66), strings.Repeat("AA", 32), strings.Repeat("zz", 32)} {
		var hash transcript.Hash
		if err := hash.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as a hash", text)
		}
	}
}

func TestTooManyEntries(t *testing.T) {
	w := begin(t)
	lines := strings.SplitAfter(string(must(readAll(w))(t)), "\n")
	var b strings.Builder
	b.WriteString(lines[0])
	prev := frame.Digest([]byte("specie/transcript/1"), []byte(strings.TrimSuffix(lines[0], "\n")))
	for i := 2; i <= transcript.MaxEntries+1; i++ {
		line := fmt.Sprintf(`{"seq":%d,"prev":"%x","at":"2026-11-21T12:00:00Z","event":"token","data":{}}`, i, prev)
		prev = frame.Digest([]byte("specie/transcript/1"), []byte(line))
		b.WriteString(line + "\n")
		if i == transcript.MaxEntries {
			must(transcript.Read([]byte(b.String())))(t)
		}
	}
	if _, err := transcript.Read([]byte(b.String())); !errors.Is(err, transcript.ErrBroken) {
		t.Errorf("got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	h := newHouse(f)
	for _, by := range []party{h.self, h.bank} {
		data := closed(f, by)
		f.Add(data)
		f.Add(data[:len(data)/2])
		f.Add(data[:bytes.IndexByte(data, '\n')+1])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tr, err := transcript.Read(data)
		if err != nil {
			if !errors.Is(err, transcript.ErrBroken) {
				t.Errorf("refused with %v", err)
			}
			return
		}
		if n := bytes.Count(data, []byte("\n")); n != len(tr.Entries) {
			t.Errorf("%d entries in %d lines", len(tr.Entries), n)
		}
		if _, err := tr.VerifyClose(h.root); err == nil && !tr.Ended() {
			t.Error("an open transcript passes for a closed one")
		}
	})
}
