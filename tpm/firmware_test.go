package tpm

import (
	"testing"
	"time"
)

func TestFlawedFirmwareIsKnownByItsVersion(t *testing.T) {
	for _, c := range []struct {
		manufacturer string
		version      [4]uint16
		want         string
	}{
		{"IFX", [4]uint16{4, 33}, "CVE-2017-15361 (ROCA)"},
		{"IFX", [4]uint16{4, 34}, ""},
		{"IFX", [4]uint16{4, 40, 119}, "CVE-2017-15361 (ROCA)"},
		{"IFX", [4]uint16{4, 43}, ""},
		{"IFX", [4]uint16{5, 61, 9999, 9999}, "CVE-2017-15361 (ROCA)"},
		{"IFX", [4]uint16{5, 62}, ""},
		{"IFX", [4]uint16{7, 61}, "CVE-2017-15361 (ROCA)"},
		{"IFX", [4]uint16{7, 85}, ""},
		{"IFX", [4]uint16{15, 21}, ""},
		{"IFX", [4]uint16{133, 32}, "CVE-2017-15361 (ROCA)"},
		{"STM", [4]uint16{71, 12}, "CVE-2019-16863 (TPM-FAIL)"},
		{"STM", [4]uint16{71, 16}, ""},
		{"STM", [4]uint16{73, 4}, "CVE-2019-16863 (TPM-FAIL)"},
		{"STM", [4]uint16{73, 9}, "CVE-2019-16863 (TPM-FAIL)"},
		{"STM", [4]uint16{73, 20}, ""},
		{"STM", [4]uint16{73, 64}, ""},
		{"STM", [4]uint16{74, 16}, "CVE-2019-16863 (TPM-FAIL)"},
		{"STM", [4]uint16{74, 20}, ""},
		{"INTC", [4]uint16{11, 8, 50, 3425}, "CVE-2019-11090 (TPM-FAIL)"},
		{"INTC", [4]uint16{11, 8, 70, 3626}, ""},
		{"INTC", [4]uint16{12, 0, 44}, "CVE-2019-11090 (TPM-FAIL)"},
		{"INTC", [4]uint16{12, 0, 45}, ""},
		{"INTC", [4]uint16{403, 1, 0, 0}, ""},
		{"NTC", [4]uint16{5, 61}, ""},
	} {
		if f, ok := knownFlaw(c.manufacturer, c.version); f.name != c.want || ok != (c.want != "") {
			t.Errorf("%s %v: got %q, want %q", c.manufacturer, c.version, f.name, c.want)
		}
	}
}

func FuzzTestResult(f *testing.F) {
	f.Add([]byte{0, 2, 1, 2, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := testResult(b); err == nil && len(b) < 6 {
			t.Fatal("a result from too few bytes")
		}
	})
}

func TestAGuardCountsWhatIsLeft(t *testing.T) {
	for _, c := range []struct {
		failures, most uint32
		left           int
		wait           time.Duration
	}{
		{0, 3, 3, time.Minute},
		{2, 3, 1, time.Minute},
		{3, 3, 0, time.Minute},
		{5, 3, 0, 3 * time.Minute},
	} {
		g := guard{failures: c.failures, most: c.most, interval: time.Minute}
		if g.left() != c.left || g.wait() != c.wait {
			t.Errorf("%d of %d: %d left, %v to wait; want %d and %v", c.failures, c.most, g.left(), g.wait(), c.left, c.wait)
		}
	}
}
