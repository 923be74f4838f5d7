package issuer

import (
	"errors"
	"flag"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
	"pgregory.net/rapid"
)

// watched is a keyWatch beside the truth: operations that begin, reach the
// ledger and end in any order, with reads of the ledger across them. One key is
// enough, since keys have nothing to do with each other.
type watched struct {
	w              keyWatch
	kid            coin.KeyID
	issued, spent  int64
	begun, reached []*watchedOp
	reading        bool
	answer         *KeyBalance // the ledger's, on its way back
	cried          bool        // somebody was told to ask, or the alarm went off
}

type watchedOp struct {
	f       *flow
	applied bool
	lost    bool // its caller does not learn the outcome
}

func (m *watched) truth() int64 { return m.issued - m.spent }

func (m *watched) begin(r *rapid.T) {
	f := &flow{issued: map[coin.KeyID]int64{}, redeemed: map[coin.KeyID]int64{}}
	if v := rapid.Int64Range(0, 3).Draw(r, "issue"); v > 0 {
		f.issued[m.kid] = v
	}
	if v := rapid.Int64Range(0, 3).Draw(r, "redeem"); v > 0 {
		f.redeemed[m.kid] = v
	}
	m.w.begin(f)
	m.begun = append(m.begun, &watchedOp{f: f})
}

func (m *watched) reach(r *rapid.T) {
	if len(m.begun) == 0 {
		r.Skip("nothing is on its way")
	}
	i := rapid.IntRange(0, len(m.begun)-1).Draw(r, "which")
	op := m.begun[i]
	m.begun = append(m.begun[:i:i], m.begun[i+1:]...)
	if op.applied = rapid.Bool().Draw(r, "applied"); op.applied {
		m.issued += op.f.issued[m.kid]
		m.spent += op.f.redeemed[m.kid]
	}
	op.lost = rapid.IntRange(0, 9).Draw(r, "lost") == 0
	m.reached = append(m.reached, op)
}

func (m *watched) end(r *rapid.T) {
	if len(m.reached) == 0 {
		r.Skip("nothing has reached the ledger")
	}
	i := rapid.IntRange(0, len(m.reached)-1).Draw(r, "which")
	op := m.reached[i]
	m.reached = append(m.reached[:i:i], m.reached[i+1:]...)
	out, err := ledger.Outcome{Status: ledger.Conflict}, error(nil)
	switch {
	case op.lost:
		err = errors.New("connection lost")
	case op.applied:
		out.Status = ledger.Applied
	}
	if ask := m.w.end(op.f, out, err); ask {
		m.cried = true
	}
}

func (m *watched) startRead(r *rapid.T) {
	if m.reading {
		r.Skip("one read at a time")
	}
	m.reading = true
	m.w.startRead()
}

func (m *watched) askLedger(r *rapid.T) {
	if !m.reading || m.answer != nil {
		r.Skip("no read is under way")
	}
	m.answer = &KeyBalance{KeyID: m.kid, Issued: m.issued, Redeemed: m.spent, Balance: m.truth()}
}

func (m *watched) endRead(r *rapid.T) {
	if m.answer == nil {
		r.Skip("no answer")
	}
	answer, err := []KeyBalance{*m.answer}, error(nil)
	if rapid.IntRange(0, 9).Draw(r, "failed") == 0 {
		answer, err = nil, errors.New("ledger gone")
	}
	leaked := m.w.endRead(answer, err)
	if len(leaked) != 0 {
		m.cried = true
		if !m.answer.Leaked() {
			r.Fatal("an alarm that the ledger does not confirm")
		}
	}
	m.reading, m.answer = false, nil
}

// check: the bound is never above the truth, not counting what was applied and
// whose end is still to come; so the operation that crosses is told to ask.
func (m *watched) check(r *rapid.T) {
	m.w.mu.Lock()
	least := m.w.least[m.kid]
	m.w.mu.Unlock()
	if least > m.truth() {
		r.Fatalf("at least %d in circulation, they say; it is %d", least, m.truth())
	}
}

func TestTheWatchIsNeverTooConfident(t *testing.T) {
	// Steps cost nothing here, and it takes many for a rare order of them.
	for name, value := range map[string]string{"rapid.checks": "1000", "rapid.steps": "150"} {
		old := flag.Lookup(name).Value.String()
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := flag.Set(name, old); err != nil {
				t.Error(err)
			}
		})
	}
	rapid.Check(t, func(r *rapid.T) {
		m := &watched{kid: coin.KeyID{1}, issued: rapid.Int64Range(0, 20).Draw(r, "issued before")}
		m.w.least = map[coin.KeyID]int64{m.kid: m.issued}
		m.w.pending, m.w.alarmed = map[coin.KeyID]int64{}, map[coin.KeyID]bool{}
		r.Repeat(map[string]func(*rapid.T){
			"begin": m.begin, "begin another": m.begin, "reach": m.reach, "reach another": m.reach, "end": m.end, "end another": m.end,
			"start read": m.startRead, "ask": m.askLedger, "end read": m.endRead, "": m.check,
		})
		for len(m.reached) > 0 {
			m.end(r)
		}
		m.check(r)
		if m.truth() < 0 && len(m.begun) == 0 && !m.cried && m.w.least[m.kid] >= 0 {
			r.Fatalf("%d in circulation and nobody was told", m.truth())
		}
	})
}

// An issue that is in the ledger's answer must not count again when it ends,
// whether it began before the read or during it.
func TestAnIssueThatAReadMeetsCountsOnce(t *testing.T) {
	kid := coin.KeyID{1}
	for name, during := range map[string]bool{"begun before the read": false, "begun during the read": true} {
		for when, after := range map[string]bool{"ended during it": false, "ended after it": true} {
			t.Run(name+", "+when, func(t *testing.T) {
				w := &keyWatch{least: map[coin.KeyID]int64{}, pending: map[coin.KeyID]int64{}, alarmed: map[coin.KeyID]bool{}}
				f := &flow{issued: map[coin.KeyID]int64{kid: 3}}
				answer := []KeyBalance{{KeyID: kid, Issued: 3, Balance: 3}}
				if !during {
					w.begin(f)
				}
				w.startRead()
				if during {
					w.begin(f)
				}
				if !after {
					w.end(f, ledger.Outcome{Status: ledger.Applied}, nil)
				}
				w.endRead(answer, nil)
				if after {
					w.end(f, ledger.Outcome{Status: ledger.Applied}, nil)
				}
				if w.least[kid] != 3 {
					t.Errorf("at least %d in circulation, they say; it is 3", w.least[kid])
				}
			})
		}
	}
}
