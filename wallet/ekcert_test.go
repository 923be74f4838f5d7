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

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
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

// withoutCertificates takes the certificates out of a TPM, as many a maker never
// puts them in, and returns the RSA key's.
func withoutCertificates(t *testing.T, tcti string) []byte {
	t.Helper()
	d, err := tpm.Open(t.Context(), tcti)
	must(t, err)
	eks, err := d.EKs(t.Context())
	must(t, err)
	must(t, d.Close())
	raw, err := linuxudstpm.Open(strings.TrimPrefix(tcti, "swtpm:path="))
	must(t, err)
	defer func() { must(t, raw.Close()) }()
	for _, index := range []tpm2.TPMHandle{0x01c00002, 0x01c00016} {
		public, err := tpm2.NVReadPublic{NVIndex: index}.Execute(raw)
		must(t, err)
		_, err = tpm2.NVUndefineSpace{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHPlatform, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: public.NVName},
		}.Execute(raw)
		must(t, err)
	}
	return eks[0].CertificateDER
}

func TestATPMThatStoresNoCertificate(t *testing.T) {
	town := wallettest.New(t)
	emulator := town.NewTPM(t)
	cert := withoutCertificates(t, emulator.TCTI())
	alice := town.NewHolder(t, 100)
	device := wallet.TPM{Address: emulator.TCTI()}
	for name, fetch := range map[string]bool{"is not enrolled": false, "is not even if its maker may be asked, who has none": true} {
		t.Run(name, func(t *testing.T) {
			e := asAlice(town)
			e.FetchEKCertificate = fetch
			_, err := alice.Enroll(t.Context(), device, e, nil)
			want(t, err, wallet.ErrNoCertificate)
		})
	}
	t.Run("is not with another TPM's, which nobody is shown", func(t *testing.T) {
		e := asAlice(town)
		e.EKCertificates = [][]byte{withoutCertificates(t, town.NewTPM(t).TCTI())}
		alice.Wire.Sent()
		_, err := alice.Enroll(t.Context(), device, e, nil)
		want(t, err, wallet.ErrOtherCertificate)
		for _, s := range alice.Wire.Sent() {
			if strings.HasSuffix(s.URL, "/v1/registrations") {
				t.Error("it was sent")
			}
		}
	})
	t.Run("is enrolled with one from elsewhere, and works as any other", func(t *testing.T) {
		e := asAlice(town)
		e.EKCertificates = [][]byte{cert}
		m, err := alice.Enroll(t.Context(), device, e, nil)
		must(t, err)
		if m.EK != "rsa2048" {
			t.Errorf("with its %s key", m.EK)
		}
		must(t, alice.AttachTPM(t.Context(), device))
		alice.Draw(t, 4, coin.Bound)
		town.Group.Clock.Forward(registrationtest.EpochLength)
		alice.Reopen(t)
		must(t, alice.AttachTPM(t.Context(), device)) // a renewal is a challenge to the same key
	})
	t.Run("is known again when it was cleared", func(t *testing.T) {
		alice.Reopen(t)
		must(t, emulator.Clear(t.Context()))
		want(t, alice.AttachTPM(t.Context(), device), wallet.ErrCleared)
	})
}
