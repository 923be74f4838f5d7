package successor_test

import (
	"errors"
	"testing"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/groupdoc/successor"
	"github.com/speciecash/specie/opening/openingtest"
	"github.com/speciecash/specie/trust"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// The group's document has epoch 7 as its current one, and 8 as the next.
func newVerifier(t *testing.T) (*groupdoctest.Group, *successor.Verifier) {
	t.Helper()
	g := groupdoctest.New(t, now, []byte("template"), [32]byte{1})
	return g, &successor.Verifier{Root: g.Root, Doc: g.Document(t)}
}

func TestTheManagersWordCountsFromTheSkewOn(t *testing.T) {
	g, v := newVerifier(t)
	a, b := must(openingtest.NewKey())(t), must(openingtest.NewKey())(t)
	s := &enrol.Succession{Group: groupdoctest.Name, Old: a.Point().Bytes(), New: b.Point().Bytes(), At: now, GoodUntil: now.Add(time.Hour)}
	jws := must(enrol.SignSuccession(s, g.Manager.Key, g.Manager.Chain))(t)
	from, to, over, err := v.Succession(jws, now)
	if err != nil || from != s.Old || to != s.New || !over.Equal(now.Add(time.Hour+groupdoc.EpochSkew)) {
		t.Fatalf("got %v, %v", over, err)
	}
	if _, _, _, err := v.Succession(jws, now.AddDate(2, 0, 0)); !errors.Is(err, trust.ErrExpired) {
		t.Errorf("the certificate has run out: %v", err)
	}
	elsewhere := *v
	doc := *v.Doc
	doc.ID = "OTHERGROUP"
	elsewhere.Doc = &doc
	if _, _, _, err := elsewhere.Succession(jws, now); !errors.Is(err, enrol.ErrSuccession) {
		t.Errorf("another group: %v", err)
	}
}

func TestASignerIsNamedInWhateverEpoch(t *testing.T) {
	g, v := newVerifier(t)
	current, next := v.Doc.Current, v.Doc.Next
	for _, c := range []struct {
		name  string
		epoch uint64
		over  time.Time
		want  error
	}{
		{"long past", 3, time.Time{}, nil},
		{"the one before", 6, current.Starts.Add(groupdoc.EpochSkew), nil},
		{"the present one", 7, current.Ends.Add(groupdoc.EpochSkew), nil},
		{"the next one", 8, next.Ends.Add(groupdoc.EpochSkew), nil},
		{"one that was never announced", 9, time.Time{}, groupdoc.ErrEpoch},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := must(openingtest.Admit(t.Context(), v.Doc.Parameters(), g.Issuer, c.epoch, "Ada", must(openingtest.NewKey())(t), nil))(t)
			p, k, err := m.PresentOpen(t.Context(), m.Key, []byte("m"), nil)
			pres := must(p, err)(t).Bytes()
			it := group.Item{Presentation: pres, Message: []byte("m")}
			if err := v.Past(it); !errors.Is(err, c.want) {
				t.Errorf("looked back at: %v", err)
			}
			tag, over, err := v.Signer(it, [32]byte(k.Bytes()))
			if c.want != nil {
				if !errors.Is(err, c.want) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || tag != m.Join.F.Bytes() || !over.Equal(c.over) {
				t.Fatalf("got %v, %v", over, err)
			}
			it.Message = []byte("n")
			if _, _, err := v.Signer(it, [32]byte(k.Bytes())); !errors.Is(err, group.ErrProof) {
				t.Errorf("another message: %v", err)
			}
			if err := v.Past(it); !errors.Is(err, group.ErrProof) {
				t.Errorf("another message, looked back at: %v", err)
			}
			it.Message = []byte("m")
			if _, _, err := v.Signer(it, [32]byte{31: 1}); !errors.Is(err, group.ErrOpeningKey) {
				t.Errorf("another key: %v", err)
			}
			if _, _, err := v.Signer(it, [32]byte{}); !errors.Is(err, group.ErrMalformed) {
				t.Errorf("no key: %v", err)
			}
			it.Presentation = pres[1:]
			if _, _, err := v.Signer(it, [32]byte(k.Bytes())); !errors.Is(err, group.ErrMalformed) {
				t.Errorf("no presentation: %v", err)
			}
		})
	}
	t.Run("the next one, when it is not announced", func(t *testing.T) {
		doc := *v.Doc
		doc.Next = groupdoc.Epoch{}
		alone := *v
		alone.Doc = &doc
		m := must(openingtest.Admit(t.Context(), doc.Parameters(), g.Issuer, 8, "Ada", must(openingtest.NewKey())(t), nil))(t)
		p, k, err := m.PresentOpen(t.Context(), m.Key, []byte("m"), nil)
		pres := must(p, err)(t).Bytes()
		if _, _, err := alone.Signer(group.Item{Presentation: pres, Message: []byte("m")}, [32]byte(k.Bytes())); !errors.Is(err, groupdoc.ErrEpoch) {
			t.Fatalf("got %v", err)
		}
	})
}
