package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Keys that have no letter, for [Page.Keys].
const (
	Enter     = kb.Enter
	Escape    = kb.Escape
	Tab       = kb.Tab
	Backspace = kb.Backspace
)

// Page is one open page.
type Page struct {
	t     testing.TB
	ctx   context.Context
	view  View
	watch *watch
}

// Open opens an address in a window of its own, with cookies and storage of its
// own. Requests to any other origin are faults.
func (b *Browser) Open(t testing.TB, url string, v View) *Page {
	t.Helper()
	w := newWatch(url)
	ctx, _ := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(w.event))
	p := &Page{t: t, ctx: ctx, view: v, watch: w}
	t.Cleanup(func() {
		if t.Failed() {
			p.tell()
		}
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("the page did not close: %v", err)
		}
		for _, fault := range w.unexpected() {
			t.Errorf("the page: %s", fault)
		}
	})
	// The page lives as long as the context of the first action.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("no page: %v", err)
	}
	p.do(v.actions()...)
	p.do(chromedp.Navigate(url))
	return p
}

// Goto opens another address of the same origin in the same window.
func (p *Page) Goto(url string) {
	p.t.Helper()
	p.do(chromedp.Navigate(url))
}

// Reload is what the person's reload key does.
func (p *Page) Reload() {
	p.t.Helper()
	p.do(chromedp.Reload())
}

// Look changes the window.
func (p *Page) Look(v View) {
	p.t.Helper()
	p.view = v
	p.do(v.actions()...)
}

func (p *Page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("the page does not do it: %v", err)
	}
}

// Eval is the value of an expression in the page; of a promise, what it comes to.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// Wait waits until an expression in the page is true.
func (p *Page) Wait(expression string) {
	p.t.Helper()
	p.until("waited for "+expression, "!!("+expression+")")
}

// until evaluates an expression again and again, also across navigations.
func (p *Page) until(what, expression string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ctx, stop := context.WithDeadline(p.ctx, deadline)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		stop()
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s (last answer: %v, %v)", what, ok, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// seen makes a JavaScript function body that has el, the first visible element of a
// CSS selector, or undefined.
const seen = `const el = [...document.querySelectorAll(%s)].find((e) => e.checkVisibility({opacityProperty: true, visibilityProperty: true}) && e.getClientRects().length);`

func js(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings only
	}
	return string(raw)
}

func onSeen(selector, body string) string {
	return "(() => {" + fmt.Sprintf(seen, js(selector)) + body + "})()"
}

// See waits until an element of that CSS selector is visible and contains the
// text, whatever its white space and case.
func (p *Page) See(selector, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%s with %q is not seen", selector, text),
		"(() => { const norm = (s) => s.replace(/\\s+/g, ' ').trim().toLowerCase(); return ["+
			"...document.querySelectorAll("+js(selector)+")].some((e) => e.checkVisibility({opacityProperty: true, visibilityProperty: true}) && norm(e.innerText ?? e.textContent).includes(norm("+js(text)+"))); })()")
}

// Gone waits until no element of that selector is visible.
func (p *Page) Gone(selector string) {
	p.t.Helper()
	p.until(selector+" does not go away", onSeen(selector, "return !el;"))
}

// Text is what a person reads in the first visible element of that selector.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	p.until(selector+" is not seen", onSeen(selector, "return !!el;"))
	return Eval[string](p, onSeen(selector, "return (el?.innerText ?? '').trim();"))
}

// Click presses the first visible element of that selector with mouse or finger,
// once it is enabled and nothing covers it.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.press(selector, fmt.Sprintf(seen, js(selector)))
}

// Press is Click of the button, link or label that has this name for a person: its
// text or its aria-label.
func (p *Page) Press(name string) {
	p.t.Helper()
	p.press(fmt.Sprintf("a button %q", name), `const el = [...document.querySelectorAll('button, a[href], summary, label, [role=button], input[type=submit]')].find((e) =>
		e.checkVisibility({opacityProperty: true, visibilityProperty: true}) && (e.getAttribute('aria-label') ?? e.innerText).replace(/\s+/g, ' ').trim() === `+js(name)+`);`)
}

func (p *Page) press(what, find string) {
	p.t.Helper()
	p.until(what+" can't be pressed", "(() => {"+find+`
		if (!el || el.disabled || el.ariaDisabled === 'true') return false;
		el.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});
		const r = el.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
		const top = document.elementFromPoint(x, y);
		if (!top || !(el.contains(top) || el.control?.contains(top))) return false;
		window.browsertest = [x, y];
		return true; })()`)
	at := Eval[[]float64](p, "window.browsertest")
	if p.view.Touch {
		p.do(chromedp.TapXY(at[0], at[1]))
		return
	}
	p.do(chromedp.MouseClickXY(at[0], at[1]))
}

// Keys types on the keyboard, wherever the focus is.
func (p *Page) Keys(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// Fill puts the focus into a field, empties it and types.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	p.Click(selector)
	p.Wait(onSeen(selector, "if (document.activeElement !== el) return false; el.select?.(); return true;"))
	p.Keys(text)
}

// Focus is what the keyboard would act on, as tag and accessible name: "button
// Offer".
func (p *Page) Focus() string {
	p.t.Helper()
	return Eval[string](p, `(() => { const e = document.activeElement; return (e.localName + ' ' + (e.getAttribute('aria-label') ?? (e.innerText || e.name || ''))).trim(); })()`)
}

// tell logs what a person would have seen when the test failed.
func (p *Page) tell() {
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href.replace(/#.*/, '') + '\\n' + document.body.innerText"))
	if err != nil {
		p.t.Logf("the page can't be read: %v", err)
		return
	}
	p.t.Logf("the page shows: %s", strings.TrimSpace(text))
}
