package desktest_test

import (
	"encoding/json"
	"testing"

	"github.com/speciecash/specie/browsertest"
	"github.com/speciecash/specie/gate"
)

func quote(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string only
	}
	return string(raw)
}

// door: who has no code sees nothing, and who guesses has to wait.
func (s *stage) door(t *testing.T) {
	p := s.browser.Open(t, s.desk.URL+"/", phone)
	p.Expect("status of 401")
	p.Expect("status of 403")
	p.Expect("status of 429")
	p.See("#sign-in-title", "Open the till")
	if f := p.Focus(); f != "input code" {
		t.Errorf("the focus is on %q", f)
	}
	p.Picture("till-sign-in-phone")
	p.Keys("0000-0000-0000" + browsertest.Enter)
	p.See("#code-error", "That is not the code.")
	for range gate.FreeTries - 1 {
		browsertest.Eval[int](p, "fetch('/desk/v1/session', {method: 'POST', body: '{\"code\":\"0\"}'}).then((r) => r.status)")
	}
	p.Fill("#code", s.gate.Code())
	p.Keys(browsertest.Enter)
	p.See("#code-error", "Too many wrong codes.")
	p.Gone("#top")
	s.guesses.Add(1)
	p.See("#code-error", "Try again now.")
	p.Press("Sign in")
	p.See("#shop-name", "Café Central")
	p.Reload()
	p.See("#keys", "7") // the session is still there
	p.Press("Sign out")
	p.See("#sign-in-title", "Open the till")
	p.Reload()
	p.See("#sign-in-title", "Open the till")
	p.Goto(s.desk.URL + "/#wrong")
	p.See("#code-error", "That is not the code.")
}

// keyboard: a sale needs no mouse, and each thing that is pressed has a name.
func (s *stage) keyboard(t *testing.T) {
	p := s.open(t, wide)
	p.Keys("7" + browsertest.Escape)
	p.See("#amount", "0.00")
	p.Keys("1234567890123" + browsertest.Backspace + browsertest.Backspace)
	p.See("#amount", "12 345 678.90")
	p.Keys(browsertest.Escape + "12.5")
	p.See("#amount", "12.50")
	p.Keys(browsertest.Escape + browsertest.Enter)
	p.See("#amount", "0.00")
	p.Keys("64" + browsertest.Enter)
	p.See("#countdown", "Valid for")
	p.Keys(browsertest.Escape)
	p.See("#said", "Cancelled")
	p.See("#amount", "0.00")
	var seen []string
	for range 40 {
		p.Keys(browsertest.Tab)
		seen = append(seen, p.Focus())
		if !browsertest.Eval[bool](p, "document.activeElement === document.body || document.activeElement.matches(':focus-visible') && getComputedStyle(document.activeElement).outlineStyle !== 'none'") {
			t.Errorf("the focus on %q is not seen", seen[len(seen)-1])
		}
	}
	for _, want := range []string{"a Sell", "a Takings", "button Sign out", "button 1", "button Double zero", "button Delete last digit", "input order", "input purpose"} {
		if !contains(seen, want) {
			t.Errorf("the Tab key does not come to %q: %q", want, seen)
		}
	}
	nameless := browsertest.Eval[[]string](p, `[...document.querySelectorAll('button, a[href], input')].filter((e) =>
		e.checkVisibility() && !(e.getAttribute('aria-label') || e.innerText?.trim() || e.labels?.length)).map((e) => e.outerHTML)`)
	if len(nameless) > 0 {
		t.Errorf("without a name: %q", nameless)
	}
	small := browsertest.Eval[[]string](p, `[...document.querySelectorAll('button, input')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 44).map((e) => e.outerHTML)`)
	if len(small) > 0 {
		t.Errorf("too small for a finger: %q", small)
	}
}

func contains(list []string, want string) bool {
	for _, x := range list {
		if x == want {
			return true
		}
	}
	return false
}

// amounts: the page's own arithmetic, for currencies with other decimals too.
func (s *stage) amounts(t *testing.T) {
	p := s.open(t, wide)
	got := browsertest.Eval[[]string](p, `import('/js/money.js').then(({format, parse, Entry}) => {
		const typed = (exponent, ...keys) => { const e = new Entry(exponent); keys.forEach((k) => e.key(k)); return String(e.amount); };
		return [
			format(0, 2), format(5, 2), format(1234567, 2), format(1234, 0), format(1, 3), format(9007199254740991, 2),
			...['1', '1.5', '1,05', ' 1 000.00', '', '.5', '1.234', '-1', '1e3', '١', '12345678901'].map((x) => String(parse(x, 2))),
			String(parse('5', 0)), String(parse('5.0', 0)),
			typed(2, '1', '2', '00'), typed(2, '1', '2', '.', '5'), typed(2, '0', '0', '7'), typed(2, '.', '0', '5'), typed(0, '5', '.', '5'),
			typed(2, '1', '.', '5', 'Backspace', 'Backspace', '2'), typed(2, ...'9999999999999999'), typed(2, 'x', 'Enter', '3'),
		]; })`)
	want := []string{
		"0.00", "0.05", "12\u202f345.67", "1\u202f234", "0.001", "90\u202f071\u202f992\u202f547\u202f409.91",
		"100", "150", "105", "100000", "NaN", "NaN", "NaN", "NaN", "NaN", "NaN", "NaN",
		"5", "NaN",
		"1200", "1250", "7", "5", "55",
		"12", "999999999999", "3",
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: %q, want %q", i, got[i], want[i])
		}
	}
}
