package hsm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

// Three PINs that stand nowhere else, each of another length.
const (
	userSecret    = "U5er-8aKdCw1jq"
	officerSecret = "0fficer-Zr4vTn7hPx"
	wrongSecret   = "wr0ng-Lb9uGs3eYm2fQk"
)

// shows returns the form in which out tells the secret, or "".
func shows(out, secret string) string {
	forms := map[string]string{
		"text":            secret,
		"text backwards":  reversed(secret),
		"hexadecimal":     fmt.Sprintf("%x", secret),
		"spaced":          fmt.Sprintf("% x", secret),
		"Go bytes":        strings.Trim(fmt.Sprintf("%#v", []byte(secret)), "[]byte{}"),
		"decimal bytes":   strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
		"decimal, commas": strings.ReplaceAll(strings.Trim(fmt.Sprint([]byte(secret)), "[]"), " ", ","),
		"base64":          base64.RawStdEncoding.EncodeToString([]byte(secret)),
		"base64url":       base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
	lower := strings.ToLower(out)
	for name, form := range forms {
		if strings.Contains(lower, strings.ToLower(form)) {
			return name
		}
	}
	return ""
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

func refuseSecrets(t *testing.T, what, out string) {
	t.Helper()
	for _, secret := range []string{userSecret, officerSecret, wrongSecret} {
		if form := shows(out, secret); form != "" {
			t.Errorf("%s tells a PIN (%s): %s", what, form, strings.ReplaceAll(out, secret, "<PIN>"))
		}
	}
}

// written is v in every way in which a program might write it.
func written(v any) map[string]string {
	out := make(map[string]string)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "% x", "%d", "%X"} {
		out[verb] = fmt.Sprintf(verb, v)
	}
	js, err := json.Marshal(v)
	out["JSON"] = fmt.Sprint(string(js), err)
	var b bytes.Buffer
	log := slog.New(slog.NewMultiHandler(slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)))
	log.Info("m", "v", v, slog.Group("g", "v", v))
	out["slog"] = b.String()
	return out
}

// exportedTypes reads their names from the source of the package, so that a
// type which is added can't be forgotten.
func exportedTypes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("source files %v, %v", files, err)
	}
	var names []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				for _, s := range g.Specs {
					if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.IsExported() {
						names = append(names, ts.Name.Name)
					}
				}
			}
		}
	}
	if len(names) < 15 {
		t.Fatalf("only %d exported types found: %v", len(names), names)
	}
	return names
}

// A witness goes through everything that can happen to a token and keeps what
// was said about it.
type witness struct {
	t      *testing.T
	log    bytes.Buffer
	errs   []error
	values map[string][]any // by the name of the type
}

func (w *witness) logger() *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	return slog.New(slog.NewMultiHandler(slog.NewTextHandler(&w.log, o), slog.NewJSONHandler(&w.log, o)))
}

// fails keeps an error that must have come.
func (w *witness) fails(what string, err error) {
	w.t.Helper()
	if err == nil {
		w.t.Errorf("%s: no error", what)
	}
	w.errs = append(w.errs, err)
}

func (w *witness) keep(v any) {
	name := strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", v), "*"), "hsm.")
	w.values[name] = append(w.values[name], v)
}

// No exported type prints a PIN, in no state and by no verb; no log line and
// no error tells one.
func TestNothingThatIsSaidTellsAPIN(t *testing.T) {
	w := &witness{t: t, values: make(map[string][]any)}
	w.sources()
	cfg := w.token()
	w.logins(cfg)
	w.outages(cfg)
	w.probe()
	w.erasure(cfg)

	for _, name := range exportedTypes(t) {
		if len(w.values[name]) == 0 {
			t.Errorf("type %s: this test has no value of it; add one to it", name)
		}
		for _, v := range w.values[name] {
			for how, out := range written(v) {
				refuseSecrets(t, how+" of "+name, out)
			}
		}
	}
	for _, err := range w.errs {
		for how, out := range written(err) {
			refuseSecrets(t, how+" of an error", out)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			refuseSecrets(t, "an error underneath", fmt.Sprintf("%+v %#v", e, e))
		}
	}
	refuseSecrets(t, "the log", w.log.String())
	for _, line := range []string{"token open", "key generated", "sessions lost", "reloading", "token unavailable", "login refused", "sessions replaced"} {
		if !strings.Contains(w.log.String(), line) {
			t.Errorf("the log has no %q, so it shows nothing about that", line)
		}
	}
}

// sources reads PINs from where they are and are not.
func (w *witness) sources() {
	t, dir := w.t, w.t.TempDir()
	w.keep(pinOf(t, userSecret))
	_, err := hsm.NewPIN([]byte(userSecret + "\x00"))
	w.fails("a control character", err)
	_, err = hsm.NewPIN([]byte(strings.Repeat(userSecret, 50)))
	w.fails("too long", err)
	for name, f := range map[string]func() ([]byte, error){
		"text": pinOf(t, userSecret).MarshalText, "JSON": pinOf(t, userSecret).MarshalJSON, "binary": pinOf(t, userSecret).MarshalBinary,
	} {
		out, err := f()
		w.fails(name, err)
		refuseSecrets(t, name, string(out))
	}
	path := filepath.Join(dir, "pin")
	for _, content := range []string{userSecret + "\n" + wrongSecret + "\n", userSecret + "\x00", strings.Repeat(userSecret, 20)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := hsm.ReadPIN(path)
		w.fails("a file of more than a PIN", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = hsm.ReadPIN(path)
	w.fails("a file for all", err)
	w.fails("a file that exists", pinOf(t, userSecret).Save(path))
	for _, source := range []string{userSecret, "pin:" + userSecret, "credential:/" + userSecret, "file://" + userSecret, "file:%" + userSecret} {
		_, err := hsm.ReadPINSource(source, dir, "PIN", nil)
		w.fails("the PIN in place of its source", err)
	}
	for _, s := range []string{
		userSecret, "pkcs11:" + userSecret, "pkcs11:token=a?pin-value=" + userSecret, "pkcs11:token=a;pin-value=" + userSecret,
		"pkcs11:token=a?" + userSecret, "pkcs11:token=a?pin=" + userSecret, "pkcs11:token=a?pin-source=" + userSecret,
		"pkcs11:token=a?" + userSecret + "=1", "pkcs11:token=a#" + userSecret, "pkcs11:token=a;id=" + userSecret,
		"pkcs11:token=a;type=" + userSecret, "pkcs11:token=a?pin-source=file:" + userSecret + "%0A", "pkcs11:token=a?pin-value=" + userSecret + "%",
	} {
		_, err := hsm.ParseURI(s)
		w.fails("a PIN in a URI", err)
	}
	u, err := hsm.ParseURI("pkcs11:token=a;object=k?module-path=/m.so&pin-source=credential:pin")
	if err != nil {
		t.Fatal(err)
	}
	w.keep(u)
	w.keep(*u)
	w.keep(u.Config(pinOf(t, userSecret)))
}

// token makes a token with these PINs and a key of each kind.
func (w *witness) token() hsm.Config {
	t := w.t
	cfg, err := store.InitToken(t.Context(), module, fmt.Sprintf("t%d", nextToken()), pinOf(t, officerSecret), pinOf(t, userSecret))
	if err != nil {
		t.Fatal(err)
	}
	_, err = module.InitToken(t.Context(), cfg.TokenLabel, pinOf(t, officerSecret), pinOf(t, userSecret))
	w.fails("a token that exists", err)
	cfg.Logger = w.logger()
	tok, err := module.Token(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.keep(cfg)
	w.keep(&cfg)
	w.keep(tok.Info())
	w.keys(tok)
	_, err = module.Token(t.Context(), cfg)
	w.fails("opened twice", err)
	w.keep(module)
	w.keep(tok)
	if err := tok.Close(); err != nil {
		t.Fatal(err)
	}
	w.keep(tok)
	w.fails("a closed token", tok.Unused(t.Context(), "k"))
	return cfg
}

func (w *witness) keys(tok *hsm.Token) {
	t := w.t
	key := newRSA(t, tok, "rsa")
	ec, err := tok.GenerateECDSA(t.Context(), "ec", elliptic.P256())
	if err != nil {
		t.Fatal(err)
	}
	aes, err := tok.GenerateAES(t.Context(), "aes")
	if err != nil {
		t.Fatal(err)
	}
	_, err = tok.GenerateAES(t.Context(), "aes")
	w.fails("a label that is taken", err)
	_, err = key.BlindSign(t.Context(), []byte(userSecret))
	w.fails("no message", err)
	_, err = ec.SignDigest(t.Context(), []byte(userSecret), crypto.SHA256)
	w.fails("no digest", err)
	_, err = aes.Open(t.Context(), make([]byte, 64), nil)
	w.fails("no box", err)
	_, err = tok.FindECDSA(t.Context(), "none")
	w.fails("no key", err)
	items, err := tok.Items(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.keep(items[0])
	w.keep(key)
	w.keep(ec)
	w.keep(aes)
}

// logins fails to open the token in every way.
func (w *witness) logins(cfg hsm.Config) {
	t := w.t
	for name, flag := range map[string]uint{"locked": pkcs11.CKF_USER_PIN_LOCKED, "one try left": pkcs11.CKF_USER_PIN_FINAL_TRY} {
		fault.set(t, func() {
			fault.tokenInfo = func(i pkcs11.TokenInfo) pkcs11.TokenInfo { i.Flags |= flag; return i }
		})
		_, err := module.Token(t.Context(), cfg)
		w.fails(name, err)
	}
	fault.set(t, func() { fault.tokenInfo = nil })
	none := cfg
	none.PIN = hsm.PIN{}
	_, err := module.Token(t.Context(), none)
	w.fails("no PIN", err)
	other, err := store.InitToken(t.Context(), module, fmt.Sprintf("t%d", nextToken()), pinOf(t, officerSecret), pinOf(t, userSecret))
	if err != nil {
		t.Fatal(err)
	}
	other.PIN, other.Logger = pinOf(t, wrongSecret), cfg.Logger
	for range 2 {
		_, err = module.Token(t.Context(), other)
		w.fails("a wrong PIN", err)
	}
	other.Serial = "0000"
	_, err = module.Token(t.Context(), other)
	w.fails("no such token", err)
}

// outages loses sessions and gets them back, and then does not.
func (w *witness) outages(cfg hsm.Config) {
	t := w.t
	tok := openToken(t, cfg)
	keys, err := tok.RSAKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := &patient{tok: tok, key: keys[0], cfg: cfg}
	p.sig, p.m = known(t, p.key)
	for _, code := range []uint{pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_DEVICE_ERROR} {
		stop, _ := failing(t, code, "C_Sign", "C_OpenSession")
		w.fails("an outage", p.signs(t.Context()))
		hsm.WaitHeal()
		w.fails("an outage", p.signs(t.Context()))
		w.keep(tok.Stats())
		stop()
		p.recovers(t, 8*time.Second)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.fails("no time", p.signs(ctx))
	stats := tok.Stats()
	w.keep(stats.Calls[0])
	w.keep(stats.Errors[0])
	w.keep(stats.Queue)
	w.keep(stats.Queue.Buckets[0])
	w.keep(stats.Sessions)
	if err := tok.LoseSessions(fault.raw); err != nil {
		t.Fatal(err)
	}
	stop, _ := failing(t, pkcs11.CKR_PIN_LOCKED, "C_Login")
	err = p.signs(t.Context())
	stop()
	w.fails("a refused login", err)
	var e *hsm.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v has no *hsm.Error in it", err)
	}
	w.keep(e)
	w.keep(e.Class())
	if err := tok.Close(); err != nil {
		t.Fatal(err)
	}
}

func (w *witness) probe() {
	t := w.t
	cfg, err := store.InitToken(t.Context(), module, fmt.Sprintf("t%d", nextToken()), pinOf(t, officerSecret), pinOf(t, userSecret))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Logger = w.logger()
	opts := hsm.ProbeOptions{RateTime: time.Millisecond}
	report, err := hsm.Probe(t.Context(), module, cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	w.keep(opts)
	w.keep(report)
	w.keep(report.Library)
	w.keep(report.Limits)
	w.keep(report.Mechanisms[0])
	for _, use := range report.Uses {
		w.keep(use)
		for _, rate := range use.Rates {
			w.keep(rate)
		}
	}
	w.keep(hsm.Finding{Attribute: "CKA_COPYABLE", Finding: hsm.Absent})
	cfg.PIN = pinOf(t, wrongSecret)
	_, err = hsm.Probe(t.Context(), module, cfg, opts)
	w.fails("the wrong PIN", err)
}

func (w *witness) erasure(cfg hsm.Config) {
	w.fails("the wrong officer", module.EraseToken(w.t.Context(), cfg.TokenLabel, cfg.Serial, pinOf(w.t, wrongSecret)))
	w.fails("an officer who was wrong before", module.EraseToken(w.t.Context(), cfg.TokenLabel, cfg.Serial, pinOf(w.t, officerSecret)))
}
