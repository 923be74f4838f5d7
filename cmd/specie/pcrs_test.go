package main

import (
	"slices"
	"testing"
)

func TestRegistersAreListed(t *testing.T) {
	for text, want := range map[string][]int{"7": {7}, "7, 0,2": {0, 2, 7}, "7,7": {7}, "0,23": {0, 23}} {
		if got, err := parsePCRs(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "24", "-1", "7,", "seven", "0-7", "sha1:7"} {
		if got, err := parsePCRs(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestRegistersThatSayNothingAreWarnedOf(t *testing.T) {
	got := pcrWarnings([]int{0, 7, 16, 23}, [][32]byte{{}, {1}, {1}, {}})
	want := []string{
		"PCR 0 is all zeros: nothing was measured into it, so it says nothing of this machine",
		"any program can reset PCR 16: don't approve a state by it", "any program can reset PCR 23: don't approve a state by it",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
