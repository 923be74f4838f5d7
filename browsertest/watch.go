package browsertest

import (
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// watch gathers what a page must not do.
type watch struct {
	origin string

	mu       sync.Mutex
	faults   []string
	expected []string
}

func newWatch(address string) *watch { return &watch{origin: origin(address)} }

func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// event is called for each event of the page, on the goroutine that reads them.
func (w *watch) event(ev any) {
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		u := e.Request.URL
		// A picture made in the page and a file to save are no traffic.
		if origin(u) != w.origin && !strings.HasPrefix(u, "data:") && !strings.HasPrefix(u, "blob:"+w.origin) && u != "about:blank" {
			w.add("a request leaves the page: %s", u)
		}
	case *network.EventWebSocketCreated:
		if origin(strings.Replace(e.URL, "ws", "http", 1)) != w.origin {
			w.add("a request leaves the page: %s", e.URL)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			w.add("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		w.add("exception: %s", text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var words []string
			for _, a := range e.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			w.add("console %s: %s", e.Type, strings.Join(words, " "))
		}
	}
}

func (w *watch) add(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// unexpected are the faults that no test provoked.
func (w *watch) unexpected() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
next:
	for _, f := range w.faults {
		for _, part := range w.expected {
			if strings.Contains(f, part) {
				continue next
			}
		}
		out = append(out, f)
	}
	return out
}

// Expect says that faults which contain this text are what the test provokes, such
// as Chromium's own word on an answer with an error status: "status of 401".
func (p *Page) Expect(part string) {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	p.watch.expected = append(p.watch.expected, part)
}

// Faults is what the page did wrong so far, but for what was expected.
func (p *Page) Faults() []string { return p.watch.unexpected() }
