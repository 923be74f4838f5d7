package officer

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

func TestOfficersGenerateOneKeyTogether(t *testing.T) {
	p := newPanel(t, "CAROL", "ALICE", "BORIS")
	info := must(InspectDealing(p.root, p.dealings[0], at))(t)
	if info.Dealer != "CAROL" || info.Threshold != 2 || len(info.Officers) != 3 || info.Officers[0].ID != "ALICE" {
		t.Errorf("dealing shows %+v", info)
	}
	var payload []byte
	var signatures [][]byte
	for i, o := range p.officers {
		s := must(o.Combine(p.root, "TESTGROUP", p.dealings, at))(t)
		mine := must(s.Marshal())(t)
		if i > 0 && !bytes.Equal(mine, payload) {
			t.Fatal("two officers come to different keys")
		}
		payload = mine
		if !bytes.Equal(mine, must(must(Outcome(p.root, "TESTGROUP", p.dealings, at))(t).Marshal())(t)) {
			t.Fatal("an onlooker comes to other keys")
		}
		signatures = append(signatures, must(o.Sign(p.root, payload, at))(t))
	}
	s := must(groupdoc.ParseSupervision(p.root, signatures, at))(t)
	if s.Key.N != 3 || s.Key.K != 2 || s.IndexOf("ALICE") != 1 || s.IndexOf("CAROL") != 3 {
		t.Errorf("%d of %d, indices %v", s.Key.K, s.Key.N, s.Supervisors)
	}
	for _, o := range p.officers {
		again := must(Open(o.dir, nil))(t)
		if err := s.Key.CheckShare(must(again.Share("TESTGROUP"))(t)); err != nil {
			t.Errorf("share of %s as kept: %v", o.ID, err)
		}
	}
}

func TestDealRefusesAPlanThatIsNotTheOfficers(t *testing.T) {
	p := newPanel(t, "ALICE", "BORIS", "CAROL")
	alice := p.officers[0]
	stranger := must(Create(t.TempDir(), "ALICE", nil))(t)
	strangerCert := p.certify(t, trust.Name{Role: trust.RoleSupervisor, ID: "ALICE"}, stranger.signer.Public())
	swapped := must(stranger.Accept(p.root, strangerCert, at))(t)
	_, foreign := newCountry(t).officer(t, "DIANE")
	tests := []struct {
		name      string
		group     string
		threshold int
		cards     [][]byte
		want      error
	}{
		{"one officer alone could open", "TESTGROUP", 1, p.cards, ErrDealing},
		{"more than there are must come together", "TESTGROUP", 4, p.cards, ErrDealing},
		{"bad group id", "test group", 2, p.cards, trust.ErrMalformed},
		{"he is not among them", "TESTGROUP", 2, p.cards[1:], ErrForeign},
		{"a card stands twice", "TESTGROUP", 2, append(p.cards[:2:2], p.cards[1]), ErrDealing},
		{"his own card has another recipient", "TESTGROUP", 2, [][]byte{swapped, p.cards[1]}, ErrForeign},
		{"a card under another root", "TESTGROUP", 2, append(p.cards[:2:2], foreign), trust.ErrChain},
		{"a dealing in place of a card", "TESTGROUP", 2, append(p.cards[:2:2], p.dealings[2]), trust.ErrType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := alice.Deal(p.root, tt.group, tt.threshold, tt.cards, at); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// forge lets a dealer change his own dealing and sign it again.
func (p *panel) forge(t *testing.T, dealer int, change func(j *dealingJSON)) []byte {
	t.Helper()
	o := p.officers[dealer]
	doc := must(p.root.Verify(p.dealings[dealer], TypDealing, trust.RoleSupervisor, at))(t)
	var j dealingJSON
	if err := strictjson.Unmarshal(doc.Payload, maxDealing, &j); err != nil {
		t.Fatal(err)
	}
	change(&j)
	return must(signDealing(j, o, must(o.chain(p.root, at))(t)))(t)
}

func TestCombineRefusesDealingsThatDoNotFit(t *testing.T) {
	p := newPanel(t, "ALICE", "BORIS", "CAROL")
	d := p.dealings
	alice := p.officers[0]
	another := newPanel(t, "ALICE", "BORIS", "CAROL")
	flipped := bytes.Clone(d[2])
	// Another character of the alphabet: a flipped bit may leave base64url.
	if at := len(flipped) / 2; flipped[at] != 'A' {
		flipped[at] = 'A'
	} else {
		flipped[at] = 'B'
	}
	toAlice := func(from int) paper.Base64 {
		return must(parseDealing(p.root, d[from], at))(t).doc.Shares[0]
	}
	tests := []struct {
		name     string
		group    string
		dealings [][]byte
		want     error
	}{
		{"none", "TESTGROUP", nil, ErrDealing},
		{"one is missing", "TESTGROUP", d[:2], ErrDealing},
		{"one stands twice", "TESTGROUP", [][]byte{d[0], d[1], d[1]}, ErrDealing},
		{"two of one dealer", "TESTGROUP", [][]byte{d[0], d[1], d[2], p.deal(t, p.officers[1], "TESTGROUP", 2)}, ErrDealing},
		{"another group", "OTHERGROUP", d, ErrDealing},
		{"another threshold", "TESTGROUP", [][]byte{d[0], d[1], p.deal(t, p.officers[2], "TESTGROUP", 3)}, ErrDealing},
		{"another root", "TESTGROUP", another.dealings, trust.ErrChain},
		{"a byte flipped on the way", "TESTGROUP", [][]byte{d[0], d[1], flipped}, nil},
		{"a share of the dealer's choice", "TESTGROUP", [][]byte{d[0], d[1], p.forge(t, 2, func(j *dealingJSON) {
			_, shares, err := group.Deal("TESTGROUP", 3, 3, 2)
			if err != nil {
				t.Fatal(err)
			}
			j.Shares[0] = must(sealShare(shareJSON{Version: 1, Group: "TESTGROUP", From: "CAROL", To: "ALICE", Share: shares[0].Bytes()}, j.Officers[0].Recipient))(t)
		})}, group.ErrShare},
		{"another dealer's share copied", "TESTGROUP", [][]byte{d[0], d[1], p.forge(t, 2, func(j *dealingJSON) { j.Shares[0] = toAlice(1) })}, ErrForeign},
		{"a share encrypted to somebody else", "TESTGROUP", [][]byte{d[0], d[1], p.forge(t, 2, func(j *dealingJSON) { j.Shares[0] = j.Shares[1] })}, ErrForeign},
		{"a share that is no age file", "TESTGROUP", [][]byte{d[0], d[1], p.forge(t, 2, func(j *dealingJSON) { j.Shares[0] = paper.Base64("x") })}, ErrForeign},
		{"commitments exchanged", "TESTGROUP", [][]byte{d[0], d[1], p.forge(t, 2, func(j *dealingJSON) {
			j.Opening[0], j.Opening[1] = j.Opening[1], j.Opening[0]
		})}, group.ErrProof},
		{"a constant term without proof", "TESTGROUP", [][]byte{d[0], d[1], p.forge(t, 2, func(j *dealingJSON) { j.ProofO2[40] ^= 1 })}, group.ErrProof},
		{"a dealing in another's name", "TESTGROUP", [][]byte{d[0], d[1], p.forge(t, 2, func(j *dealingJSON) { j.Dealer = "BORIS" })}, group.ErrProof},
		{"another list of officers", "TESTGROUP", [][]byte{d[0], d[1], p.forge(t, 2, func(j *dealingJSON) { j.Officers[0].ID = "ALICIA" })}, ErrDealing},
		{"a recipient put in another's place", "TESTGROUP", [][]byte{d[0], d[1], p.forge(t, 2, func(j *dealingJSON) {
			j.Officers[0].Recipient = j.Officers[2].Recipient
		})}, ErrDealing},
		{"a share too few", "TESTGROUP", [][]byte{d[0], d[1], p.forge(t, 2, func(j *dealingJSON) { j.Shares = j.Shares[:2] })}, ErrMalformed},
		{"a point off the curve", "TESTGROUP", [][]byte{d[0], d[1], p.forge(t, 2, func(j *dealingJSON) { j.Tracing[1][20] ^= 1 })}, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := alice.Combine(p.root, tt.group, tt.dealings, at)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			// An onlooker sees all of it but what is wrong with a share.
			sealed := errors.Is(tt.want, group.ErrShare) || errors.Is(tt.want, ErrForeign)
			if _, err := Outcome(p.root, tt.group, tt.dealings, at); (err == nil) != sealed {
				t.Errorf("the outcome: %v", err)
			}
			if _, err := alice.Share(tt.group); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a share was kept: %v", err)
			}
		})
	}
}

func TestAnOfficerSignsOnlyWhatHisShareFits(t *testing.T) {
	p := newPanel(t, "ALICE", "BORIS")
	alice := p.officers[0]
	if _, err := alice.Sign(p.root, []byte("{}"), at); !errors.Is(err, groupdoc.ErrMalformed) {
		t.Errorf("no payload: %v", err)
	}
	s := must(alice.Combine(p.root, "TESTGROUP", p.dealings, at))(t)
	must(alice.Sign(p.root, must(s.Marshal())(t), at))(t)

	again := [][]byte{p.deal(t, alice, "TESTGROUP", 2), p.deal(t, p.officers[1], "TESTGROUP", 2)}
	other := must(p.officers[1].Combine(p.root, "TESTGROUP", again, at))(t)
	if _, err := alice.Sign(p.root, must(other.Marshal())(t), at); !errors.Is(err, ErrForeign) {
		t.Errorf("the outcome of another ceremony: %v", err)
	}
	renamed := *s
	renamed.Supervisors = []groupdoc.Supervisor{{Index: 1, ID: "BORIS"}, {Index: 2, ID: "ALICE"}}
	if _, err := alice.Sign(p.root, must(renamed.Marshal())(t), at); !errors.Is(err, ErrForeign) {
		t.Errorf("indices exchanged: %v", err)
	}
}

func TestAShareIsNeverReplaced(t *testing.T) {
	p := newPanel(t, "ALICE", "BORIS")
	must(p.officers[0].Combine(p.root, "TESTGROUP", p.dealings, at))(t)
	if _, err := p.officers[0].Combine(p.root, "TESTGROUP", p.dealings, at); !errors.Is(err, paper.ErrExists) {
		t.Errorf("got %v", err)
	}
}

func TestAShareOfAnotherOfficerIsRefused(t *testing.T) {
	p := newPanel(t, "ALICE", "BORIS")
	for _, o := range p.officers {
		must(o.Combine(p.root, "TESTGROUP", p.dealings, at))(t)
	}
	alice, boris := p.officers[0], p.officers[1]
	path := filepath.Join(alice.dir, ShareFile("TESTGROUP"))
	remove(t, path)
	stolen := must(paper.ReadSecret(filepath.Join(boris.dir, ShareFile("TESTGROUP")), maxShareFile))(t)
	if err := paper.Write(path, stolen, paper.Secret); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Share("TESTGROUP"); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v", err)
	}
}

func TestACardIsSignedByWhomItIsAbout(t *testing.T) {
	c := newCountry(t)
	mallory, _ := c.officer(t, "MALLORY")
	chain := must(mallory.chain(c.root, at))(t)
	sign := func(j cardJSON) []byte {
		return must(trust.Sign(TypCard, must(json.Marshal(j))(t), mallory.signer, []*x509.Certificate{chain[0]}))(t)
	}
	recipient := mallory.identity.Recipient().String()
	tests := []struct {
		name string
		card cardJSON
		want error
	}{
		{"in another's name", cardJSON{Version: 1, Card: Card{ID: "ALICE", Recipient: recipient}}, ErrForeign},
		{"no recipient", cardJSON{Version: 1, Card: Card{ID: "MALLORY", Recipient: "age1"}}, ErrMalformed},
		{"another version", cardJSON{Version: 2, Card: Card{ID: "MALLORY", Recipient: recipient}}, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseCard(c.root, sign(tt.card), at); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func FuzzReadDealing(f *testing.F) {
	p := newPanel(f, "ALICE", "BORIS")
	doc := must(p.root.Verify(p.dealings[0], TypDealing, trust.RoleSupervisor, at))(f)
	f.Add(doc.Payload)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := readDealing(payload)
		if err == nil && len(d.doc.Shares) != len(d.doc.Officers) {
			t.Error("accepted a dealing without a share for everybody")
		}
	})
}

func TestAnOfficerClosesHisTranscript(t *testing.T) {
	c := newCountry(t)
	alice, card := c.officer(t, "ALICE")
	if got := must(alice.Card())(t); !bytes.Equal(got, card) {
		t.Error("the card that is kept is another")
	}
	nobody := must(Create(t.TempDir(), "BORIS", nil))(t)
	if _, err := nobody.Card(); !errors.Is(err, ErrNotCertified) {
		t.Errorf("a card before the certificate: %v", err)
	}
	begin := func() *transcript.Writer {
		w := must(transcript.Create(filepath.Join(t.TempDir(), "t"), func() time.Time { return at }))(t)
		if err := w.Append(transcript.EventOpened, transcript.Opened{Ceremony: "supervisors"}); err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := begin()
	if err := nobody.Close(c.root, w, at); !errors.Is(err, ErrNotCertified) {
		t.Errorf("closed without a certificate: %v", err)
	}
	if err := alice.Close(c.root, w, at); err != nil {
		t.Fatal(err)
	}
	name := must(must(transcript.ReadFile(w.Path()))(t).VerifyClose(c.root))(t)
	if name != (trust.Name{Role: trust.RoleSupervisor, ID: "ALICE"}) {
		t.Errorf("closed by %s", name)
	}
}
