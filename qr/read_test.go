package qr_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/qr"
)

var update = flag.Bool("update", false, "write the pictures in testdata anew")

// pictures are what people hand in: a name of a file and how it came about.
var pictures = map[string]func(t *testing.T) image.Image{
	"small.png":    func(t *testing.T) image.Image { return code(t, link, 1) },
	"large.png":    func(t *testing.T) image.Image { return code(t, link, 12) },
	"screen.gif":   func(t *testing.T) image.Image { return code(t, link, 3) },
	"quarter.png":  func(t *testing.T) image.Image { return photograph(code(t, link, 4), shot{turn: math.Pi / 2, zoom: 1}) },
	"headlong.png": func(t *testing.T) image.Image { return photograph(code(t, link, 4), shot{turn: math.Pi, zoom: 1}) },
	"askew.png":    func(t *testing.T) image.Image { return photograph(code(t, link, 4), shot{turn: 0.3, zoom: 1.2}) },
	"inverted.png": func(t *testing.T) image.Image { return inverted(code(t, link, 4)) },
	"photo.jpg": func(t *testing.T) image.Image {
		return photograph(code(t, link, 4), shot{turn: -0.2, zoom: 1.7, noise: 25, shade: 0.5, lean: 0.0002})
	},
	"dim.jpg": func(t *testing.T) image.Image {
		return photograph(code(t, link, 4), shot{turn: 0.1, zoom: 1.5, noise: 12, shade: 0.65})
	},
	"transparent.png": func(t *testing.T) image.Image { return transparent(code(t, link, 4)) },
	"two.png": func(t *testing.T) image.Image {
		return beside(code(t, "SPECIE:PART/1/2/AAAAAAAA/ONE", 4), code(t, "SPECIE:PART/2/2/AAAAAAAA/TWO", 4))
	},
}

func code(t *testing.T, text string, scale int) image.Image {
	t.Helper()
	data, err := qr.PNG(text, scale)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func grey(img image.Image, x, y int) float64 {
	if !image.Pt(x, y).In(img.Bounds()) {
		return 190 // the table
	}
	return float64(color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y)
}

// shot is how a picture was taken.
type shot struct {
	turn, zoom  float64
	noise       float64 // of a pixel, of 255
	shade, lean float64 // how much darker the far edge is, and how much smaller
}

func photograph(img image.Image, s shot) image.Image {
	r := rand.New(rand.NewPCG(1, 2))
	w := float64(img.Bounds().Dx())
	side := int(w * s.zoom * 1.5)
	out := image.NewGray(image.Rect(0, 0, side, side))
	sin, cos := math.Sincos(s.turn)
	for y := range side {
		for x := range side {
			dx, dy := float64(x)-float64(side)/2, float64(y)-float64(side)/2
			far := 1 + s.lean*dx
			sx, sy := (dx*cos+dy*sin)/s.zoom*far+w/2, (-dx*sin+dy*cos)/s.zoom*far+w/2
			fx, fy := math.Floor(sx), math.Floor(sy)
			ax, ay := sx-fx, sy-fy
			x0, y0 := int(fx), int(fy)
			v := (1-ay)*((1-ax)*grey(img, x0, y0)+ax*grey(img, x0+1, y0)) + ay*((1-ax)*grey(img, x0, y0+1)+ax*grey(img, x0+1, y0+1))
			v *= 1 - s.shade*float64(x)/float64(side)
			v += s.noise * r.NormFloat64()
			out.SetGray(x, y, color.Gray{Y: uint8(min(max(v, 0), 255))})
		}
	}
	return out
}

func inverted(img image.Image) image.Image {
	out := image.NewGray(img.Bounds())
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			out.SetGray(x, y, color.Gray{Y: uint8(255 - grey(img, x, y))})
		}
	}
	return out
}

// transparent has no paper: black on nothing.
func transparent(img image.Image) image.Image {
	out := image.NewNRGBA(img.Bounds())
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if grey(img, x, y) == 0 {
				out.SetNRGBA(x, y, color.NRGBA{A: 255})
			}
		}
	}
	return out
}

func beside(a, b image.Image) image.Image {
	w := a.Bounds().Dx()
	out := image.NewGray(image.Rect(0, 0, w+b.Bounds().Dx(), a.Bounds().Dy()))
	for y := range out.Rect.Max.Y {
		for x := range out.Rect.Max.X {
			src, at := a, x
			if x >= w {
				src, at = b, x-w
			}
			out.SetGray(x, y, color.Gray{Y: uint8(grey(src, at, y))})
		}
	}
	return out
}

func encode(t *testing.T, name string, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch filepath.Ext(name) {
	case ".png":
		err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, img)
	case ".jpg":
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 60})
	case ".gif":
		err = gif.Encode(&b, img, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPicturesThatPeopleHandIn(t *testing.T) {
	for name, make := range pictures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, encode(t, name, make(t)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{link}
			if name == "two.png" {
				want = []string{"SPECIE:PART/1/2/AAAAAAAA/ONE", "SPECIE:PART/2/2/AAAAAAAA/TWO"}
			}
			if got := read(t, data); !slices.Equal(got, want) {
				t.Errorf("read %q", got)
			}
		})
	}
}

// header is a PNG that claims a size and holds nothing.
func header(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, width)
	chunk = binary.BigEndian.AppendUint32(chunk, height)
	chunk = append(chunk, 8, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(chunk)-4))
	b = append(b, chunk...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
}

func TestPicturesThatAreNotRead(t *testing.T) {
	white := image.NewGray(image.Rect(0, 0, 60, 60))
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	whole := encode(t, "a.png", code(t, link, 4))
	for name, c := range map[string]struct {
		picture []byte
		want    error
	}{
		"no picture":                 {[]byte(link), qr.ErrPicture},
		"nothing":                    {nil, qr.ErrPicture},
		"half a file":                {whole[:len(whole)/2], qr.ErrPicture},
		"a picture of nothing":       {encode(t, "a.png", white), qr.ErrNone},
		"one dark point":             {encode(t, "a.png", image.NewGray(image.Rect(0, 0, 1, 1))), qr.ErrNone},
		"more bytes than are read":   {make([]byte, qr.MaxPicture+1), qr.ErrTooLarge},
		"more pixels than are drawn": {header(1<<13, 1<<13), qr.ErrTooLarge},
		"a side without end":         {header(1<<20, 1), qr.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := qr.Read(c.picture); !errors.Is(err, c.want) {
				t.Error(err)
			}
		})
	}
}

// TestAPictureFullOfCornersIsGivenUp: the library tries all triples of what may
// be a code's corners, and here are forty thousand.
func TestAPictureFullOfCornersIsGivenUp(t *testing.T) {
	const side, tile = 1800, 9
	img := image.NewGray(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			// Rings of a finder pattern: dark, light, dark.
			ring := max(abs(x%tile-tile/2), abs(y%tile-tile/2))
			if ring == 2 || ring == 4 {
				img.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	begin := time.Now()
	_, err := qr.ReadWithin(encode(t, "a.png", img), 50*time.Millisecond)
	if !errors.Is(err, qr.ErrNone) || time.Since(begin) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}

func abs(n int) int { return max(n, -n) }

func FuzzRead(f *testing.F) {
	for name := range pictures {
		if data, err := os.ReadFile(filepath.Join("testdata", name)); err == nil && len(data) < 8<<10 {
			f.Add(data)
		}
	}
	f.Add(header(40, 40))
	f.Fuzz(func(t *testing.T, data []byte) {
		texts, err := qr.Read(data)
		if (len(texts) == 0) == (err == nil) {
			t.Errorf("%d texts and %v", len(texts), err)
		}
	})
}

func FuzzJoin(f *testing.F) {
	parts := qr.Split(strings.Repeat("A", 100), 60)
	f.Add(parts[0], parts[1])
	f.Add("A", "SPECIE:PART/1/2/00000000/B")
	f.Fuzz(func(t *testing.T, a, b string) {
		text, err := qr.Join([]string{a, b})
		if (text == "") == (err == nil) && a != "" {
			t.Errorf("%q and %v", text, err)
		}
	})
}
