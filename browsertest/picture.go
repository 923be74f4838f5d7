package browsertest

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"path/filepath"

	"github.com/chromedp/chromedp"
)

// Screenshots names the variable whose value is the directory that [Page.Picture]
// writes to, from the root of the tree. Without it nothing is written.
const Screenshots = "SPECIE_SCREENSHOTS"

// maxPicture is how large a picture in the documentation may be, in bytes: people
// read it over slow lines.
const maxPicture = 150 << 10

// Screenshot is what the window shows, as PNG.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	p.settle()
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	raw, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatalf("no screenshot: %v", err)
	}
	return raw
}

// settle waits until fonts and pictures are there, and what was changed is drawn.
func (p *Page) settle() {
	p.t.Helper()
	Eval[bool](p, `(async () => {
		await document.fonts.ready;
		await Promise.all([...document.images].filter((i) => i.checkVisibility() && i.getAttribute('src')).map((i) => i.decode().catch(() => {})));
		await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
		return true; })()`)
}

// Picture makes docs/images/NAME.png of what the window shows, if make screenshots
// asks for it. Otherwise it fails unless that picture is there, has the window's
// size and is no larger than people can be asked to load: what it shows may have
// another time or number in it, and fonts are drawn otherwise by the next Chromium.
func (p *Page) Picture(name string) {
	p.t.Helper()
	root := treeRoot(p.t.Fatal)
	if dir := os.Getenv(Screenshots); dir != "" {
		file := filepath.Join(root, dir, name+".png")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(file, p.small(p.Screenshot()), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(root, "docs", "images", name+".png"))
	if err != nil {
		p.t.Errorf("make screenshots makes it: %v", err)
		return
	}
	got, err := png.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		p.t.Errorf("%s.png: %v", name, err)
		return
	}
	size := Eval[[]float64](p, "[innerWidth * devicePixelRatio, innerHeight * devicePixelRatio]")
	if got.Width != int(size[0]) || got.Height != int(size[1]) {
		p.t.Errorf("%s.png is %d by %d, the window %v: make screenshots", name, got.Width, got.Height, size)
	}
	if len(raw) > maxPicture {
		p.t.Errorf("%s.png has %d bytes, more than %d", name, len(raw), maxPicture)
	}
}

// small draws a picture anew with a palette: a page has few colours, and what is
// left out between them nobody sees.
func (p *Page) small(raw []byte) []byte {
	p.t.Helper()
	full, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		p.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, paletted(full)); err != nil {
		p.t.Fatal(err)
	}
	return out.Bytes()
}

// treeRoot is the directory of go.mod.
func treeRoot(fatal func(...any)) string {
	dir, err := os.Getwd()
	if err != nil {
		fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			fatal("no go.mod above the test")
			return dir
		}
		dir = up
	}
}
