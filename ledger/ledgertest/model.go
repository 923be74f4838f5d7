package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/speciecash/specie/ledger"
)

// model is a ledger as simple as can be: what a store must be equal to.
type model struct {
	ops      map[ledger.ID]ledger.Op
	spent    map[ledger.ID]ledger.ID
	balances map[string]int64
}

func newModel() *model {
	return &model{map[ledger.ID]ledger.Op{}, map[ledger.ID]ledger.ID{}, map[string]int64{}}
}

func (m *model) clone() *model {
	return &model{maps.Clone(m.ops), maps.Clone(m.spent), maps.Clone(m.balances)}
}

// verdict is what became of one op, comparable.
type verdict struct {
	status    ledger.Status
	conflicts string
	err       string
}

func (m *model) apply(op ledger.Op) verdict {
	if _, ok := m.ops[op.ID]; ok {
		return verdict{status: ledger.Replayed}
	}
	if err := op.Validate(); err != nil {
		return failure(err)
	}
	var conflicts []ledger.Taken
	for _, s := range op.Spends {
		if by, ok := m.spent[s.ID]; ok {
			conflicts = append(conflicts, ledger.Taken{Epoch: s.Epoch, ID: s.ID, Op: by})
		}
	}
	if conflicts != nil {
		return verdict{status: ledger.Conflict, conflicts: fmt.Sprint(conflicts)}
	}
	for _, p := range op.Postings {
		if m.balances[p.Account]+p.Amount < 0 && slices.Contains(op.Floors, p.Account) {
			return verdict{status: ledger.Insufficient}
		}
	}
	for _, s := range op.Spends {
		m.spent[s.ID] = op.ID
	}
	for _, p := range op.Postings {
		m.balances[p.Account] += p.Amount
	}
	m.ops[op.ID] = op
	return verdict{status: ledger.Applied}
}

func failure(err error) verdict {
	for _, known := range []error{ledger.ErrMalformed, ledger.ErrUnbalanced} {
		if errors.Is(err, known) {
			return verdict{err: known.Error()}
		}
	}
	return verdict{err: err.Error()}
}

func judge(l ledger.Ledger, op ledger.Op) verdict {
	out, err := l.Apply(context.Background(), op)
	if err != nil {
		return failure(err)
	}
	v := verdict{status: out.Status}
	if out.Conflicts != nil {
		v.conflicts = fmt.Sprint(out.Conflicts)
	}
	return v
}

// serial finds an order of ops in which the model comes to the same verdicts,
// and makes the model what it is then.
func (m *model) serial(ops []ledger.Op, got []verdict) bool {
	if len(ops) == 0 {
		return true
	}
	for i := range ops {
		next := m.clone()
		if next.apply(ops[i]) != got[i] {
			continue
		}
		rest, verdicts := slices.Delete(slices.Clone(ops), i, i+1), slices.Delete(slices.Clone(got), i, i+1)
		if next.serial(rest, verdicts) {
			*m = *next
			return true
		}
	}
	return false
}

// drawOp draws an op that may be a good one, a replay, a conflict, an
// overdraft or nonsense. Few ids and coins make all of them common.
func drawOp(t *rapid.T) ledger.Op {
	n := rapid.IntRange(0, 30).Draw(t, "op")
	holder := fmt.Sprintf("holder/h%d", rapid.IntRange(0, 2).Draw(t, "holder"))
	amount := rapid.Int64Range(1, 20).Draw(t, "amount")
	var op ledger.Op
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		op = move(n, "reserve", holder, amount)
	case 1:
		op = withdraw(n, holder, "circulation/k1", amount)
	case 2:
		op = withdraw(n, "merchant/m1", holder, amount)
	default:
		coins := rapid.SliceOfNDistinct(rapid.IntRange(0, 20), 1, 3, rapid.ID[int]).Draw(t, "coins")
		op = deposit(n, "merchant/m1", coins...)
	}
	op.Request = rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "request")
	switch rapid.IntRange(0, 15).Draw(t, "fault") {
	case 0:
		op.Postings[0].Amount++
	case 1:
		op.Postings = op.Postings[:1]
	case 2:
		op.Kind = "No Kind"
	case 3:
		op.Floors = append(op.Floors, "holder/elsewhere")
	}
	return op
}

// testConservation runs random ops, alone and together, against the model,
// with the store closed and opened again in between.
func testConservation(t *testing.T, fresh FreshLedger) {
	rapid.Check(t, func(t2 *rapid.T) {
		open := fresh(t)
		l := open()
		defer func() { l.Close() }()
		check(t2, l.OpenEpoch(context.Background(), epoch))
		m := newModel()
		apply := func(t2 *rapid.T, most int) {
			ops := rapid.SliceOfN(rapid.Custom(drawOp), 1, most).Draw(t2, "ops")
			got := make([]verdict, len(ops))
			together(len(ops), func(i int) { got[i] = judge(l, ops[i]) })
			if !m.serial(ops, got) {
				t2.Fatalf("no order of these ops gives these verdicts:\n%+v\n%+v", ops, got)
			}
		}
		t2.Repeat(map[string]func(*rapid.T){
			"one":      func(t2 *rapid.T) { apply(t2, 1) },
			"together": func(t2 *rapid.T) { apply(t2, 5) },
			"answer": func(t2 *rapid.T) {
				n := rapid.IntRange(0, 30).Draw(t2, "op")
				_, known := m.ops[id("op", n)]
				err := l.SetAnswer(context.Background(), id("op", n), ledger.StateDone, []byte("yes"))
				if known {
					check(t2, err)
				} else {
					wantErr(t2, err, ledger.ErrNotFound)
				}
			},
			"open again": func(t2 *rapid.T) {
				check(t2, l.Close())
				l = open()
			},
			"": func(t2 *rapid.T) {
				totals, err := l.Totals(context.Background(), "")
				check(t2, err)
				got := map[string]int64{}
				for _, b := range totals {
					got[b.Account] = b.Amount
				}
				if !maps.Equal(got, m.balances) {
					t2.Fatalf("balances are %v, want %v", got, m.balances)
				}
			},
		})
		m.compare(t2, l)
	})
}

// compare wants all that the store has to be what the model has.
func (m *model) compare(t *rapid.T, l ledger.Ledger) {
	audit := verify(t, l)
	if int(audit.Ops) != len(m.ops) || int(audit.Spends) != len(m.spent) {
		t.Fatalf("%d ops and %d spends, want %d and %d", audit.Ops, audit.Spends, len(m.ops), len(m.spent))
	}
	for id, want := range m.ops {
		got, err := l.Op(context.Background(), id)
		check(t, err)
		want.Lane, got.State, got.Answer = got.Lane, want.State, want.Answer
		if got.Digest() != want.Digest() {
			t.Fatalf("op reads back as %+v, want %+v", got, want)
		}
	}
	coins := slices.Collect(maps.Keys(m.spent))
	spent, err := l.SpentBy(context.Background(), epoch, coins)
	check(t, err)
	if !maps.Equal(spent, m.spent) {
		t.Fatalf("spent ids are %v, want %v", spent, m.spent)
	}
}
