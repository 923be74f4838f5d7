package qr

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"strings"

	rsc "rsc.io/qr"
)

// PartSize is the longest text, in characters, that Split puts into one picture
// where its caller has no reason for another size: version 22 (105 modules a
// side) at level M if the text is of digits, capitals and "$%*+-./: ", which a
// telephone reads from another's screen.
const PartSize = 1100

// quiet is the margin in modules, clause 6.3.8.
const quiet = 4

// maxScale bounds the pixels of a module in PNG.
const maxScale = 64

// encode makes the modules of a text at error correction level M: about 15 % of
// a picture may be lost to a crease or a reflection.
func encode(text string) (*rsc.Code, error) {
	if text == "" {
		return nil, ErrText
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return nil, ErrText
		}
	}
	code, err := rsc.Encode(text, rsc.M)
	if err != nil {
		return nil, fmt.Errorf("%w: %d characters", ErrTooLong, len(text))
	}
	return code, nil
}

// SVG returns a picture of the text as an SVG document, black on white with the
// quiet zone, one unit a module, without script, style or anything fetched.
// Errors: ErrText, ErrTooLong.
func SVG(text string) ([]byte, error) {
	code, err := encode(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	side := code.Size + 2*quiet
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`, side, side)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="`, side, side)
	for y := range code.Size {
		for x := 0; x < code.Size; {
			run := 0
			for code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
			}
			x += run + 1
		}
	}
	b.WriteString(`"/></svg>`)
	return b.Bytes(), nil
}

// PNG returns a picture of the text as a PNG file of two colours, scale pixels a
// module, 1 to 64. Errors: ErrText, ErrTooLong.
func PNG(text string, scale int) ([]byte, error) {
	code, err := encode(text)
	if err != nil {
		return nil, err
	}
	scale = min(max(scale, 1), maxScale)
	side := (code.Size + 2*quiet) * scale
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if code.Black(x/scale-quiet, y/scale-quiet) {
				img.Pix[y*img.Stride+x] = 1
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("qr: %w", err)
	}
	return b.Bytes(), nil
}

// Terminal draws the text for a screen of characters: two modules a character,
// in half blocks, with the quiet zone. The light modules are what is drawn, so on
// a dark terminal it is black on white, as readers expect; most read the other way
// round as well. Errors: ErrText, ErrTooLong, and w's.
func Terminal(w io.Writer, text string) error {
	code, err := encode(text)
	if err != nil {
		return err
	}
	var b strings.Builder
	end := code.Size + quiet
	for y := -quiet; y < end; y += 2 {
		for x := -quiet; x < end; x++ {
			upper := !code.Black(x, y)
			lower := !code.Black(x, y+1) && y+1 < end
			switch {
			case upper && lower:
				b.WriteRune('█')
			case upper:
				b.WriteRune('▀')
			case lower:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	_, err = io.WriteString(w, b.String())
	return err
}
