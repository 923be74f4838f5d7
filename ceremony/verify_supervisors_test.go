package ceremony_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
)

// party is a supervisor's own key, as it lies in his file.
func (p *panel) party(t *testing.T, id string) party {
	t.Helper()
	var j struct {
		Key paper.Base64 `json:"signing_key"`
	}
	if err := json.Unmarshal(p.on(t, id, "keys/"+officer.KeyFile), &j); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(p.on(t, id, "keys/"+officer.CertificateFile))
	return party{
		trust.Name{Role: trust.RoleSupervisor, ID: id},
		must(x509.ParsePKCS8PrivateKey(j.Key))(t).(*ecdsa.PrivateKey), p.archive.parse(t, block.Bytes),
	}
}

func TestLiesOfASupervisor(t *testing.T) {
	p := newPanel(t)
	p.finish(t)
	p.dir = p.auditor(t).Dir
	p.write(t, "officers.yaml", p.roster(t, 2, "ADAMS", "BAKER", "CLARK"))
	p.write(t, "root.pem", string(pemOf("CERTIFICATE", p.root.cert.Raw)))
	alice := p.party(t, "ALICE")
	received := func(from, kind string) told {
		path := "exchange/" + kind + "-" + from + ".jws"
		return told{transcript.EventReceived, transcript.Received{From: from, Path: path, SHA256: sum(p.file(t, filepath.Base(path)))}}
	}
	dealing, doc := p.file(t, "dealing-ALICE.jws"), p.file(t, "supervision-ALICE.jws")
	honest := func(t *testing.T) *story {
		p.write(t, "dealing-ALICE.jws", string(dealing)) // a lie may have been there
		s := p.tell(supervisorsText, alice, "root", "root.pem").output("dealing-ALICE.jws", dealing)
		s.rehearse = nil
		for _, kind := range []string{"card", "dealing"} {
			for _, id := range p.ids {
				s.middle = append(s.middle, received(id, kind))
			}
		}
		return s.output("supervision-ALICE.jws", doc)
	}
	elsewhere := newPanel(t)
	// The same supervisors once more, for other keys.
	again := [][]byte{}
	cards := [][]byte{p.file(t, "card-ALICE.jws"), p.file(t, "card-BORIS.jws"), p.file(t, "card-CAROL.jws")}
	for _, id := range p.ids {
		again = append(again, must(p.officers[id].Deal(p.pinned(t), "TESTGROUP", 2, cards, p.at))(t))
	}
	other := must(must(officer.Outcome(p.pinned(t), "TESTGROUP", again, p.at))(t).Marshal())(t)
	sign := func(payload []byte, by party) []byte {
		return must(trust.Sign(trust.TypSupervision, payload, by.key, by.chain()))(t)
	}
	p.expect(t, honest, []lie{
		{"closed by somebody whom the plan does not name", func(t *testing.T, s *story) { s.by = p.master }, trust.ErrRole},
		{"closed by another supervisor", func(t *testing.T, s *story) { s.by = p.party(t, "BORIS") }, ceremony.ErrInput},
		{"a card that was never taken in", func(_ *testing.T, s *story) { s.middle = s.middle[1:] }, ceremony.ErrInput},
		{"a dealing that was never taken in", func(_ *testing.T, s *story) { s.middle = s.middle[:5] }, ceremony.ErrInput},
		{"a file more than there should be", func(_ *testing.T, s *story) {
			s.middle = append(s.middle, told{transcript.EventReceived, transcript.Received{From: "DAVID", Path: "x"}})
		}, ceremony.ErrInput},
		{"another threshold than planned", func(t *testing.T, s *story) { s.plan = change(t, s.plan, "threshold: 2", "threshold: 3") }, officer.ErrDealing},
		{"another group than planned", func(t *testing.T, s *story) { s.plan = change(t, s.plan, "TESTGROUP", "OTHERGROUP") }, groupdoc.ErrSupervision},
		{"another dealing", func(_ *testing.T, s *story) { s.replace("dealing-ALICE.jws", again[0]) }, ceremony.ErrInput},
		{"keys that the dealings don't come to", func(_ *testing.T, s *story) { s.replace("supervision-ALICE.jws", sign(other, alice)) }, groupdoc.ErrSupervision},
		{"somebody else's document", func(t *testing.T, s *story) { s.replace("supervision-ALICE.jws", p.file(t, "supervision-BORIS.jws")) }, trust.ErrChain},
		{"no document", func(_ *testing.T, s *story) { s.replace("supervision-ALICE.jws", []byte("x")) }, trust.ErrMalformed},
		{"an output more than planned", func(_ *testing.T, s *story) { s.output("spare.jws", []byte("x")) }, ceremony.ErrInput},
		{"too few officers", func(_ *testing.T, s *story) { s.approve = s.approve[:1] }, approval.ErrQuorum},
	})
	// What the others left.
	data := honest(t).write(t)
	boris := p.file(t, "supervision-BORIS.jws")
	p.write(t, "supervision-BORIS.jws", string(sign(other, p.party(t, "BORIS"))))
	if _, err := p.verifier(t).Verify(data); !errors.Is(err, groupdoc.ErrSupervision) {
		t.Errorf("BORIS signed other keys: %v", err)
	}
	if err := os.Remove(p.path("supervision-BORIS.jws")); err != nil {
		t.Fatal(err)
	}
	if r := must(p.verifier(t).Verify(data))(t); unchecked(r) != 1 {
		t.Errorf("BORIS's document is missing: %+v", r.Claims)
	}
	// Alone, she can't have signed what the dealings don't come to.
	lying := honest(t)
	lying.replace("supervision-ALICE.jws", sign(other, alice))
	if _, err := p.verifier(t).Verify(lying.write(t)); !errors.Is(err, groupdoc.ErrSupervision) {
		t.Errorf("ALICE signed other keys: %v", err)
	}
	p.write(t, "supervision-ALICE.jws", string(doc))
	p.write(t, "supervision-BORIS.jws", string(boris))
	p.write(t, "dealing-BORIS.jws", string(again[1]))
	if _, err := p.verifier(t).Verify(data); !errors.Is(err, ceremony.ErrInput) {
		t.Errorf("BORIS's dealing was exchanged: %v", err)
	}
	v := p.verifier(t)
	v.Root = elsewhere.pinned(t)
	if _, err := v.Verify(data); !errors.Is(err, trust.ErrChain) {
		t.Errorf("another root: %v", err)
	}
}
