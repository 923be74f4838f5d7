package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/speciecash/specie/ledger"
)

// model is a ledger as simple as can be: what a store must be equal to.
type model struct {
	ops      map[ledger.ID]ledger.Op
	spent    map[ledger.ID]ledger.ID
	balances map[string]int64
	counts   map[string]int64
	holds    map[ledger.ID]ledger.Hold
	tries    map[[2]ledger.ID]struct{}
}

func newModel() *model {
	return &model{map[ledger.ID]ledger.Op{}, map[ledger.ID]ledger.ID{}, map[string]int64{}, map[string]int64{},
		map[ledger.ID]ledger.Hold{}, map[[2]ledger.ID]struct{}{}}
}

func (m *model) clone() *model {
	return &model{maps.Clone(m.ops), maps.Clone(m.spent), maps.Clone(m.balances), maps.Clone(m.counts),
		maps.Clone(m.holds), maps.Clone(m.tries)}
}

// verdict is what became of one action, comparable.
type verdict struct {
	status ledger.Status
	why    string // conflicts, hold, quotas or limits
	err    string
}

// taken lists the coins that are spent.
func (m *model) taken(coins []ledger.Spend) (out []ledger.Taken) {
	for _, s := range coins {
		if by, ok := m.spent[s.ID]; ok {
			out = append(out, ledger.Taken{Epoch: s.Epoch, ID: s.ID, Op: by})
		}
	}
	return out
}

// keeps returns until when a hold keeps one of the coins from op, and zero if
// none does. Two may end at the same time: which is told is the store's choice.
func (m *model) keeps(op ledger.Op) (until time.Time) {
	for id, h := range m.holds {
		stands := id == op.ID && (op.Unheld || op.MaxStrikes > 0 && h.Strikes >= op.MaxStrikes)
		for _, c := range h.Coins {
			stands = stands || id != op.ID && slices.ContainsFunc(op.Spends, func(s ledger.Spend) bool { return s.ID == c.ID })
		}
		if stands && !h.Released && op.At.Before(h.Until) && h.Until.After(until) {
			until = h.Until
		}
	}
	return until
}

func (m *model) apply(op ledger.Op) verdict {
	if _, ok := m.ops[op.ID]; ok {
		return verdict{status: ledger.Replayed}
	}
	if err := op.Validate(); err != nil {
		return failure(err)
	}
	if conflicts := m.taken(op.Spends); conflicts != nil {
		return verdict{status: ledger.Conflict, why: fmt.Sprint(conflicts)}
	}
	if until := m.keeps(op); !until.IsZero() {
		return verdict{status: ledger.Held, why: fmt.Sprint(until)}
	}
	var over []string
	for _, q := range op.Quotas {
		if m.counts[q.Name]+q.Amount > q.Max {
			over = append(over, q.Name)
		}
	}
	if over != nil {
		return verdict{status: ledger.Exceeded, why: fmt.Sprint(over)}
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
	for _, q := range op.Quotas {
		m.counts[q.Name] += q.Amount
	}
	if h, ok := m.holds[op.ID]; ok && h.Open(op.At) {
		h.Released = true
		m.holds[op.ID] = h
	}
	m.ops[op.ID] = op
	return verdict{status: ledger.Applied}
}

func (m *model) place(h ledger.Hold, limits ledger.HoldLimits) verdict {
	if _, ok := m.holds[h.ID]; ok {
		return verdict{status: ledger.Replayed}
	}
	if conflicts := m.taken(h.Coins); conflicts != nil {
		return verdict{status: ledger.Conflict, why: fmt.Sprint(conflicts)}
	}
	if until := m.keeps(ledger.Op{ID: h.ID, At: h.At, Spends: h.Coins}); !until.IsZero() {
		return verdict{status: ledger.Held, why: fmt.Sprint(until)}
	}
	open := 0
	for _, other := range m.holds {
		if other.Account == h.Account && other.Open(h.At) {
			open++
		}
	}
	if limits.Open > 0 && open >= limits.Open {
		return verdict{status: ledger.Exceeded, why: fmt.Sprint([]string{"open"})}
	}
	m.holds[h.ID] = h
	return verdict{status: ledger.Applied}
}

func (m *model) strike(id, try ledger.ID) verdict {
	h, ok := m.holds[id]
	if !ok {
		return failure(ledger.ErrNotFound)
	}
	if _, again := m.tries[[2]ledger.ID{id, try}]; !again {
		m.tries[[2]ledger.ID{id, try}] = struct{}{}
		h.Strikes++
		m.holds[id] = h
	}
	return verdict{why: fmt.Sprint(h.Strikes)}
}

func (m *model) release(id ledger.ID) verdict {
	h, ok := m.holds[id]
	if !ok {
		return failure(ledger.ErrNotFound)
	}
	h.Released = true
	m.holds[id] = h
	return verdict{}
}

// action is one call: of Apply, PlaceHold, Strike or ReleaseHold.
type action struct {
	op     *ledger.Op
	hold   *ledger.Hold
	limits ledger.HoldLimits
	strike ledger.ID // zero: release
	id     ledger.ID // of the hold struck or released
}

func (m *model) act(a action) verdict {
	switch {
	case a.op != nil:
		return m.apply(*a.op)
	case a.hold != nil:
		return m.place(*a.hold, a.limits)
	case a.strike != ledger.ID{}:
		return m.strike(a.id, a.strike)
	}
	return m.release(a.id)
}

func failure(err error) verdict {
	for _, known := range []error{ledger.ErrMalformed, ledger.ErrUnbalanced, ledger.ErrNotFound} {
		if errors.Is(err, known) {
			return verdict{err: known.Error()}
		}
	}
	return verdict{err: err.Error()}
}

func judge(l ledger.Ledger, a action) verdict {
	ctx := context.Background()
	var out ledger.Outcome
	var err error
	switch {
	case a.op != nil:
		out, err = l.Apply(ctx, *a.op)
	case a.hold != nil:
		out, err = l.PlaceHold(ctx, *a.hold, a.limits)
	case a.strike != ledger.ID{}:
		var h *ledger.Hold
		if h, err = l.Strike(ctx, a.id, a.strike); err == nil {
			return verdict{why: fmt.Sprint(h.Strikes)}
		}
	default:
		err = l.ReleaseHold(ctx, a.id)
	}
	if err != nil {
		return failure(err)
	}
	v := verdict{status: out.Status}
	switch {
	case out.Conflicts != nil:
		v.why = fmt.Sprint(out.Conflicts)
	case out.Status == ledger.Held:
		v.why = fmt.Sprint(out.Hold.Until)
	case out.Over != nil:
		v.why = fmt.Sprint(out.Over)
	}
	return v
}

// serial finds an order of actions in which the model comes to the same
// verdicts, and makes the model what it is then.
func (m *model) serial(actions []action, got []verdict) bool {
	if len(actions) == 0 {
		return true
	}
	for i := range actions {
		next := m.clone()
		if next.act(actions[i]) != got[i] {
			continue
		}
		rest, verdicts := slices.Delete(slices.Clone(actions), i, i+1), slices.Delete(slices.Clone(got), i, i+1)
		if next.serial(rest, verdicts) {
			*m = *next
			return true
		}
	}
	return false
}

// drawAction draws an op most of the time, and else something about a hold.
func drawAction(t *rapid.T) action {
	n := rapid.IntRange(0, 30).Draw(t, "op")
	kind := rapid.IntRange(0, 9).Draw(t, "action")
	switch {
	case kind < 6:
		op := drawOp(t, n)
		return action{op: &op}
	case kind < 8:
		h := hold(n, rapid.IntRange(0, 200).Draw(t, "second"), coinsOf(n)...)
		h.Account = fmt.Sprintf("merchant/m%d", rapid.IntRange(1, 2).Draw(t, "merchant"))
		return action{hold: &h, limits: ledger.HoldLimits{Open: rapid.IntRange(0, 3).Draw(t, "most")}}
	case kind == 8:
		return action{id: id("op", n), strike: id("try", rapid.IntRange(0, 3).Draw(t, "try"))}
	}
	return action{id: id("op", n)}
}

// coinsOf are the coins of op n and of a hold for it: an id is of a content.
// Every coin is wanted by several.
func coinsOf(n int) []int {
	coins := []int{n % 21, (5*n + 7) % 21, (11*n + 3) % 21}
	slices.Sort(coins)
	return slices.Compact(coins)
}

// drawOp draws an op that may be a good one, a replay, a conflict, an
// overdraft, one against a hold or past a quota, or nonsense. Few ids and coins
// make all of them common.
func drawOp(t *rapid.T, n int) ledger.Op {
	holder := fmt.Sprintf("holder/h%d", rapid.IntRange(0, 2).Draw(t, "holder"))
	amount := rapid.Int64Range(1, 20).Draw(t, "amount")
	var op ledger.Op
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		op = move(100+n, "reserve", holder, amount)
	case 1:
		op = withdraw(100+n, holder, "circulation/k1", amount)
	case 2:
		op = withdraw(100+n, "merchant/m1", holder, amount)
	default:
		op = deposit(n, "merchant/m1", coinsOf(n)...)
		op.MaxStrikes = rapid.IntRange(0, 2).Draw(t, "strikes")
		op.Unheld = rapid.IntRange(0, 9).Draw(t, "unheld") == 0
	}
	op.At = moment(rapid.IntRange(0, 200).Draw(t, "second"))
	for _, name := range []string{"day/a", "day/b"} {
		if rapid.Bool().Draw(t, name) {
			op.Quotas = append(op.Quotas, ledger.Quota{Name: name,
				Amount: rapid.Int64Range(0, 9).Draw(t, "count"), Max: rapid.Int64Range(0, 40).Draw(t, "max")})
		}
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

// testConservation runs random actions, alone and together, against the model,
// with the store closed and opened again in between.
func testConservation(t *testing.T, fresh FreshLedger) {
	rapid.Check(t, func(t2 *rapid.T) {
		open := fresh(t)
		l := open()
		defer func() { l.Close() }()
		check(t2, l.OpenEpoch(context.Background(), epoch))
		m := newModel()
		apply := func(t2 *rapid.T, most int) {
			actions := rapid.SliceOfN(rapid.Custom(drawAction), 1, most).Draw(t2, "actions")
			got := make([]verdict, len(actions))
			together(len(actions), func(i int) { got[i] = judge(l, actions[i]) })
			if !m.serial(actions, got) {
				t2.Fatalf("no order of these actions gives these verdicts:\n%+v\n%+v", actions, got)
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
		want.Quotas = slices.DeleteFunc(slices.Clone(want.Quotas), func(q ledger.Quota) bool { return q.Amount == 0 })
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
	for name, want := range m.counts {
		wantCount(t, l, name, want)
	}
	for _, want := range m.holds {
		wantHold(t, l, want)
	}
}
