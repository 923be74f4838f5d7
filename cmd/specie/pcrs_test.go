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
