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
		{"", address{device: "/dev/tpmrm0"}},
		{"tbs", address{services: true}},
		{"tbs:", address{services: true}},
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
		"an unknown kind":             "tpm:1",
		"options for tbs":             "tbs:1",
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

func TestStringsOfOtherToolsAreToldWhatToWriteInstead(t *testing.T) {
	for tcti, want := range map[string]string{
		"mssim:host=localhost,port=2321": "start swtpm",
		"tabrmd":                         "device:/dev/tpmrm0",
		"tabrmd:bus_name=com.intel.tss2": "device:/dev/tpmrm0",
		"libtpms:/x/state":               "start swtpm",
		"cmd:tpm2_send":                  "device:/dev/tpmrm0, tbs (on Windows), swtpm:path=",
		"/dev/tpm0":                      "device:/dev/tpm0",
	} {
		if _, err := parseAddress(tcti); !errors.Is(err, ErrAddress) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want ErrAddress with %q", tcti, err, want)
		}
	}
}

func TestWindowsServicesAreNotLookedForElsewhere(t *testing.T) {
	if _, err := Open(t.Context(), "tbs"); !errors.Is(err, ErrAddress) {
		t.Fatalf("got %v, want ErrAddress", err)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"", "tbs", "device:/dev/tpmrm0", "swtpm:host=::1,port=2321", "swtpm:path=/x/sock", "mssim"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAddress(s)
		if err != nil {
			if !errors.Is(err, ErrAddress) {
				t.Fatalf("got %v, want ErrAddress", err)
			}
			return
		}
		if a.device == "" && !a.services && (a.network == "" || a.target == "") {
			t.Fatalf("%q leads nowhere", s)
		}
	})
}
