package enrol_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/trust"
)

// knownKey is the arithmetic of an ECDAA key whose scalar the test knows: the
// statements of this package hold whatever made the join. Real TPMs join in
// package registration.
type knownKey struct{ f, r fp256bn.Scalar }

func (k *knownKey) Commit(_ context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (kk, l, e fp256bn.G1, counter uint16, err error) {
	x := sha256.Sum256(s2)
	p2, ok := fp256bn.LiftX(x[:])
	if _, y := p2.XY(); !ok || y != y2 {
		return kk, l, e, 0, errors.New("P2 is not on the curve")
	}
	if k.r, err = fp256bn.RandomScalar(rand.Reader); err != nil {
		return kk, l, e, 0, err
	}
	if p1 != nil {
		e = p1.Mul(k.r)
	}
	return p2.Mul(k.f), p2.Mul(k.r), e, 1, nil
}

func (k *knownKey) Sign(_ context.Context, digest [32]byte, _ uint16) ([]byte, fp256bn.Scalar, error) {
	nu := make([]byte, 32)
	_, err := rand.Read(nu)
	nu[0] |= 1
	c := sha256.Sum256(append(bytes.Clone(nu), digest[:]...))
	return nu, k.r.Add(fp256bn.ReduceScalar(c[:]).Mul(k.f)), err
}

// softJoin makes a join with a form and the statement about it.
func softJoin(t testing.TB, g *groupdoctest.Group) (*group.Join, *group.Parameters, *enrol.Statement) {
	t.Helper()
	f, err := fp256bn.RandomScalar(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := g.Document(t).Parameters()
	s := &enrol.Statement{
		Group: p.Name, Member: enrol.ID{1}, Form: []byte(`{"name":"Ada Lovelace"}`), Salt: [32]byte{2},
		EK: [32]byte{3}, KeyPublic: []byte("public area"), Nonce: nonce, JoinedAt: now,
	}
	jc := group.JoinContext{Nonce: nonce, KeyName: enrol.KeyName(s.KeyPublic), EK: s.EK, Form: enrol.FormDigest(s.Form, s.Salt)}
	j, err := group.NewJoin(t.Context(), p, &knownKey{f: f}, fp256bn.Generator1().Mul(f), seedSecret(t), jc)
	if err != nil {
		t.Fatal(err)
	}
	s.Join = j.Bytes()
	return j, p, s
}

func TestAStatementIsReadBack(t *testing.T) {
	g := newGroup(t)
	j, p, s := softJoin(t, g)
	jws, err := enrol.SignStatement(p, s, g.Manager.Key, g.Manager.Chain)
	if err != nil {
		t.Fatal(err)
	}
	m, err := enrol.ParseStatement(g.Root, p, jws, now)
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "Ada Lovelace" || m.Tag != j.F.Bytes() || m.Member != s.Member || !m.JoinedAt.Equal(now) {
		t.Fatalf("got %+v", m)
	}
}

func TestStatementsThatAreRefused(t *testing.T) {
	g := newGroup(t)
	_, p, s := softJoin(t, g)
	jws, err := enrol.SignStatement(p, s, g.Manager.Key, g.Manager.Chain)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := g.Root.Verify(jws, trust.TypMember, trust.RoleGroup, now)
	if err != nil {
		t.Fatal(err)
	}
	_, _, other := softJoin(t, g)
	b64 := base64.RawURLEncoding.EncodeToString
	cases := []struct {
		name, member string
		value        any
		want         error
	}{
		{"another person's form", "form", b64([]byte(`{"name":"Charles Babbage"}`)), enrol.ErrStatement},
		{"another salt", "salt", b64(make([]byte, 32)), enrol.ErrStatement},
		{"another member's join", "join", b64(other.Join), nil}, // proves another tag, for the same form: told apart by the tag
		{"another TPM's EK", "ek", b64(make([]byte, 32)), enrol.ErrStatement},
		{"another key", "key_public", b64([]byte("another area")), enrol.ErrStatement},
		{"another nonce", "nonce", b64(make([]byte, 32)), enrol.ErrStatement},
		{"another group", "group", "OTHERGROUP", enrol.ErrStatement},
		{"a group that is no id", "group", "g", enrol.ErrMalformed},
		{"a join cut short", "join", b64(other.Join[1:]), enrol.ErrMalformed},
		{"a join of zeros", "join", b64(make([]byte, group.JoinSize)), enrol.ErrStatement},
		{"a form that is none", "form", b64([]byte(`{}`)), enrol.ErrMalformed},
		{"a member id of the wrong size", "member", "AAAA", enrol.ErrMalformed},
		{"a local time", "joined_at", "2026-05-01T14:00:00+02:00", enrol.ErrMalformed},
		{"a member that is not known", "note", "x", enrol.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var m map[string]any
			if err := json.Unmarshal(doc.Payload, &m); err != nil {
				t.Fatal(err)
			}
			m[c.member] = c.value
			payload, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			bad, err := trust.Sign(trust.TypMember, payload, g.Manager.Key, g.Manager.Chain)
			if err != nil {
				t.Fatal(err)
			}
			got, err := enrol.ParseStatement(g.Root, p, bad, now)
			if c.want == nil {
				if err != nil || bytes.Equal(got.Join, s.Join) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	t.Run("a supervisor's signature", func(t *testing.T) {
		bad, err := trust.Sign(trust.TypMember, doc.Payload, g.Officers[0].Key, g.Officers[0].Chain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := enrol.ParseStatement(g.Root, p, bad, now); !errors.Is(err, trust.ErrRole) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("another manager's signature", func(t *testing.T) {
		party := g.Certify(t, trust.Name{Role: trust.RoleGroup, ID: "OTHERGROUP"}, now)
		bad, err := trust.Sign(trust.TypMember, doc.Payload, party.Key, party.Chain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := enrol.ParseStatement(g.Root, p, bad, now); !errors.Is(err, enrol.ErrStatement) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("parameters with another opening key", func(t *testing.T) {
		q := *p
		q.O = q.O.Add(fp256bn.Generator1())
		if _, err := enrol.ParseStatement(g.Root, &q, jws, now); !errors.Is(err, enrol.ErrStatement) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a manager does not sign what does not hold", func(t *testing.T) {
		bad := *s
		bad.EK = [32]byte{9}
		if _, err := enrol.SignStatement(p, &bad, g.Manager.Key, g.Manager.Chain); !errors.Is(err, enrol.ErrStatement) {
			t.Fatalf("got %v", err)
		}
	})
}

func FuzzReadStatement(f *testing.F) {
	g := newGroup(f)
	_, p, s := softJoin(f, g)
	jws, err := enrol.SignStatement(p, s, g.Manager.Key, g.Manager.Chain)
	if err != nil {
		f.Fatal(err)
	}
	doc, err := g.Root.Verify(jws, trust.TypMember, trust.RoleGroup, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc.Payload)
	f.Add([]byte(`{"group":"TESTGROUP"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		st, err := enrol.ReadStatement(payload)
		if err == nil && (len(st.Join) != group.JoinSize || st.Group == "") {
			t.Fatalf("accepted %+v", st)
		}
	})
}

func FuzzOpenForm(f *testing.F) {
	g := newGroup(f)
	sealed, digest, err := enrol.SealForm(g.FormKey.PublicKey(), g.Contents.ID, nonce, ada)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := enrol.OpenForm(g.FormKey, g.Contents.ID, nonce, b, digest); err == nil && o.Form != ada {
			t.Fatalf("accepted %+v", o)
		}
	})
}
