package groupdoc_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/speciecash/specie/groupdoc"
)

func TestADocumentTakesTheOthersPlaceOnlyIfItIsLater(t *testing.T) {
	g := newGroup(t)
	with := func(seq uint64, head groupdoc.WarrantHead, leaked ...[]byte) *groupdoc.Document {
		g.Contents.Seq, g.Contents.Warrants, g.Contents.Leaked = seq, head, leaked
		return g.Document(t)
	}
	two := groupdoc.WarrantHead{Size: 2, Head: [32]byte{2}}
	seen := with(5, two)
	stranger := newGroup(t).Document(t)
	cases := []struct {
		name string
		doc  *groupdoc.Document
		want error
	}{
		{"the same once more", seen, nil},
		{"the next", with(6, two), nil},
		{"a later one with a warrant more", with(9, groupdoc.WarrantHead{Size: 3, Head: [32]byte{3}}), nil},
		{"one from before", with(4, two), groupdoc.ErrRollback},
		{"another one of the same number", with(5, two, make([]byte, 32)), groupdoc.ErrRollback},
		{"a warrant less", with(6, groupdoc.WarrantHead{Size: 1, Head: [32]byte{1}}), groupdoc.ErrRollback},
		{"another last warrant", with(6, groupdoc.WarrantHead{Size: 2, Head: [32]byte{9}}), groupdoc.ErrRollback},
		{"an empty register", with(6, groupdoc.WarrantHead{}), groupdoc.ErrRollback},
		{"another group's", stranger, groupdoc.ErrGroup},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := c.doc.After(seen); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Fatalf("got %v", err)
			}
			kept, err := json.Marshal(seen.Mark())
			if err != nil {
				t.Fatal(err)
			}
			var mark groupdoc.Mark
			if err := json.Unmarshal(kept, &mark); err != nil {
				t.Fatal(err)
			}
			if err := c.doc.AfterMark(mark); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Fatalf("by the mark: %v", err)
			}
		})
	}
}
