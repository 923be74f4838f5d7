package groupdoc_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/groupdoc"
)

// withValues says of each PCR of a state what it holds.
func withValues() *groupdoc.Platform {
	p := newPlatform()
	values := [][32]byte{{1}, {2}, {3}}
	p.Policies[0].Values, p.Policies[0].Digest = values, sha256.Sum256(slices.Concat(values[0][:], values[1][:], values[2][:]))
	return p
}

func TestAPlatformFileIsReadBack(t *testing.T) {
	for name, want := range map[string]*groupdoc.Platform{
		"with states": newPlatform(), "without": {Key: []byte("key")}, "with values": withValues(),
	} {
		text, err := want.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := groupdoc.ParsePlatform(text)
		if err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s: %v %s", name, err, cmp.Diff(want, got))
		}
	}
}

func TestPlatformFilesThatAreRefused(t *testing.T) {
	text, err := withValues().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(m, policy map[string]any){
		"no key":                       func(m, _ map[string]any) { delete(m, "key") },
		"a key in another code":        func(m, _ map[string]any) { m["key"] = "%%%" },
		"an unknown member":            func(m, _ map[string]any) { m["comment"] = "x" },
		"no name":                      func(_, p map[string]any) { delete(p, "name") },
		"no PCRs":                      func(_, p map[string]any) { delete(p, "pcrs") },
		"a value fewer":                func(_, p map[string]any) { p["values"] = p["values"].([]any)[:2] },
		"another value":                func(_, p map[string]any) { p["values"].([]any)[1] = strings.Repeat("A", 43) },
		"a short value":                func(_, p map[string]any) { p["values"].([]any)[1] = "AAAA" },
		"values of other PCRs":         func(_, p map[string]any) { p["pcrs"] = []any{7} },
		"too many values":              func(_, p map[string]any) { p["values"] = slices.Repeat(p["values"].([]any), 9) },
		"no digest":                    func(_, p map[string]any) { delete(p, "digest") },
		"no signature":                 func(_, p map[string]any) { delete(p, "signature") },
		"a digest in hex":              func(_, p map[string]any) { p["digest"] = strings.Repeat("ab", 32) },
		"a PCR that is no number":      func(_, p map[string]any) { p["pcrs"] = []any{"7"} },
		"a PCR that is a fraction":     func(_, p map[string]any) { p["pcrs"] = []any{7.5} },
		"a long signature":             func(_, p map[string]any) { p["signature"] = strings.Repeat("A", 88) },
		"an unknown member of a state": func(_, p map[string]any) { p["locality"] = 3 },
	} {
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		change(m, m["policies"].([]any)[0].(map[string]any))
		changed, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := groupdoc.ParsePlatform(changed); !errors.Is(err, groupdoc.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
	for name, raw := range map[string][]byte{
		"nothing": nil, "no object": []byte("[]"), "something after it": append(bytes.Clone(text), "{}"...),
		"a member twice":   bytes.Replace(text, []byte(`"key"`), []byte(`"key": "AA", "key"`), 1),
		"a file too large": append(bytes.Clone(text), bytes.Repeat([]byte(" "), groupdoc.MaxPlatform)...),
	} {
		if _, err := groupdoc.ParsePlatform(raw); !errors.Is(err, groupdoc.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func FuzzParsePlatform(f *testing.F) {
	text, err := newPlatform().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	valued, err := withValues().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valued)
	f.Add([]byte(`{"key":"AA","policies":[]}`))
	f.Add([]byte(`{"key":"AA","policies":[{"name":"x","pcrs":[7],"digest":"","signature":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := groupdoc.ParsePlatform(data)
		if err != nil {
			if !errors.Is(err, groupdoc.ErrMalformed) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		again, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := groupdoc.ParsePlatform(again)
		if err != nil || cmp.Diff(p, back) != "" {
			t.Fatalf("it does not come back: %v %s", err, cmp.Diff(p, back))
		}
	})
}
