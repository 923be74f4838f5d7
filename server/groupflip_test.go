package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/speciecash/specie/client/groupclient"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
)

func challengeOf(c *groupclient.Challenge) *registration.Challenge {
	return &registration.Challenge{CredentialBlob: c.CredentialBlob, EncryptedSecret: c.EncryptedSecret}
}

// body is a request's JSON, member by member.
type body map[string]any

func bodyOf(t *testing.T, v any) body {
	t.Helper()
	text, err := json.Marshal(v)
	noError(t, err)
	var b body
	noError(t, json.Unmarshal(text, &b))
	return b
}

// flipped is the body with one bit of one member's bytes flipped.
func (b body) flipped(t *testing.T, member string, at int) body {
	t.Helper()
	text, inList := b[member].(string)
	if !inList {
		text = b[member].([]any)[0].(string)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	noError(t, err)
	if at < 0 {
		at += len(raw)
	}
	raw[at] ^= 1
	out := maps.Clone(b)
	if out[member] = base64.RawURLEncoding.EncodeToString(raw); !inList {
		out[member] = []any{out[member]}
	}
	return out
}

func post(t *testing.T, h http.Handler, path string, b any) answer {
	t.Helper()
	text, err := json.Marshal(b)
	noError(t, err)
	r := httptest.NewRequestWithContext(t.Context(), "POST", path, bytes.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.Bytes()}
}

// TestEveryFieldFlipped flips each field of each request to the group manager;
// the last of each table is the request unchanged, which passes.
func TestEveryFieldFlipped(t *testing.T) {
	o := newOffice(t)
	ada := registrationtest.NewComputer(t, o.lab, registrationtest.TPMA, "rsa2048")
	pub := o.handlers.Public
	type flip struct {
		name   string
		path   string
		body   any
		status int
		code   Code
	}
	run := func(what string, h http.Handler, flips []flip) {
		for _, f := range flips {
			t.Run(what+", "+f.name, func(t *testing.T) { refused(t, post(t, h, f.path, f.body), f.status, f.code) })
		}
	}

	begin := bodyOf(t, map[string]any{
		"ek_chain":  []string{base64.RawURLEncoding.EncodeToString(ada.EK.CertificateDER)},
		"ek_public": base64.RawURLEncoding.EncodeToString(ada.EK.Public),
	})
	const begins = "/v1/registrations"
	run("begin", pub, []flip{
		{"the certificate's signature", begins, begin.flipped(t, "ek_chain", -1), 422, CodeEKChain},
		{"the certificate's body", begins, begin.flipped(t, "ek_chain", len(ada.EK.CertificateDER)/2), 422, CodeEKChain},
		{"the key's attributes", begins, begin.flipped(t, "ek_public", 7), 422, CodeEKProfile},
		{"the key itself", begins, begin.flipped(t, "ek_public", -1), 422, CodeEKChain},
	})
	s, _ := o.begin(t, ada)

	join := bodyOf(t, joinBody(ada.JoinFor(t, o.World, s, ada.EKID(t, o.World), "Ada Lovelace")))
	joins := begins + "/" + s.ID.String() + "/join"
	flips := []flip{
		{"the registration's id", begins + "/" + enrol.ID{7}.String() + "/join", join, 404, CodeNotFound},
		{"the key's attributes", joins, join.flipped(t, "key_public", 7), 422, CodeTemplate},
		{"the key's point", joins, join.flipped(t, "key_public", -1), 422, CodeTemplate},
		{"the form's key", joins, join.flipped(t, "form", 0), 422, CodeMalformed},
		{"the form's text", joins, join.flipped(t, "form", 40), 422, CodeMalformed},
		{"the form's digest", joins, join.flipped(t, "form_digest", 0), 422, CodeJoinProof},
	}
	for part, at := range map[string]int{
		"Q's sign": 0, "Q": 20, "F's sign": 33, "F": 50, "Uh's sign": 66, "Uh": 80, "C1's sign": 99, "C1": 120, "C2's sign": 164, "C2": 200,
		"c": 229 + 31, "the TPM's nonce": 261 + 31, "s_f": 293 + 31, "s_u": 325 + 31, "s_k": group.JoinSize - 1,
	} {
		flips = append(flips, flip{part, joins, join.flipped(t, "join", at), 422, CodeJoinProof})
	}
	run("join", pub, flips)
	ch := decode[groupclient.Challenge](t, post(t, pub, joins, join), 200)
	mac := bodyOf(t, groupclient.ActivationRequest{Mac: registrationtest.MAC(t, ada.Answer(t, challengeOf(&ch)), s.ID)})
	activations := begins + "/" + s.ID.String() + "/activation"
	run("activation", pub, []flip{
		{"the registration's id", begins + "/" + enrol.ID{7}.String() + "/activation", mac, 404, CodeNotFound},
		{"the MAC's first byte", activations, mac.flipped(t, "mac", 0), 422, CodeActivation},
		{"the MAC's last byte", activations, mac.flipped(t, "mac", -1), 422, CodeActivation},
	})
	decode[groupclient.Activated](t, post(t, pub, activations, mac), 200)

	renewal := bodyOf(t, groupclient.RenewalRequest{Member: s.ID.String()})
	run("renewal", pub, []flip{{"the member", "/v1/renewals", renewal.flipped(t, "member", 0), 404, CodeNotFound}})
	decode[groupclient.Renewed](t, post(t, pub, "/v1/renewals", renewal), 200)

	for _, c := range []struct {
		path string
		h    http.Handler
		good body
	}{
		{begins, pub, begin}, {joins, pub, join}, {activations, pub, mac}, {"/v1/renewals", pub, renewal},
		{"/admin/v1/warrants", o.handlers.Admin, body{"warrant": []any{"a.b.c"}}},
		{"/admin/v1/openings", o.handlers.Admin, body{"opening": body{}}},
	} {
		for _, member := range slices.Sorted(maps.Keys(c.good)) {
			for what, change := range map[string]func(body){
				"missing":    func(b body) { delete(b, member) },
				"null":       func(b body) { b[member] = nil },
				"a number":   func(b body) { b[member] = 7 },
				"not base64": func(b body) { b[member] = "*" },
			} {
				if member == "opening" && (what == "a number" || what == "not base64") {
					continue // the opening's own reader refuses these
				}
				t.Run(fmt.Sprintf("%s: %s is %s", c.path, member, what), func(t *testing.T) {
					b := maps.Clone(c.good)
					change(b)
					refused(t, post(t, c.h, c.path, b), 400, CodeMalformed)
				})
			}
		}
	}
}

// TestEveryFieldOfAWarrantFlipped changes each in one supervisor's copy, under
// his own good signature, and then in both so that it makes no sense.
func TestEveryFieldOfAWarrantFlipped(t *testing.T) {
	o := newOffice(t)
	court := o.Court()
	now := o.Clock.Now().Truncate(time.Second)
	good := court.Draft(warrant.Open, warrant.Case([32]byte{1}), now)
	enter := func(jws [][]byte) answer { return post(t, o.handlers.Admin, "/admin/v1/warrants", texts(jws)) }
	payload, err := good.Marshal()
	noError(t, err)
	other := map[string]any{
		"group": "OTHERGROUP", "scope": "trace", "subject": string(warrant.Case([32]byte{2})), "reference": "another", "reason": "another",
		"issued_at": now.Add(-time.Hour).Format(time.RFC3339), "until": now.Add(time.Hour).Format(time.RFC3339),
		"salt": base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32)), "v": 2,
	}
	var fields body
	noError(t, json.Unmarshal(payload, &fields))
	for member := range fields {
		value, ok := other[member]
		if !ok {
			t.Fatalf("a warrant's %s is not tried", member)
		}
		changed := maps.Clone(fields)
		changed[member] = value
		text, err := json.Marshal(changed)
		noError(t, err)
		t.Run(member+" differs between two signatures", func(t *testing.T) {
			refused(t, enter(append(court.SignPayload(t, payload, 1), court.SignPayload(t, text, 2)...)), 403, CodeWarrant)
		})
		t.Run(member+" is empty in both", func(t *testing.T) {
			changed[member] = ""
			text, err := json.Marshal(changed)
			noError(t, err)
			refused(t, enter(court.SignPayload(t, text)), 403, CodeWarrant)
		})
	}
	jws := court.Sign(t, good)
	for i := range 3 {
		t.Run(fmt.Sprint("a flipped letter in part ", i+1, " of a signature"), func(t *testing.T) {
			parts := bytes.Split(bytes.Clone(jws[1]), []byte("."))
			parts[i][len(parts[i])/2] ^= 1
			refused(t, enter([][]byte{jws[0], bytes.Join(parts, []byte("."))}), 403, CodeWarrant)
		})
	}
	e := decode[groupclient.WarrantEntry](t, enter(jws), 200)
	if e.Seq != 1 {
		t.Fatalf("entered as number %d", e.Seq)
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/admin/v1/warrants/AAAA", nil)
	rec := httptest.NewRecorder()
	o.handlers.Admin.ServeHTTP(rec, r)
	refused(t, answer{rec.Code, rec.Header(), rec.Body.Bytes()}, 400, CodeMalformed)
}
