package opening_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/trust"
)

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// membership is what a warrant commits to of a member.
func membership(m *member) warrant.Membership {
	return warrant.MembershipOf(m.Statement.Member, m.Join)
}

// traceParts lets supervisors (index 1 …) each do his part.
func (w *world) traceParts(t testing.TB, m *member, indices ...int) []*opening.TracePart {
	t.Helper()
	proof := w.warrant(t, warrant.Trace, membership(m).Subject())
	var out []*opening.TracePart
	for _, i := range indices {
		part := must(opening.TracePartial(w.papers(t), proof, w.state(t, m), w.Shares[i-1]))(t)
		out = append(out, must(opening.ParseTracePart(must(part.Marshal())(t)))(t))
	}
	return out
}

// token releases the member's token on a warrant to trace him.
func (w *world) token(t testing.TB, m *member) []byte {
	t.Helper()
	parts := w.traceParts(t, m, 3, 1)
	proof := w.warrant(t, warrant.Trace, membership(m).Subject())
	return must(must(opening.CombineTrace(w.papers(t), proof, w.state(t, m), parts))(t).Marshal())(t)
}

// present is a payment of the member's, without any coin.
func (w *world) present(t testing.TB, m *member) *group.Presentation {
	t.Helper()
	return must(m.Present(t.Context(), m.Key, []byte("a payment"), nil))(t)
}

func TestATokenFindsOneMembersPayments(t *testing.T) {
	w := newWorld(t)
	eva, ada := w.admit(t, "Eva Example"), w.admit(t, "Ada Honest")
	before := w.present(t, eva)
	file := w.token(t, eva)
	token := must(opening.ParseToken(w.Root, file, now))(t)
	if !token.Matches(before) || !token.Matches(w.present(t, eva)) {
		t.Error("a payment of hers is not found")
	}
	if token.Matches(w.present(t, ada)) {
		t.Error("somebody else's payment is found")
	}
	if token.Group.GroupID() != w.papers(t).Group.GroupID() || token.Warrant.Scope != warrant.Trace || token.Member != membership(eva) {
		t.Errorf("token about %+v", token.Member)
	}
	for what, secret := range map[string][]byte{
		"name": []byte("Eva Example"), "form": []byte(encoded(eva.Statement.Form)), "tag": []byte(encoded(g1(eva.Join.F))),
		"TPM": []byte(encoded(eva.Statement.EK[:])), "point": []byte(encoded(g1(eva.Join.Q))),
	} {
		if bytes.Contains(file, secret) {
			t.Errorf("the token tells the bank her %s", what)
		}
	}
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		if out := fmt.Sprintf(f, token); out != "[redacted]" {
			t.Errorf("%s prints %q", f, out)
		}
	}
}

func g1(p fp256bn.G1) []byte { b := p.Bytes(); return b[:] }

// Whatever members there are and whoever of them pays in whatever order and
// epoch, the token finds the traced one's payments, all of them, and no other.
func TestATokenFindsNobodyElse(t *testing.T) {
	w := newWorld(t)
	members := make([]*member, 12)
	for i := range members {
		members[i] = w.admit(t, fmt.Sprintf("Member %d", i))
	}
	tokens := make([]*opening.Token, len(members))
	renewed := make(map[[2]uint64]*member)
	p := w.papers(t).Group.Parameters()
	rapid.Check(t, func(r *rapid.T) {
		traced := rapid.IntRange(0, len(members)-1).Draw(r, "traced")
		payers := rapid.SliceOfN(rapid.IntRange(0, len(members)-1), 1, 4).Draw(r, "payers")
		epoch := rapid.Uint64Range(1, 4).Draw(r, "epoch")
		if tokens[traced] == nil {
			tokens[traced] = must(opening.ParseToken(w.Root, w.token(t, members[traced]), now))(t)
		}
		for _, payer := range payers {
			key := [2]uint64{uint64(payer), epoch}
			if renewed[key] == nil {
				renewed[key] = must(members[payer].Renew(p, w.Issuer, epoch))(t)
			}
			if got := tokens[traced].Matches(w.present(t, renewed[key])); got != (payer == traced) {
				r.Fatalf("member %d's payment, traced is %d: %v", payer, traced, got)
			}
		}
	})
}

func TestATokenIsReleasedOnALawfulWarrantOnly(t *testing.T) {
	w := newWorld(t)
	eva, ada := w.admit(t, "Eva Example"), w.admit(t, "Ada Honest")
	c := w.doubleSpend(t, eva)
	statement := w.state(t, eva)
	var parts []*group.PartialTrace
	for _, share := range w.Shares[:2] {
		jc := group.JoinContext{Nonce: eva.Statement.Nonce, KeyName: enrol.KeyName(eva.Statement.KeyPublic), EK: eva.Statement.EK, Form: enrol.FormDigest(eva.Statement.Form, eva.Statement.Salt)}
		parts = append(parts, must(group.TracePartial(w.papers(t).Group.Parameters(), &w.Supervision.Key, share, eva.Join, jc))(t))
	}
	honest := w.token(t, eva)
	for _, scope := range []warrant.Scope{warrant.Trace, warrant.Expel} {
		for _, tt := range unlawfuls(scope, warrant.Open, membership(eva).Subject(), membership(ada).Subject(), c.Subject()) {
			t.Run(string(scope)+" "+tt.name, func(t *testing.T) {
				proof := tt.proof(t, w)
				w.groupJWS = w.Group.Sign(t)
				papers := w.papers(t).At(now.Add(tt.at))
				if _, err := opening.TracePartial(papers, proof, statement, w.Shares[0]); !errors.Is(err, tt.want) {
					t.Errorf("partial: got %v, want %v", err, tt.want)
				}
				if len(proof.Entries) == 0 || len(proof.JWS) == 0 {
					return
				}
				var files []*opening.TracePart
				for _, pt := range parts {
					files = append(files, &opening.TracePart{Group: papers.Group.ID, Member: membership(eva).Digest(), Warrant: proof.Entries[0].Warrant, Partial: pt})
				}
				if _, err := opening.CombineTrace(papers, proof, statement, files); !errors.Is(err, tt.want) {
					t.Errorf("combine: got %v, want %v", err, tt.want)
				}
				// Supervisors who looked away write the token themselves.
				forged := change(t, honest, func(m map[string]any) { m["warrant"], m["group"] = proof, string(w.groupJWS) })
				if tt.at > 0 {
					_, err := opening.ParseToken(w.Root, forged, now.Add(tt.at))
					if !errors.Is(err, tt.want) {
						t.Errorf("the bank: got %v, want %v", err, tt.want)
					}
					if _, err := opening.InspectToken(w.Root, forged, now.Add(tt.at)); err != nil {
						t.Errorf("who only looks: %v", err)
					}
					return
				}
				if tt.at == 0 {
					if _, err := opening.ParseToken(w.Root, forged, now); !errors.Is(err, tt.want) {
						t.Errorf("the bank: got %v, want %v", err, tt.want)
					}
				}
			})
		}
	}
}

func TestFewerThanKReleaseNoToken(t *testing.T) {
	w := newWorld(t)
	eva := w.admit(t, "Eva Example")
	one := w.traceParts(t, eva, 2)
	proof := w.warrant(t, warrant.Trace, membership(eva).Subject())
	// The manager has the join, and no share: a part that he makes up.
	made := *one[0]
	made.Partial = must(group.ParsePartialTrace(one[0].Partial.Bytes()))(t)
	made.Partial.Index = 1
	for _, tt := range []struct {
		name  string
		parts []*opening.TracePart
		want  error
	}{
		{"nobody: a manager alone", nil, group.ErrQuorum},
		{"one supervisor", one, group.ErrQuorum},
		{"one supervisor twice", append(one, one[0]), group.ErrQuorum},
		{"one, and a part that was made up", append(one, &made), group.ErrPartial},
	} {
		if _, err := opening.CombineTrace(w.papers(t), proof, w.state(t, eva), tt.parts); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	foreign := newWorld(t)
	if _, err := opening.TracePartial(w.papers(t), proof, w.state(t, eva), foreign.Shares[0]); !errors.Is(err, group.ErrShare) {
		t.Errorf("a share of another group: %v", err)
	}
}

// A manager who wants another member traced than the warrant says must show
// the supervisors that member's join under the warrant's subject.
func TestAManagerCannotSlipInAnotherMember(t *testing.T) {
	w := newWorld(t)
	eva, ada := w.admit(t, "Eva Example"), w.admit(t, "Ada Honest")
	proof := w.warrant(t, warrant.Trace, membership(eva).Subject())
	lie := func(field string, value any) []byte {
		return w.lie(t, eva, func(j map[string]any) { j[field] = value })
	}
	swapped := w.admitWith(t, "Eva Example", eva.Key, func(s *enrol.Statement) { s.KeyPublic = ada.Statement.KeyPublic })
	escrow := *ada.Join
	escrow.F, escrow.Q, escrow.Uh = eva.Join.F, eva.Join.Q, eva.Join.Uh
	for _, tt := range []struct {
		name      string
		statement []byte
		want      error
	}{
		{"another member's statement", w.state(t, ada), warrant.ErrSubject},
		{"another member's under the id of the warrant", w.lie(t, ada, func(j map[string]any) { j["member"] = eva.Statement.Member.String() }), warrant.ErrSubject},
		{"the same member joined again", w.state(t, w.admitWith(t, "Eva Example", eva.Key, nil)), warrant.ErrSubject},
		{"another member's join", lie("join", encoded(ada.Join.Bytes())), enrol.ErrStatement},
		{"another member's escrow", lie("join", encoded(escrow.Bytes())), enrol.ErrStatement},
		{"another name", lie("form", encoded(ada.Statement.Form)), enrol.ErrStatement},
		{"another group key", lie("key_public", encoded(ada.Statement.KeyPublic)), enrol.ErrStatement},
		{"a key that is not the one that joined", w.state(t, swapped), opening.ErrStatement},
		{"a key of another class", w.state(t, w.admitWith(t, "Eva Example", eva.Key, func(s *enrol.Statement) { s.KeyPublic[5] ^= 2 })), attest.ErrTemplate},
		{"no statement", []byte("x"), opening.ErrStatement},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := opening.TracePartial(w.papers(t), proof, tt.statement, w.Shares[0]); !errors.Is(err, tt.want) {
				t.Errorf("partial: got %v, want %v", err, tt.want)
			}
			if _, err := opening.CombineTrace(w.papers(t), proof, tt.statement, nil); !errors.Is(err, tt.want) {
				t.Errorf("combine: got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestEveryFieldOfATracePartCounts(t *testing.T) {
	w := newWorld(t)
	eva := w.admit(t, "Eva Example")
	parts := w.traceParts(t, eva, 1, 2)
	proof := w.warrant(t, warrant.Trace, membership(eva).Subject())
	file := must(parts[0].Marshal())(t)
	partial := func(f func(b []byte)) func(m map[string]any) {
		return func(m map[string]any) {
			b := bytes.Clone(parts[0].Partial.Bytes())
			f(b)
			m["partial"] = encoded(b)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(m map[string]any)
		want   error
	}{
		{"nothing", func(map[string]any) {}, nil},
		{"version", func(m map[string]any) { m["v"] = 2 }, opening.ErrMalformed},
		{"group", func(m map[string]any) { m["group"] = "OTHERGROUP" }, opening.ErrForeign},
		{"member", func(m map[string]any) { m["member"] = encoded(make([]byte, 32)) }, opening.ErrForeign},
		{"a short member", func(m map[string]any) { m["member"] = encoded(make([]byte, 31)) }, opening.ErrMalformed},
		{"warrant", func(m map[string]any) { m["warrant"] = encoded(make([]byte, 32)) }, opening.ErrForeign},
		{"no warrant", func(m map[string]any) { delete(m, "warrant") }, opening.ErrMalformed},
		{"an unknown member", func(m map[string]any) { m["note"] = "x" }, opening.ErrMalformed},
		{"index, one that is taken", partial(func(b []byte) { b[0] = 2 }), group.ErrPartial},
		{"index, beyond n", partial(func(b []byte) { b[0] = 4 }), group.ErrPartial},
		{"index zero", partial(func(b []byte) { b[0] = 0 }), group.ErrPartial},
		{"the point", partial(func(b []byte) { b[1] ^= 1 }), group.ErrPartial},
		{"the point, off the curve", partial(func(b []byte) { copy(b[2:66], bytes.Repeat([]byte{0xff}, 64)) }), opening.ErrMalformed},
		{"c", partial(func(b []byte) { b[97] ^= 1 }), group.ErrPartial},
		{"s", partial(func(b []byte) { b[129] ^= 1 }), group.ErrPartial},
	} {
		t.Run(tt.name, func(t *testing.T) {
			part, err := opening.ParseTracePart(change(t, file, tt.change))
			if err == nil {
				_, err = opening.CombineTrace(w.papers(t), proof, w.state(t, eva), []*opening.TracePart{part, parts[1]})
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestEveryFieldOfATokenCounts(t *testing.T) {
	w, foreign := newWorld(t), newWorld(t)
	eva, ada := w.admit(t, "Eva Example"), w.admit(t, "Ada Honest")
	theirs := w.token(t, ada)
	other := must(opening.ParseToken(w.Root, theirs, now))(t)
	file := w.token(t, eva)
	take := func(field string) func(m map[string]any) {
		return func(m map[string]any) {
			change(t, theirs, func(o map[string]any) { m[field] = o[field] })
		}
	}
	proof := func(m map[string]any) map[string]any { return m["warrant"].(map[string]any) }
	for _, tt := range []struct {
		name   string
		change func(m map[string]any)
		want   error
	}{
		{"nothing", func(map[string]any) {}, nil},
		{"version", func(m map[string]any) { m["v"] = 2 }, opening.ErrMalformed},
		{"another member's τ", take("tau"), group.ErrEscrow},
		{"τ at infinity", func(m map[string]any) { m["tau"] = encoded(make([]byte, 65)) }, opening.ErrMalformed},
		{"τ too short", func(m map[string]any) { m["tau"] = encoded(make([]byte, 64)) }, opening.ErrMalformed},
		{"another member's Uh", take("uh"), warrant.ErrSubject},
		{"another member's Uh and τ", func(m map[string]any) { take("uh")(m); take("tau")(m) }, warrant.ErrSubject},
		{"Uh too short", func(m map[string]any) { m["uh"] = encoded(make([]byte, 32)) }, opening.ErrMalformed},
		{"another transcript", take("transcript"), warrant.ErrSubject},
		{"no transcript", func(m map[string]any) { delete(m, "transcript") }, opening.ErrMalformed},
		{"another member's id", func(m map[string]any) { m["member"] = enrol.ID{18}.String() }, warrant.ErrSubject},
		{"no id", func(m map[string]any) { m["member"] = "" }, opening.ErrMalformed},
		{"another member's warrant", take("warrant"), warrant.ErrRegister},
		{"another member's warrant and document", func(m map[string]any) { take("warrant")(m); take("group")(m) }, warrant.ErrSubject},
		{"no warrant", func(m map[string]any) { delete(m, "warrant") }, opening.ErrMalformed},
		{"one signature on the warrant", func(m map[string]any) { proof(m)["signatures"] = proof(m)["signatures"].([]any)[:1] }, warrant.ErrQuorum},
		{"an entry changed", func(m map[string]any) {
			proof(m)["entries"].([]any)[0].(map[string]any)["at"] = "2026-03-01T12:00:01Z"
		}, warrant.ErrRegister},
		{"an older document", take("group"), warrant.ErrRegister},
		{"another root's document", func(m map[string]any) { m["group"] = string(foreign.groupJWS) }, trust.ErrChain},
		{"no document", func(m map[string]any) { delete(m, "group") }, trust.ErrMalformed},
		{"an unknown member", func(m map[string]any) { m["name"] = "Eva" }, opening.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := opening.ParseToken(w.Root, change(t, file, tt.change), now); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if other.Member == membership(eva) {
		t.Fatal("both tokens are one member's: the table shows nothing")
	}
	if _, err := opening.ParseToken(foreign.Root, file, now); !errors.Is(err, trust.ErrChain) {
		t.Errorf("under another root: %v", err)
	}
	if _, err := opening.ParseToken(w.Root, []byte(strings.Repeat(" ", opening.MaxToken+1)), now); !errors.Is(err, opening.ErrMalformed) {
		t.Errorf("too large: %v", err)
	}
}

func TestACaseNeedsItsBanksKeyset(t *testing.T) {
	w := newWorld(t)
	c := w.doubleSpend(t, w.admit(t, "Eva Example"))
	proof := w.warrant(t, warrant.Open, c.Subject())
	p := must(opening.ReadGroup(w.Root, w.groupJWS, now))(t)
	if _, err := opening.Partial(p, c, proof, w.Shares[0]); !errors.Is(err, coin.ErrBank) {
		t.Errorf("opened without a keyset: %v", err)
	}
}

func FuzzParseToken(f *testing.F) {
	w := newWorld(f)
	eva := w.admit(f, "Eva Example")
	f.Add(w.token(f, eva))
	f.Add(must(w.traceParts(f, eva, 1)[0].Marshal())(f))
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := opening.ParseTracePart(data); err == nil {
			if _, err := p.Marshal(); err != nil {
				t.Errorf("a part that was read can't be written: %v", err)
			}
		}
		if token, err := opening.InspectToken(w.Root, data, now); err == nil && token.Member != membership(eva) {
			t.Errorf("a token of somebody else's: %+v", token.Member)
		}
	})
}
