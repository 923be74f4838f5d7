package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

func TestBytesHaveOneForm(t *testing.T) {
	tests := []struct {
		name, text string
		want       []byte
		err        error
	}{
		{"nothing", "", nil, nil},
		{"three bytes", "AQID", []byte{1, 2, 3}, nil},
		{"one byte", "_w", []byte{255}, nil},
		{"padding", "_w==", nil, ErrBytes},
		{"the other alphabet", "/w", nil, ErrBytes},
		{"a line break", "AQ\nID", nil, ErrBytes},
		{"a carriage return at the end", "AQID\r", nil, ErrBytes},
		{"a blank", "AQ ID", nil, ErrBytes},
		{"stray last bits", "_x", nil, ErrBytes},
		{"a lone character", "A", nil, ErrBytes},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b Bytes
			err := b.UnmarshalText([]byte(tt.text))
			if !errors.Is(err, tt.err) || !bytes.Equal(b, tt.want) {
				t.Errorf("got %x, %v", b, err)
			}
		})
	}
}

func TestBytesTravelInJSON(t *testing.T) {
	type body struct {
		List []Bytes `json:"list"`
	}
	text, err := json.Marshal(body{[]Bytes{{0xfb, 0xff}, {}}})
	if err != nil || string(text) != `{"list":["-_8",""]}` {
		t.Fatalf("%s, %v", text, err)
	}
	var back body
	if err := json.Unmarshal(text, &back); err != nil || len(back.List) != 2 || !bytes.Equal(back.List[0], []byte{0xfb, 0xff}) {
		t.Errorf("%v, %v", back, err)
	}
}

func FuzzBytes(f *testing.F) {
	for _, seed := range []string{"", "AQID", "_w", "_w==", "AQ\nID", "_x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var b Bytes
		if b.UnmarshalText(text) != nil {
			return
		}
		again, err := b.MarshalText()
		if err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q was read as %x, which is written %q", text, []byte(b), again)
		}
	})
}
