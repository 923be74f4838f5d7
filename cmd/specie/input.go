package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/qr"
)

// The errors of what people hand in.
var (
	errNoClipboard = errors.New("no program that reads the clipboard is here")
	errClipboard   = errors.New("the clipboard holds no text and no picture")
	errNoSpecie    = errors.New("there is no specie: link in it")
	errNoInput     = errors.New("name a link, a file or a picture, or say --clipboard")
	errTwoInputs   = errors.New("either name it or say --clipboard")
	errIsEnvelope  = errors.New("these are coins from somebody, not an offer")
	errIsOffer     = errors.New("this is a merchant's offer, not coins")
)

// handed is how a link or an envelope is handed to a command.
type handed struct {
	From      []string `arg:"" optional:"" name:"from" help:"A specie: link, a file that holds one, a picture of its QR code (PNG, JPEG, GIF) or several of its parts, or - for standard input."`
	Clipboard bool     `help:"Take what is in the clipboard, text or picture."`
}

// named says whether one thing was handed in, without looking at it.
func (h handed) named() error {
	switch {
	case h.Clipboard && len(h.From) > 0:
		return cli.Usage(errTwoInputs)
	case !h.Clipboard && len(h.From) == 0:
		return cli.Usage(errNoInput)
	}
	return nil
}

// text reads what was handed in: the link itself, whatever it was wrapped in.
func (h handed) text(ctx context.Context) (string, error) {
	if err := h.named(); err != nil {
		return "", err
	}
	var texts []string
	if h.Clipboard {
		data, err := clipboard(ctx)
		if err != nil {
			return "", err
		}
		if texts, err = textsIn(data); err != nil {
			return "", fmt.Errorf("clipboard: %w", err)
		}
	}
	for _, from := range h.From {
		if isLink(from) {
			texts = append(texts, from)
			continue
		}
		data, err := readInput(from)
		if err != nil {
			return "", err
		}
		found, err := textsIn(data)
		if err != nil {
			return "", fmt.Errorf("%s: %w", from, err)
		}
		texts = append(texts, found...)
	}
	return qr.Join(texts)
}

func isLink(s string) bool { return len(s) >= 7 && strings.EqualFold(s[:7], "specie:") }

func readInput(from string) ([]byte, error) {
	r := io.Reader(os.Stdin)
	if from != "-" {
		f, err := os.Open(from)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	return io.ReadAll(io.LimitReader(r, qr.MaxPicture+1))
}

// textsIn finds links in a picture or a text: of a picture those of all its QR
// codes but such as are not for us, of a text its words.
func textsIn(data []byte) ([]string, error) {
	var all []string
	picture := strings.HasPrefix(http.DetectContentType(data), "image/")
	if picture {
		var err error
		if all, err = qr.Read(data); err != nil {
			return nil, err
		}
	} else if bytes.Contains(data[:min(len(data), 1024)], []byte("<svg")) {
		return nil, fmt.Errorf("%w; this is a drawing (SVG)", qr.ErrPicture)
	} else {
		all = strings.Fields(string(data[:min(len(data), 2*qr.MaxText)]))
	}
	var texts []string
	for _, t := range all {
		if isLink(t) {
			texts = append(texts, t)
		}
	}
	if len(texts) == 0 && !picture && len(all) == 1 {
		return all, nil // the decoder says what is wrong with it
	}
	if len(texts) == 0 {
		return nil, errNoSpecie
	}
	return texts, nil
}

// clipboardWait is how long a clipboard's owner may take to answer.
const clipboardWait = 10 * time.Second

// clipboards are the programs that read a clipboard, and how they are asked for
// text and for a picture. The first that is there is asked.
func clipboards() [][][]string {
	return [][][]string{
		{{"wl-paste", "--no-newline"}, {"wl-paste", "--type", "image/png"}},
		{{"xclip", "-selection", "clipboard", "-o"}, {"xclip", "-selection", "clipboard", "-t", "image/png", "-o"}},
		{{"xsel", "--clipboard", "--output"}},
		{{"pbpaste"}},
		{{"powershell.exe", "-NoProfile", "-Command", "Get-Clipboard -Raw"}},
	}
}

// clipboard returns what is in the clipboard. There is one for each desktop, and
// each has a program for it: none is linked in.
func clipboard(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, clipboardWait)
	defer cancel()
	var failed error
	for _, ways := range clipboards() {
		if _, err := exec.LookPath(ways[0][0]); err != nil {
			continue
		}
		for _, argv := range ways {
			data, err := pasted(ctx, argv)
			if err == nil && strings.TrimSpace(string(data)) != "" {
				return data, nil
			}
			failed = fmt.Errorf("%w, says %s", errClipboard, argv[0])
		}
	}
	if failed != nil {
		return nil, failed
	}
	return nil, errNoClipboard
}

// pasted is what a program prints, as much as a picture may have.
func pasted(ctx context.Context, argv []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(out, qr.MaxPicture+1))
	if len(data) > qr.MaxPicture {
		_ = cmd.Process.Kill() // it has more to say than we hear
	}
	return data, errors.Join(err, cmd.Wait())
}
