package enrol_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
)

func TestALineLeadsFromOneMemberToTheNext(t *testing.T) {
	g := newGroup(t)
	var tags [][33]byte
	p := fp256bn.Generator1()
	for range enrol.MaxLine + 2 {
		tags = append(tags, p.Bytes())
		p = p.Add(fp256bn.Generator1())
	}
	var words [][]byte
	for i := range enrol.MaxLine + 1 {
		s := succession()
		s.Old, s.New = tags[i], tags[i+1]
		jws, err := enrol.SignSuccession(s, g.Manager.Key, g.Manager.Chain)
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, jws)
	}
	line, err := enrol.ParseLine(g.Root, groupdoctest.Name, words[:3], tags[3], now)
	if err != nil || len(line) != 3 || line[0].Old != tags[0] {
		t.Fatalf("got %+v, %v", line, err)
	}
	if line, err := enrol.ParseLine(g.Root, groupdoctest.Name, nil, tags[0], now); err != nil || len(line) != 0 {
		t.Fatalf("of nothing: %+v, %v", line, err)
	}
	for _, c := range []struct {
		name  string
		words [][]byte
		tag   [33]byte
		want  error
	}{
		{"with a gap", [][]byte{words[0], words[2]}, tags[3], enrol.ErrSuccession},
		{"to somebody else", words[:2], tags[3], enrol.ErrSuccession},
		{"the newest first", [][]byte{words[1], words[0]}, tags[1], enrol.ErrSuccession},
		{"too long", words, tags[enrol.MaxLine+1], enrol.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := enrol.ParseLine(g.Root, groupdoctest.Name, c.words, c.tag, now); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestALineTravelsForOneMember(t *testing.T) {
	s := newSecret(t)
	words := [][]byte{[]byte("a.b.c"), []byte("d.e.f")}
	id := enrol.ID{1}
	sealed, err := s.SealLine(id, words)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.OpenLine(id, sealed)
	if err != nil || !slices.EqualFunc(got, words, bytes.Equal) {
		t.Fatalf("got %q, %v", got, err)
	}
	again, err := s.SealLine(id, words)
	if err != nil || bytes.Equal(again, sealed) {
		t.Fatalf("sealed twice to the same bytes, %v", err)
	}
	if _, err := s.OpenLine(enrol.ID{2}, sealed); !errors.Is(err, enrol.ErrCredential) {
		t.Fatalf("for another member: %v", err)
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := s.OpenLine(id, sealed); !errors.Is(err, enrol.ErrCredential) {
		t.Fatalf("changed: %v", err)
	}
	if _, err := s.OpenLine(id, make([]byte, 1<<20)); !errors.Is(err, enrol.ErrMalformed) {
		t.Fatalf("huge: %v", err)
	}
}
