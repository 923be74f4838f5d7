package hsm_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/hsm"
)

const idBytes = "\x00\x01%/;?=& \x7f\x80\xfez~.-"

func TestParseURI(t *testing.T) {
	cases := []struct {
		name, uri string
		want      hsm.URI
		canonical string // empty: as uri
	}{
		{"a token", "pkcs11:token=bank", hsm.URI{Token: "bank"}, ""},
		{"a key, its module and its PIN",
			"pkcs11:token=demobank-online;object=signing-2026?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:online.pin",
			hsm.URI{Token: "demobank-online", Object: "signing-2026", ModulePath: "/usr/lib/softhsm/libsofthsm2.so", PINSource: "file:online.pin"}, ""},
		{"all that there is",
			"pkcs11:token=a;serial=0123456789abcdef;manufacturer=SoftHSM%20project;model=SoftHSM%20v2;object=k;id=%00%01%02%03%04%05%06%07%08%09%0A%0B%0C%0D%0E%0F;type=private?module-path=/m.so&pin-source=credential:pin",
			hsm.URI{Token: "a", Serial: "0123456789abcdef", Manufacturer: "SoftHSM project", Model: "SoftHSM v2", Object: "k",
				ID: []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Type: "private", ModulePath: "/m.so", PINSource: "credential:pin"}, ""},
		{"any order", "pkcs11:object=k;token=a?pin-source=file:p&module-path=/m.so",
			hsm.URI{Token: "a", Object: "k", ModulePath: "/m.so", PINSource: "file:p"}, "pkcs11:token=a;object=k?module-path=/m.so&pin-source=file:p"},
		{"a scheme in capitals (RFC 3986, section 3.1)", "PKCS11:token=a", hsm.URI{Token: "a"}, "pkcs11:token=a"},
		{"small hexadecimal digits", "pkcs11:token=a%2fb", hsm.URI{Token: "a/b"}, "pkcs11:token=a%2Fb"},
		{"what was encoded without need", "pkcs11:%74oken=a", hsm.URI{}, "refused"},
		{"a value encoded without need", "pkcs11:token=%61", hsm.URI{Token: "a"}, "pkcs11:token=a"},
		{"a percent sign that stays one", "pkcs11:token=a%2541", hsm.URI{Token: "a%41"}, ""},
		{"a plus that is no blank", "pkcs11:token=a+b", hsm.URI{Token: "a+b"}, "pkcs11:token=a%2Bb"},
		{"what the path allows", "pkcs11:token=:[]@!$'()*+,=&", hsm.URI{Token: ":[]@!$'()*+,=&"}, "pkcs11:token=%3A%5B%5D%40%21%24%27%28%29%2A%2B%2C%3D%26"},
		{"what the query allows", "pkcs11:token=a?pin-source=file:a?b|c/d", hsm.URI{Token: "a", PINSource: "file:a?b|c/d"}, "pkcs11:token=a?pin-source=file:a%3Fb%7Cc/d"},
		{"an encoded separator", "pkcs11:token=a%3Bb?pin-source=file:a%26b", hsm.URI{Token: "a;b", PINSource: "file:a&b"}, ""},
		{"a file URI with an empty host", "pkcs11:token=a?pin-source=file:///etc/pin", hsm.URI{Token: "a", PINSource: "file:/etc/pin"}, "pkcs11:token=a?pin-source=file:/etc/pin"},
		{"an id of raw and of encoded bytes", "pkcs11:token=a;id=0123456789%61bcdef", hsm.URI{Token: "a", ID: []byte("0123456789abcdef")},
			"pkcs11:token=a;id=%30%31%32%33%34%35%36%37%38%39%61%62%63%64%65%66"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := hsm.ParseURI(c.uri)
			if c.canonical == "refused" {
				if !errors.Is(err, hsm.ErrURI) {
					t.Fatalf("got %v, want ErrURI", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, *got); diff != "" {
				t.Error(diff)
			}
			want := c.canonical
			if want == "" {
				want = c.uri
			}
			if got.String() != want {
				t.Errorf("written as %s, want %s", got, want)
			}
		})
	}
}

func TestParseURIRefuses(t *testing.T) {
	const id = "0123456789abcdef"
	cases := []struct{ name, uri, says string }{
		{"nothing", "", "begins with"},
		{"more than a kilobyte when it is encoded", "pkcs11:token=a?pin-source=file:" + strings.Repeat("(", 400), "canonical"},
		{"another scheme", "file:token=a", "begins with"},
		{"no scheme", "token=a", "begins with"},
		{"a scheme alone", "pkcs11:", "name=value"},
		{"no token", "pkcs11:object=k", "no token"},
		{"a serial without a token", "pkcs11:serial=1", "no token"},
		{"more than a kilobyte", "pkcs11:token=a?pin-source=file:" + strings.Repeat("x", 1000), "longer"},
		{"a slot number", "pkcs11:token=a;slot-id=0", "slot-id"},
		{"a slot's description", "pkcs11:token=a;slot-description=x", "slot-description"},
		{"a slot's maker", "pkcs11:token=a;slot-manufacturer=x", "slot-manufacturer"},
		{"a library's maker", "pkcs11:token=a;library-manufacturer=x", "library-manufacturer"},
		{"a library's version", "pkcs11:token=a;library-version=2.6", "library-version"},
		{"a library's description", "pkcs11:token=a;library-description=x", "library-description"},
		{"a PIN", "pkcs11:token=a?pin-value=hunter2", "pin-value"},
		{"a PIN before the question mark", "pkcs11:token=a;pin-value=hunter2", "pin-value"},
		{"a module's name", "pkcs11:token=a?module-name=softhsm2", "module-name"},
		{"a relative module", "pkcs11:token=a?module-path=lib/m.so", "absolute"},
		{"a module that the loader would search for", "pkcs11:token=a?module-path=m.so", "absolute"},
		{"a module up and down the tree", "pkcs11:token=a?module-path=/lib/../m.so", "absolute"},
		{"a module with two slashes", "pkcs11:token=a?module-path=//m.so", "absolute"},
		{"a module with a line end", "pkcs11:token=a?module-path=/m%0A.so", "control"},
		{"a module with a NUL", "pkcs11:token=a?module-path=/m.so%00", "control"},
		{"a module before the question mark", "pkcs11:token=a;module-path=%2Fm.so", "before the question mark"},
		{"a token behind the question mark", "pkcs11:token=a?object=k", "behind the question mark"},
		{"an unknown attribute", "pkcs11:token=a;colour=red", "colour"},
		{"an unknown attribute in the query", "pkcs11:token=a?colour=red", "colour"},
		{"a vendor's attribute", "pkcs11:token=a;x-serial=hunter2", "x-serial"},
		{"an attribute in capitals", "pkcs11:Token=a", "no such attribute"},
		{"two tokens", "pkcs11:token=a;token=b", "token is given twice"},
		{"one token twice", "pkcs11:token=a;token=a", "token is given twice"},
		{"two PIN sources", "pkcs11:token=a?pin-source=file:a&pin-source=file:b", "pin-source is given twice"},
		{"an empty token", "pkcs11:token=", "token is empty"},
		{"an empty object", "pkcs11:token=a;object=", "object is empty"},
		{"an empty PIN source", "pkcs11:token=a?pin-source=", "pin-source is empty"},
		{"an empty query", "pkcs11:token=a?", "name=value"},
		{"an empty attribute", "pkcs11:token=a;;object=k", "name=value"},
		{"a separator at the end", "pkcs11:token=a;", "name=value"},
		{"a name without a value", "pkcs11:token=a;hunter2", "name=value"},
		{"a name without a value in the query", "pkcs11:token=a?hunter2", "name=value"},
		{"a percent sign alone", "pkcs11:token=a%", "hexadecimal"},
		{"one digit", "pkcs11:token=a%4", "hexadecimal"},
		{"no hexadecimal digit", "pkcs11:token=a%4g", "hexadecimal"},
		{"a signed digit", "pkcs11:token=a%+4", "hexadecimal"},
		{"a blank", "pkcs11:token=a b", "percent-encoded"},
		{"a slash in the path", "pkcs11:token=a/b", "percent-encoded"},
		{"a fragment", "pkcs11:token=a#b", "percent-encoded"},
		{"a quotation mark", "pkcs11:token=\"a\"", "percent-encoded"},
		{"a letter beyond ASCII", "pkcs11:token=ä", "percent-encoded"},
		{"an encoded letter beyond ASCII", "pkcs11:token=%C3%A4", "printable ASCII"},
		{"a label of 33 bytes", "pkcs11:token=" + strings.Repeat("a", 33), "1 to 32"},
		{"a label with a blank at the end", "pkcs11:token=a%20", "blanks"},
		{"a serial of 17 bytes", "pkcs11:token=a;serial=" + id + "0", "1 to 16"},
		{"a serial with a blank before", "pkcs11:token=a;serial=%201", "blanks"},
		{"a manufacturer of 33 bytes", "pkcs11:token=a;manufacturer=" + strings.Repeat("a", 33), "1 to 32"},
		{"a model of 17 bytes", "pkcs11:token=a;model=" + id + "0", "1 to 16"},
		{"a key label of 65 bytes", "pkcs11:token=a;object=" + strings.Repeat("a", 65), "1 to 64"},
		{"a key label with a line end", "pkcs11:token=a;object=a%0Ab", "printable"},
		{"an id of 15 bytes", "pkcs11:token=a;id=" + id[1:], "16 bytes"},
		{"an id of 17 bytes", "pkcs11:token=a;id=" + id + "0", "16 bytes"},
		{"a certificate", "pkcs11:token=a;type=cert", "private"},
		{"a PIN for a source", "pkcs11:token=a?pin-source=hunter2", "file:PATH"},
		{"a command for a source", "pkcs11:token=a?pin-source=|cat%20pin", "file:PATH"},
		{"a bare path for a source", "pkcs11:token=a?pin-source=/etc/pin", "file:PATH"},
		{"a source from the web", "pkcs11:token=a?pin-source=https://a/b", "file:PATH"},
		{"a scheme of a source in capitals", "pkcs11:token=a?pin-source=FILE:/etc/pin", "file:PATH"},
		{"a file without a path", "pkcs11:token=a?pin-source=file:", "path"},
		{"a directory for a source", "pkcs11:token=a?pin-source=file:/etc/", "path"},
		{"a file on another host", "pkcs11:token=a?pin-source=file://a/b", "host"},
		{"a file on this host by name", "pkcs11:token=a?pin-source=file://localhost/b", "host"},
		{"a file with four slashes", "pkcs11:token=a?pin-source=file:////b", "path"},
		{"a file encoded twice", "pkcs11:token=a?pin-source=file:/etc/a%2541", "without %"},
		{"a file with a line end", "pkcs11:token=a?pin-source=file:/etc/a%0A", "control"},
		{"a credential without a name", "pkcs11:token=a?pin-source=credential:", "credential"},
		{"a credential in another directory", "pkcs11:token=a?pin-source=credential:../pin", "credential"},
		{"a credential that is the directory", "pkcs11:token=a?pin-source=credential:.", "credential"},
		{"a credential that is the directory above", "pkcs11:token=a?pin-source=credential:..", "credential"},
		{"a credential with a NUL", "pkcs11:token=a?pin-source=credential:a%00", "control"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u, err := hsm.ParseURI(c.uri)
			if !errors.Is(err, hsm.ErrURI) || u != nil {
				t.Fatalf("got %v, %v; want ErrURI", u, err)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q repeats a value", err)
			}
		})
	}
}

func TestURIOfAKeyAndItsToken(t *testing.T) {
	key := &hsm.URI{Token: "a", Serial: "s", Manufacturer: "m", Model: "o", Object: "k", ID: []byte(idBytes), Type: "private", ModulePath: "/m.so", PINSource: "file:p"}
	other := key.WithObject("l")
	if want := "pkcs11:token=a;serial=s;manufacturer=m;model=o;object=l?module-path=/m.so&pin-source=file:p"; other.String() != want {
		t.Errorf("WithObject gives %s, want %s", other, want)
	}
	if key.Object != "k" || key.Type != "private" || len(key.ID) != 16 {
		t.Errorf("WithObject changed the first to %s", key)
	}
	pin := pinOf(t, secret)
	cfg := key.Config(pin)
	if cfg.Module != "/m.so" || cfg.TokenLabel != "a" || cfg.Serial != "s" || cfg.Manufacturer != "m" || cfg.Model != "o" || !bytes.Equal(cfg.PIN.Reveal(), pin.Reveal()) {
		t.Errorf("Config gives %+v", cfg)
	}
}

// A URI that another name of the same token is in, or another maker's, does
// not open this one.
func TestAURIOpensTheTokenItNamesAndNoOther(t *testing.T) {
	cfg := newConfig(t)
	info := openToken(t, cfg).Info()
	whole := hsm.URI{ModulePath: store.Module, Token: info.Label, Serial: info.Serial, Manufacturer: info.Manufacturer, Model: info.Model}
	cases := []struct {
		name   string
		change func(*hsm.URI)
		want   error
	}{
		// The token is open, so to find it is to be told so.
		{"the whole truth", func(*hsm.URI) {}, hsm.ErrInput},
		{"the label alone", func(u *hsm.URI) { u.Serial, u.Manufacturer, u.Model = "", "", "" }, hsm.ErrInput},
		{"another label", func(u *hsm.URI) { u.Token = "else" }, hsm.ErrTokenNotFound},
		{"another serial", func(u *hsm.URI) { u.Serial = "0000" }, hsm.ErrTokenNotFound},
		{"another manufacturer", func(u *hsm.URI) { u.Manufacturer = "else" }, hsm.ErrTokenNotFound},
		{"another model", func(u *hsm.URI) { u.Model = "else" }, hsm.ErrTokenNotFound},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u := whole
			c.change(&u)
			back, err := hsm.ParseURI(u.String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := module.Token(t.Context(), back.Config(cfg.PIN)); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func FuzzParseURI(f *testing.F) {
	for _, s := range []string{
		"", "pkcs11:", "pkcs11:token=a", "PKCS11:token=%61;object=k;id=%00%01%02%03%04%05%06%07%08%09%0A%0B%0C%0D%0E%0F;type=public",
		"pkcs11:token=a;serial=1;manufacturer=m;model=o?module-path=/usr/lib/m.so&pin-source=file:///etc/pin",
		"pkcs11:token=a?pin-source=credential:pin", "pkcs11:token=a?pin-source=file:a?b|c", "pkcs11:token=%", "pkcs11:token=a;slot-id=0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := hsm.ParseURI(s)
		if err != nil {
			if !errors.Is(err, hsm.ErrURI) {
				t.Fatalf("%q: %v is not ErrURI", s, err)
			}
			return
		}
		back, err := hsm.ParseURI(u.String())
		if err != nil {
			t.Fatalf("%q is written as %q: %v", s, u, err)
		}
		if diff := cmp.Diff(u, back); diff != "" {
			t.Fatalf("%q is written as %q: %s", s, u, diff)
		}
	})
}
