package qr

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // the formats that Read takes
	_ "image/jpeg"
	_ "image/png"
	"slices"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/multi/qrcode"
	single "github.com/makiuchi-d/gozxing/qrcode"
)

// Bounds of a picture.
const (
	MaxPicture = 20 << 20 // bytes
	MaxPixels  = 40 << 20 // width times height: a telephone's camera has 12 to 50 million
	maxSide    = 1 << 15
)

// patience is how long one picture is searched. Pictures that people take need a
// second at most; a hostile one can be full of corners that might belong
// together, and the library tries all triples.
const patience = 10 * time.Second

// Sides to which a picture is reduced before it is searched: a smaller one has
// less noise and takes less time, a larger one resolves small codes.
var sides = [...]int{1000, 2000, 4000}

// Read returns the texts of all QR codes that are found in a picture: a PNG, a
// JPEG or the first frame of a GIF, at any angle, light on dark too. Errors:
// ErrTooLarge, ErrPicture, ErrNone.
func Read(picture []byte) ([]string, error) { return readWithin(picture, patience) }

func readWithin(picture []byte, patience time.Duration) ([]string, error) {
	if len(picture) > MaxPicture {
		return nil, fmt.Errorf("%w: %d MB, at most %d", ErrTooLarge, len(picture)>>20, MaxPicture>>20)
	}
	c, _, err := image.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		return nil, fmt.Errorf("%w: png, jpeg and gif can be", ErrPicture)
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxSide || c.Height > maxSide || c.Width*c.Height > MaxPixels {
		return nil, fmt.Errorf("%w: %d x %d pixels, at most %d million", ErrTooLarge, c.Width, c.Height, MaxPixels>>20)
	}
	type found struct {
		texts []string
		err   error
	}
	done := make(chan found, 1)
	go func() {
		var f found
		defer func() {
			if r := recover(); r != nil {
				f = found{err: fmt.Errorf("%w: it confuses the reader", ErrPicture)}
			}
			done <- f
		}()
		f.texts, f.err = search(picture)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case f := <-done:
		return f.texts, f.err
	case <-timer.C:
		return nil, fmt.Errorf("%w in %s", ErrNone, patience)
	}
}

func search(picture []byte) ([]string, error) {
	img, _, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, fmt.Errorf("%w: it is damaged", ErrPicture)
	}
	whole := grey(img)
	last := 0
	for _, side := range sides {
		by := (max(whole.w, whole.h) + side - 1) / side
		if by == last {
			continue
		}
		last = by
		small := whole.reduce(by)
		for _, inverted := range []bool{false, true} {
			if texts := small.codes(inverted); len(texts) > 0 {
				return texts, nil
			}
		}
	}
	return nil, ErrNone
}

// luma is a picture in 256 shades, row by row.
type luma struct {
	w, h int
	pix  []byte
}

// grey lays a picture on white paper.
func grey(img image.Image) luma {
	b := img.Bounds()
	l := luma{w: b.Dx(), h: b.Dy(), pix: make([]byte, b.Dx()*b.Dy())}
	i := 0
	ycc, _ := img.(*image.YCbCr) // what a camera makes: the shade is there already
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if ycc != nil {
				l.pix[i] = ycc.Y[ycc.YOffset(x, y)]
			} else {
				c := img.At(x, y)
				g := color.Gray16Model.Convert(c).(color.Gray16).Y
				_, _, _, a := c.RGBA()
				l.pix[i] = byte((uint32(g) + 0xffff - a) >> 8)
			}
			i++
		}
	}
	return l
}

// reduce makes one pixel of each square of by times by.
func (l luma) reduce(by int) luma {
	if by <= 1 {
		return l
	}
	out := luma{w: l.w / by, h: l.h / by}
	out.pix = make([]byte, out.w*out.h)
	for y := range out.h {
		for x := range out.w {
			sum := 0
			for dy := range by {
				row := l.pix[(y*by+dy)*l.w+x*by:]
				for _, p := range row[:by] {
					sum += int(p)
				}
			}
			out.pix[y*out.w+x] = byte(sum / (by * by))
		}
	}
	return out
}

// codes looks for codes in two ways: with a threshold of each neighbourhood, for
// photographs, and with one for the whole, for what a program drew.
func (l luma) codes(inverted bool) []string {
	if l.w == 0 || l.h == 0 {
		return nil
	}
	img := &image.Gray{Pix: l.pix, Stride: l.w, Rect: image.Rect(0, 0, l.w, l.h)}
	if inverted {
		img.Pix = slices.Clone(l.pix)
		for i := range img.Pix {
			img.Pix[i] = 255 - img.Pix[i]
		}
	}
	hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true}
	source := gozxing.NewLuminanceSourceFromImage(img)
	var texts []string
	for _, binarizer := range []gozxing.Binarizer{gozxing.NewHybridBinarizer(source), gozxing.NewGlobalHistgramBinarizer(source)} {
		bitmap, err := gozxing.NewBinaryBitmap(binarizer)
		if err != nil {
			continue
		}
		if results, err := qrcode.NewQRCodeMultiReader().DecodeMultiple(bitmap, hints); err == nil {
			for _, r := range results {
				texts = append(texts, r.GetText())
			}
		}
		if len(texts) == 0 {
			if r, err := single.NewQRCodeReader().Decode(bitmap, hints); err == nil {
				texts = append(texts, r.GetText())
			}
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(texts)))
}
