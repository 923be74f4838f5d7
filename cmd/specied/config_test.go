package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/hsm"
)

func unmarshal(t testing.TB, text string, into any) {
	t.Helper()
	check(t, json.Unmarshal([]byte(text), into))
}

const goodURI = `"pkcs11:token=bank?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:bank.pin"`

func TestASignersConfigurationIsRefusedBeforeATokenIsTouched(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		want       error
	}{
		{"no token", "socket: s", errConfig},
		{"no socket", "tokens: [{uri: " + goodURI + "}]", errConfig},
		{"a URI that names a key", `{socket: s, tokens: [{uri: "pkcs11:token=bank;object=a?module-path=/m.so"}]}`, errConfig},
		{"a URI without a module", `{socket: s, tokens: [{uri: "pkcs11:token=bank"}]}`, errConfig},
		{"a PIN in a URI", `{socket: s, tokens: [{uri: "pkcs11:token=bank?module-path=/m.so&pin-value=1234"}]}`, hsm.ErrURI},
		{"a slot in a URI", `{socket: s, tokens: [{uri: "pkcs11:token=bank;slot-id=1?module-path=/m.so"}]}`, hsm.ErrURI},
		{"a user who is not there", "{socket: s, allow: [nobody-at-all], tokens: [{uri: " + goodURI + "}]}", errConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cfg signerConfig
			_, err := loadYAML(file(t, c.yaml), &cfg)
			check(t, err)
			if _, err := cfg.check(); !errors.Is(err, c.want) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestAConfigurationIsStrict(t *testing.T) {
	for name, yaml := range map[string]string{
		"a PIN file beside the URI": "{socket: s, tokens: [{uri: u, pin_file: p}]}",
		"a field that is not there": "{socket: s, sockets: s}",
		"a PIN":                     "{socket: s, pin: 1234}",
	} {
		if _, err := loadYAML(file(t, yaml), new(signerConfig)); !errors.Is(err, errConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := loadYAML(file(t, "{signing_key: receipts, signer: s}"), new(issuerConfig)); !errors.Is(err, errConfig) {
		t.Errorf("a signing key by label: got %v", err)
	}
}

func TestAWrongConfigurationIsToldByLineAndKey(t *testing.T) {
	for yaml, want := range map[string]string{
		"listen: 1.2.3.4:1\nnonsense: 2\n":       `: line 2: "nonsense" is no key here`,
		"listen: 1.2.3.4:1\nadmin_socket\n":      "could not find expected ':'",
		"listen: 1.2.3.4:1\nlimits: [unclosed\n": ": line ",
	} {
		_, err := loadYAML(file(t, yaml), new(issuerConfig))
		if !errors.Is(err, errConfig) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "go-yaml") || strings.Contains(err.Error(), "main.") {
			t.Errorf("%q: got %v", yaml, err)
		}
	}
}

func TestASignersUserIsNamedOrOnesOwn(t *testing.T) {
	for yaml, want := range map[string][]uint32{
		"{signer: s}":                    nil,
		"{signer: s, signer_user: root}": {0},
		"{signer: s, signer_user: 4711}": {4711},
	} {
		var cfg issuerConfig
		dir, err := loadYAML(file(t, yaml), &cfg)
		check(t, err)
		if got := must(dir.client(cfg.Keys))(t); !slices.Equal(got.Users, want) || got.Socket != dir.path("s") {
			t.Errorf("%s: got %+v", yaml, got)
		}
	}
}

func TestKeysAreInOnePlace(t *testing.T) {
	for name, yaml := range map[string]string{
		"nowhere": "{}",
		"in two":  "{signer: s, hsm: {uri: " + goodURI + "}}",

		"behind a signer of a user who is not there": "{signer: s, signer_user: nobody-at-all}",
		"behind a user without a signer":             "{signer_user: root, hsm: {uri: " + goodURI + "}}",
	} {
		for _, into := range []any{new(issuerConfig), new(groupConfig)} {
			dir, err := loadYAML(file(t, yaml), into)
			check(t, err)
			var c keysConfig
			switch cfg := into.(type) {
			case *issuerConfig:
				c = cfg.Keys
			case *groupConfig:
				c = cfg.Keys
			}
			if _, err := dir.keys(t.Context(), c, &app{}); !errors.Is(err, errConfig) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
}

func TestUsersAndGroupsGoByNameOrNumber(t *testing.T) {
	for name, want := range map[string]uint32{"root": 0, "0": 0, "4294967295": 1<<32 - 1, "12345": 12345} {
		if got, err := userID(name); err != nil || got != want {
			t.Errorf("user %s: %d, %v", name, got, err)
		}
	}
	for name, want := range map[string]int{"": -1, "root": 0, "54321": 54321} {
		if got, err := groupID(name); err != nil || got != want {
			t.Errorf("group %s: %d, %v", name, got, err)
		}
	}
	for _, name := range []string{"-1", "no-such-group", "4294967296"} {
		if _, err := groupID(name); !errors.Is(err, errConfig) {
			t.Errorf("group %s: %v", name, err)
		}
		if _, err := userID(name); !errors.Is(err, errConfig) {
			t.Errorf("user %s: %v", name, err)
		}
	}
}

func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	check(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}
