package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take for one step. It is reached only when
// something is broken, or the machine stands still.
const patience = 20 * time.Second

// Browser is a running Chromium.
type Browser struct{ ctx context.Context }

// Start starts one, which ends with the test. It takes about a second: share it.
func Start(t testing.TB) *Browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("no Chromium here; run scripts/setup: %v", err)
	}
	dir, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	fonts := filepath.Join(dir, "fonts.conf")
	if err := os.WriteFile(fonts, fmt.Appendf(nil, fontconfig, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(),
		append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(program),
			chromedp.UserDataDir(filepath.Join(dir, "profile")),
			chromedp.Env("FONTCONFIG_FILE="+fonts, "HOME="+dir),
			chromedp.NoSandbox, // containers of tests have no user namespaces, and pages are our own
			chromedp.DisableGPU,
			chromedp.Flag("disable-quic", true),
			chromedp.Flag("disable-component-update", true),
			chromedp.Flag("disable-domain-reliability", true),
			chromedp.Flag("hide-scrollbars", true),
			chromedp.Flag("font-render-hinting", "none"),
		)...)
	ctx, _ := chromedp.NewContext(allocator) // ended by Cancel
	t.Cleanup(func() {
		closing, stop := context.WithTimeout(ctx, patience)
		defer stop()
		err := chromedp.Cancel(closing)
		end()
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			t.Errorf("Chromium did not end: %v", err)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("Chromium did not start: %v", err)
	}
	return &Browser{ctx}
}

// fontconfig has the two families that scripts/setup installs, and no other.
const fontconfig = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
	<dir>/usr/share/fonts/opentype/inter</dir>
	<dir>/usr/share/fonts/truetype/dejavu</dir>
	<cachedir>%s/fonts</cachedir>
	<match target="font"><edit name="autohint" mode="assign"><bool>false</bool></edit></match>
	<match target="pattern">
		<test name="family"><string>monospace</string></test>
		<edit name="family" mode="prepend" binding="strong"><string>DejaVu Sans Mono</string></edit>
	</match>
	<match target="pattern">
		<test name="family" compare="not_eq"><string>monospace</string></test>
		<edit name="family" mode="append" binding="strong"><string>Inter</string></edit>
	</match>
</fontconfig>
`

// View is the window that a page is seen through.
type View struct {
	// Width and Height in CSS pixels; zero means 1280 by 800.
	Width, Height int64
	// Scale is device pixels per CSS pixel; zero means 1.
	Scale float64
	// Touch: a phone or tablet, with fingers for a mouse.
	Touch bool
	// Dark: the person prefers a dark page.
	Dark bool
	// Lively: the person did not ask for less motion. Tests do, so that pictures
	// show an end and not a way.
	Lively bool
	// Print: as on paper.
	Print bool
}

// Phone and Desk are what most tests want.
var (
	Phone = View{Width: 360, Height: 740, Scale: 2, Touch: true}
	Desk  = View{Width: 1280, Height: 800}
)

// actions set a page up for a view.
func (v View) actions() []chromedp.Action[chromedp.Void] {
	if v.Width == 0 {
		v.Width, v.Height = 1280, 800
	}
	options := []chromedp.EmulateViewportOption{chromedp.EmulateScale(max(v.Scale, 1))}
	if v.Touch {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	feature := func(name, on, off string, is bool) *emulation.MediaFeature {
		if is {
			return &emulation.MediaFeature{Name: name, Value: on}
		}
		return &emulation.MediaFeature{Name: name, Value: off}
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		feature("prefers-color-scheme", "dark", "light", v.Dark),
		feature("prefers-reduced-motion", "no-preference", "reduce", v.Lively),
	}}
	if v.Print {
		media.Media = "print"
	}
	return []chromedp.Action[chromedp.Void]{
		chromedp.EmulateViewport(v.Width, v.Height, options...),
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, media)
			return err
		}),
	}
}
