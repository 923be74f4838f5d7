package wallet_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/wallet"
)

// der is the outside of a certificate.
func der(n byte) []byte { return append([]byte{0x30, 0x81, 0x80, n}, make([]byte, 127)...) }

func pemOf(certs ...[]byte) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	return out
}

func intelJSON(cert []byte) []byte {
	return []byte(`{"pubhash":"x","certificate":"` + strings.ReplaceAll(base64.URLEncoding.EncodeToString(cert), "=", "%3D") + `"}`)
}

func TestCertificatesAreReadAsMakersWriteThem(t *testing.T) {
	for name, c := range map[string]struct {
		text []byte
		want [][]byte
	}{
		"DER":                  {der(1), [][]byte{der(1)}},
		"DER with padding":     {append(der(1), 0xff, 0xff), [][]byte{der(1)}},
		"PEM with its issuers": {pemOf(der(1), der(2)), [][]byte{der(1), der(2)}},
		"PEM with a comment":   {append([]byte("subject=CN\n"), pemOf(der(1))...), [][]byte{der(1)}},
		"Intel's JSON":         {intelJSON(der(1)), [][]byte{der(1)}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wallet.ParseEKCertificates(c.text)
			must(t, err)
			if !slices.EqualFunc(got, c.want, bytes.Equal) {
				t.Errorf("read %x", got)
			}
		})
	}
}

func TestWhatIsNoCertificateIsRefused(t *testing.T) {
	big := append([]byte{0x30, 0x82, 0x20, 0x01}, make([]byte, 0x2001)...)
	for name, text := range map[string][]byte{
		"nothing": nil, "words": []byte("not found"), "a number": {2, 1, 1}, "cut off": der(1)[:50],
		"JSON without one": []byte(`{"pubhash":"x"}`), "JSON with rubbish": []byte(`{"certificate":"!"}`), "broken JSON": []byte(`{`),
		"a PEM of another kind": []byte("-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n"),
		"seven":                 pemOf(der(1), der(2), der(3), der(4), der(5), der(6), der(7)),
		"one that is too large": big, "a file that is too large": make([]byte, wallet.MaxEKFile+1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wallet.ParseEKCertificates(text)
			want(t, err, wallet.ErrCertificateForm)
		})
	}
}

func FuzzParseEKCertificates(f *testing.F) {
	for _, seed := range [][]byte{der(1), pemOf(der(1), der(2)), intelJSON(der(3)), []byte("{"), nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		chain, err := wallet.ParseEKCertificates(text)
		if err != nil {
			want(t, err, wallet.ErrCertificateForm)
			return
		}
		if len(chain) == 0 || len(chain) > wallet.MaxEKCertificates || len(chain[0]) < 2 {
			t.Fatalf("%d certificates", len(chain))
		}
	})
}

func TestAMakersServerIsAskedOnlyIfThatWasAllowed(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(intelJSON(der(1))) }
	asked := 0
	maker := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			t.Error("it was told more than it needs")
		}
		answer(w, r)
	}))
	t.Cleanup(maker.Close)
	hc := maker.Client()
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ek := &tpm.EK{Kind: "rsa2048", URL: maker.URL + "/ekcertservice/abc"}
	var told []string
	allowed := wallet.Enrolment{FetchEKCertificate: true, Note: func(s string) { told = append(told, s) }}
	get := func(e wallet.Enrolment, ek *tpm.EK) ([][]byte, error) {
		return wallet.CertificatesFor(t.Context(), hc, e, ek)
	}

	t.Run("never otherwise", func(t *testing.T) {
		_, err := get(wallet.Enrolment{}, ek)
		want(t, err, wallet.ErrNoCertificate)
		if !strings.Contains(err.Error(), ek.URL) {
			t.Errorf("it does not say where: %v", err)
		}
		_, err = get(allowed, &tpm.EK{})
		want(t, err, wallet.ErrNoCertificate)
		got, err := get(allowed, &tpm.EK{CertificateDER: der(2), Chain: [][]byte{der(3)}, URL: ek.URL})
		must(t, err)
		if !slices.EqualFunc(got, [][]byte{der(2), der(3)}, bytes.Equal) {
			t.Errorf("what the TPM stores: %x", got)
		}
		given := wallet.Enrolment{EKCertificates: [][]byte{der(4)}}
		if got, err = get(given, ek); err != nil || !bytes.Equal(got[0], der(4)) {
			t.Errorf("what the person gave: %x, %v", got, err)
		}
		if asked != 0 {
			t.Errorf("asked %d times", asked)
		}
	})
	t.Run("and the person is told where", func(t *testing.T) {
		got, err := get(allowed, ek)
		must(t, err)
		if len(got) != 1 || !bytes.Equal(got[0], der(1)) {
			t.Errorf("got %x", got)
		}
		if len(told) != 1 || !strings.Contains(told[0], ek.URL) {
			t.Errorf("told %q", told)
		}
	})
	t.Run("not in the clear", func(t *testing.T) {
		for _, address := range []string{"http://127.0.0.1:1/", "https://", "https://me@127.0.0.1/", "ftp://x/"} {
			_, err := get(allowed, &tpm.EK{URL: address})
			want(t, err, wallet.ErrFetch)
		}
	})
	for name, bad := range map[string]http.HandlerFunc{
		"a redirect is not followed": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, maker.URL+"/elsewhere", http.StatusFound)
		},
		"an error is one":           http.NotFound,
		"an endless answer ends":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) },
		"an answer of another kind": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
	} {
		t.Run(name, func(t *testing.T) {
			answer = bad
			_, err := get(allowed, ek)
			want(t, err, wallet.ErrFetch)
		})
	}
}
