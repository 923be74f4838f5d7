package tpm

import (
	"errors"
	"strings"
	"testing"
)

func TestAddressesAreUnderstood(t *testing.T) {
	cases := []struct {
		tcti string
		want address
	}{
		{"", address{device: defaultDevice}},
		{"device:/dev/tpmrm0", address{device: "/dev/tpmrm0"}},
		{"device:/dev/tpm0", address{device: "/dev/tpm0"}},
		{"swtpm", address{network: "tcp", target: "127.0.0.1:2321"}},
		{"swtpm:", address{network: "tcp", target: "127.0.0.1:2321"}},
		{"swtpm:host=127.0.0.1,port=2322", address{network: "tcp", target: "127.0.0.1:2322"}},
		{"swtpm:port=1", address{network: "tcp", target: "127.0.0.1:1"}},
		{"swtpm:host=::1", address{network: "tcp", target: "[::1]:2321"}},
		{"swtpm:path=/x/sock", address{network: "unix", target: "/x/sock"}},
	}
	for _, c := range cases {
		got, err := parseAddress(c.tcti)
		if err != nil || got != c.want {
			t.Errorf("%q: got %+v, %v, want %+v", c.tcti, got, err, c.want)
		}
	}
}

func TestOtherAddressesAreRefused(t *testing.T) {
	for name, tcti := range map[string]string{
		"an unknown kind":             "mssim:host=localhost",
		"a bare path":                 "/dev/tpmrm0",
		"a device without a path":     "device:",
		"an unknown option":           "swtpm:pfad=/x/sock",
		"an empty option":             "swtpm:path=",
		"an option given twice":       "swtpm:port=1,port=2",
		"a path and a port":           "swtpm:path=/x/sock,port=2321",
		"a port that is no number":    "swtpm:port=tpm",
		"a port that is too large":    "swtpm:port=65536",
		"port zero":                   "swtpm:port=0",
		"a path longer than sun_path": "swtpm:path=/" + strings.Repeat("x", maxSocketPath),
	} {
		if _, err := parseAddress(tcti); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: got %v, want ErrAddress", name, err)
		}
	}
}
