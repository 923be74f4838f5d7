package hsm_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/speciecash/specie/hsm"
)

const secret = "hunter2-hunter2"

// holder hides a PIN in an unexported field, where fmt can't call its methods
// and walks it by reflection.
type holder struct {
	name string
	pin  hsm.PIN
}

// leaks tells whether the secret shows, as text, hexadecimal, or the decimal
// bytes of %v and %d.
func leaks(s string) bool {
	lower := strings.ToLower(s)
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("% x", secret), fmt.Sprint([]byte(secret[:4]))[1:14]} {
		if strings.Contains(lower, form) {
			return true
		}
	}
	return false
}

func TestAPINDoesNotPrint(t *testing.T) {
	pin := pinOf(t, secret)
	values := []any{pin, &pin, holder{"h", pin}, &holder{"h", pin}, []hsm.PIN{pin}, map[string]hsm.PIN{"a": pin}, hsm.Config{PIN: pin}, &hsm.Config{PIN: pin}}
	for _, v := range values {
		for _, verb := range "vTtbcdoOqxXUeEfFgGsp" {
			for _, flags := range []string{"", "+", "#", " ", "-8.4", "0"} {
				if out := fmt.Sprintf("%"+flags+string(verb), v); leaks(out) {
					t.Errorf("%%%s%c of %T prints %s", flags, verb, v, out)
				}
			}
		}
		if out := fmt.Sprint(v) + fmt.Sprintln(v) + fmt.Errorf("%v", v).Error(); leaks(out) {
			t.Errorf("%T prints %s", v, out)
		}
	}
	if got := fmt.Sprintf("%s|%v|%+v|%#v|%x|%d|%q", pin, pin, pin, pin, pin, pin, pin); got != strings.Repeat("[redacted]|", 6)+"[redacted]" {
		t.Errorf("got %s", got)
	}
	for _, handler := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		log := slog.New(handler(&b))
		log.Info("m", "pin", pin, "holder", holder{"h", pin}, "config", hsm.Config{PIN: pin}, "token", newToken(t))
		if leaks(b.String()) || strings.Contains(b.String(), "user-1234") {
			t.Errorf("logged %s", b.String())
		}
	}
}

func TestAPINDoesNotMarshal(t *testing.T) {
	pin := pinOf(t, secret)
	type outer struct{ PIN hsm.PIN }
	marshal := map[string]func(any) ([]byte, error){
		"json": json.Marshal,
		"xml":  xml.Marshal,
		"yaml": yaml.Marshal,
		"gob": func(v any) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		},
	}
	for name, f := range marshal {
		for _, v := range []any{pin, outer{pin}, &outer{pin}} {
			out, err := f(v)
			if err == nil || leaks(string(out)) {
				t.Errorf("%s of %T: %s, %v", name, v, out, err)
			}
		}
	}
}

func TestReadPIN(t *testing.T) {
	cases := []struct {
		name    string
		content string
		mode    os.FileMode
		want    string
		err     error
	}{
		{"a line", secret + "\n", 0o600, secret, nil},
		{"no line end", secret, 0o400, secret, nil},
		{"a Windows line end", secret + "\r\n", 0o600, secret, nil},
		{"a blank at the end is part of the PIN", "1234 \n", 0o600, "1234 ", nil},
		{"two lines", "1234\n5678\n", 0o600, "", hsm.ErrInput},
		{"an empty file", "", 0o600, "", hsm.ErrInput},
		{"a line end only", "\n", 0o600, "", hsm.ErrInput},
		{"three digits", "123\n", 0o600, "", hsm.ErrInput},
		{"256 bytes", strings.Repeat("1", 256), 0o600, "", hsm.ErrInput},
		{"a large file", strings.Repeat("1", 1<<20), 0o600, "", hsm.ErrInput},
		{"a NUL", "12\x0034", 0o600, "", hsm.ErrInput},
		{"a file that the group reads", secret, 0o640, "", hsm.ErrInput},
		{"a file that everybody reads", secret, 0o604, "", hsm.ErrInput},
		{"a file that others write", secret, 0o602, "", hsm.ErrInput},
		{"a file that runs", secret, 0o700, "", hsm.ErrInput},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pin")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			pin, err := hsm.ReadPIN(path)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if err != nil {
				if strings.Contains(err.Error(), secret) {
					t.Fatal("the error tells the PIN")
				}
				return
			}
			if got := string(pin.Reveal()); got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
	if _, err := hsm.ReadPIN(t.TempDir()); !errors.Is(err, hsm.ErrInput) {
		t.Fatalf("a directory: got %v, want ErrInput", err)
	}
	if _, err := hsm.ReadPIN(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("no file: got %v, want ErrNotExist", err)
	}
}

func TestSavePIN(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pin")
	pin := hsm.RandomPIN()
	if err := pin.Save(path); err != nil {
		t.Fatal(err)
	}
	back, err := hsm.ReadPIN(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.Reveal(), pin.Reveal()) || len(back.Reveal()) != 32 {
		t.Fatal("another PIN came back")
	}
	if err := hsm.RandomPIN().Save(path); !errors.Is(err, os.ErrExist) {
		t.Fatalf("overwrote a PIN: %v", err)
	}
	if err := (hsm.PIN{}).Save(filepath.Join(t.TempDir(), "zero")); !errors.Is(err, hsm.ErrInput) {
		t.Fatalf("saved no PIN: %v", err)
	}
	copied := pin
	pin.Destroy()
	if !bytes.Equal(copied.Reveal(), make([]byte, 32)) {
		t.Fatal("Destroy left the bytes")
	}
}

func FuzzParsePIN(f *testing.F) {
	for _, s := range []string{"1234", "1234\n", "1234\r\n", "12\n34", "", "\n\n\n\n\n", "\x00\x00\x00\x00", "ünicode"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		pin, err := hsm.ParsePIN(raw)
		if err != nil {
			return
		}
		b := pin.Reveal()
		if len(b) < 4 || len(b) > 255 || !bytes.HasPrefix(raw, b) || len(raw)-len(b) > 2 || bytes.ContainsAny(b, "\r\n\x00") {
			t.Fatalf("%q gives %q", raw, b)
		}
	})
}
