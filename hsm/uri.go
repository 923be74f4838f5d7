package hsm

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// maxURI bounds a PKCS#11 URI, in bytes.
const maxURI = 1 << 10

// A URI is a PKCS#11 URI (RFC 7512) that names a token, or a key on it, and
// says where its PIN is. It holds no secret and may be shown and logged.
//
//	pkcs11:token=demobank-online;object=signing-2026?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:online.pin
type URI struct {
	ModulePath   string // absolute path of the library; may be empty where the module is known
	Token        string // label, 1 to 32 printable ASCII bytes; never empty
	Serial       string // at most 16 printable ASCII bytes; empty matches any
	Manufacturer string // at most 32; empty matches any
	Model        string // at most 16; empty matches any
	Object       string // label of a key, at most 64 printable ASCII bytes
	ID           []byte // CKA_ID of a key, 16 bytes or none
	Type         string // "private", "public", "secret-key" or none
	PINSource    string // "file:PATH", "credential:NAME", or "" to ask; see ReadPIN
}

// ParseURI reads a URI of at most 1 KiB as RFC 7512, section 2.3 writes it.
// Every refusal is ErrURI and repeats no value, so that a PIN which somebody
// wrote into it does not reach a log.
//
// It is stricter than the RFC, which lets a reader ignore what he does not
// know: a reference that is half understood opens another token. Refused are
// attributes that are unknown, empty or given twice; slot-id, slot-description
// and slot-manufacturer, because slots are renumbered at will; library-*,
// which the path settles; module-name, which is searched for; pin-value; a
// module-path that is not absolute and clean; a URI without token; and what
// no token or key of Specie can be called.
func ParseURI(s string) (*URI, error) {
	if len(s) > maxURI {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrURI, maxURI)
	}
	const scheme = "pkcs11:"
	if len(s) < len(scheme) || !strings.EqualFold(s[:len(scheme)], scheme) {
		return nil, fmt.Errorf("%w: it begins with %q", ErrURI, scheme)
	}
	path, query, hasQuery := strings.Cut(s[len(scheme):], "?")
	u := new(URI)
	if err := u.readAttributes(path, ";", "&"); err != nil {
		return nil, err
	}
	if hasQuery {
		if err := u.readAttributes(query, "&", "/?|"); err != nil {
			return nil, err
		}
	}
	if u.Token == "" {
		return nil, fmt.Errorf("%w: it names no token (token=…)", ErrURI)
	}
	if len(u.String()) > maxURI {
		return nil, fmt.Errorf("%w: longer than %d bytes in its canonical form", ErrURI, maxURI)
	}
	return u, nil
}

// readAttributes takes one half of the URI, in which the characters of plain
// may stand besides those that both halves allow.
func (u *URI) readAttributes(s, separator, plain string) error {
	seen := make(map[string]bool)
	inQuery := separator == "&"
	for pair := range strings.SplitSeq(s, separator) {
		name, raw, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("%w: an attribute is name=value", ErrURI)
		}
		if seen[name] {
			return fmt.Errorf("%w: %s is given twice", ErrURI, clip(name))
		}
		seen[name] = true
		if err := refusedAttribute(name); err != nil {
			return err
		}
		value, err := percentDecode(raw, plain)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrURI, clip(name), err)
		}
		if len(value) == 0 {
			return fmt.Errorf("%w: %s is empty", ErrURI, clip(name))
		}
		if err := u.set(name, value, inQuery); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrURI, clip(name), err)
		}
	}
	return nil
}

// refusedAttribute gives a reason for what the RFC knows and Specie does not
// want.
func refusedAttribute(name string) error {
	switch name {
	case "slot-id", "slot-description", "slot-manufacturer":
		return fmt.Errorf("%w: %s: slots are renumbered at will; name the token", ErrURI, name)
	case "library-manufacturer", "library-description", "library-version":
		return fmt.Errorf("%w: %s: the library is the one at module-path", ErrURI, name)
	case "module-name":
		return fmt.Errorf("%w: module-name: a library is not searched for; give module-path", ErrURI)
	case "pin-value":
		return fmt.Errorf("%w: pin-value: a PIN in a URI ends up in logs and process lists; give pin-source", ErrURI)
	}
	return nil
}

// set checks the value and puts it into its field.
func (u *URI) set(name string, value []byte, inQuery bool) error {
	text := string(value)
	if inQuery {
		switch name {
		case "module-path":
			u.ModulePath = text
			return checkModulePath(text)
		case "pin-source":
			source, err := parsePINSource(text)
			u.PINSource = source.String()
			return err
		}
		return fmt.Errorf("no such attribute behind the question mark")
	}
	switch name {
	case "token":
		u.Token = text
		return checkTokenLabel(text)
	case "serial":
		u.Serial = text
		return checkInfo(text, maxSerial)
	case "manufacturer":
		u.Manufacturer = text
		return checkInfo(text, maxManufacturer)
	case "model":
		u.Model = text
		return checkInfo(text, maxModel)
	case "object":
		u.Object = text
		return checkKeyLabel(text)
	case "id":
		u.ID = value
		if len(value) != idSize {
			return fmt.Errorf("a CKA_ID has %d bytes, not %d", idSize, len(value))
		}
		return nil
	case "type":
		u.Type = text
		if !slices.Contains([]string{"private", "public", "secret-key"}, text) {
			return fmt.Errorf(`it is "private", "public" or "secret-key"`)
		}
		return nil
	}
	return fmt.Errorf("no such attribute before the question mark")
}

// checkModulePath refuses a path that depends on where the process stands, or
// that is written in a second way: modules are told apart by their paths.
func checkModulePath(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("the path must be absolute and without . and .. and double slashes")
	}
	if !cleanText(path) {
		return fmt.Errorf("control character in a path")
	}
	return nil
}

// checkInfo refuses what a field of CK_TOKEN_INFO of n bytes can't say.
func checkInfo(s string, n int) error {
	if len(s) > n || strings.TrimSpace(s) != s || !printable(s) {
		return fmt.Errorf("it has 1 to %d printable ASCII bytes without blanks at the ends", n)
	}
	return nil
}

// cleanText tells whether s is free of control characters.
func cleanText(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) < 0
}

// clip keeps a name that is none out of an error: what stands there may be
// anything.
func clip(name string) string {
	if len(name) > 32 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") != "" {
		return "an attribute"
	}
	return name
}

// percentDecode undoes the encoding of RFC 3986, section 2.1, once. Outside of
// it only the characters that RFC 7512 lets stand may stand; + is a plus.
func percentDecode(s, plain string) ([]byte, error) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case unreserved(c) || strings.IndexByte(":[]@!$'()*+,=", c) >= 0 || strings.IndexByte(plain, c) >= 0:
			out = append(out, c)
		case c == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		case c == '%':
			return nil, fmt.Errorf("two hexadecimal digits stand behind a %%")
		default:
			return nil, fmt.Errorf("a character must be percent-encoded (position %d of the value)", i+1)
		}
	}
	return out, nil
}

// percentEncode encodes all but unreserved characters and those of plain.
func percentEncode(b *strings.Builder, s []byte, plain string) {
	const digits = "0123456789ABCDEF"
	for _, c := range s {
		if unreserved(c) || strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
}

// unreserved is RFC 3986, section 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// String returns the one way in which this package writes the URI: a fixed
// order of attributes, everything percent-encoded that could need it, the id
// wholly (RFC 7512, section 2.3). ParseURI reads it back to the same URI.
func (u *URI) String() string {
	var b strings.Builder
	b.WriteString("pkcs11:")
	first := true
	put := func(separator, name string, value []byte, encode func([]byte)) {
		if len(value) == 0 {
			return
		}
		if !first {
			b.WriteString(separator)
		}
		first = false
		b.WriteString(name + "=")
		encode(value)
	}
	text := func(v []byte) { percentEncode(&b, v, "") }
	whole := func(v []byte) {
		for _, c := range v {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	put(";", "token", []byte(u.Token), text)
	put(";", "serial", []byte(u.Serial), text)
	put(";", "manufacturer", []byte(u.Manufacturer), text)
	put(";", "model", []byte(u.Model), text)
	put(";", "object", []byte(u.Object), text)
	put(";", "id", u.ID, whole)
	put(";", "type", []byte(u.Type), text)
	first = true
	query := func(name, value string) {
		if first && value != "" {
			b.WriteByte('?')
		}
		put("&", name, []byte(value), func(v []byte) { percentEncode(&b, v, "/:") })
	}
	query("module-path", u.ModulePath)
	query("pin-source", u.PINSource)
	return b.String()
}

// WithObject returns the URI of the key under label on the same token; id and
// type of the key that u may have named are dropped. An empty label names the
// token itself.
func (u URI) WithObject(label string) *URI {
	u.Object, u.ID, u.Type = label, nil, ""
	return &u
}

// Config returns the configuration of the token that the URI names, to be
// opened with pin. Sessions, queue and logger are the caller's to add.
func (u *URI) Config(pin PIN) Config {
	return Config{
		Module:       u.ModulePath,
		TokenLabel:   u.Token,
		Serial:       u.Serial,
		Manufacturer: u.Manufacturer,
		Model:        u.Model,
		PIN:          pin,
	}
}

// ReadPIN reads the token's PIN from where the URI says, by ReadPINSource; a
// relative path is taken from dir. Where the URI says nothing, ask is called.
func (u *URI) ReadPIN(dir string, ask func(prompt string) (PIN, error)) (PIN, error) {
	return ReadPINSource(u.PINSource, dir, fmt.Sprintf("PIN of token %q", u.Token), ask)
}
