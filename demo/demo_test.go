package main

import (
	"os/exec"
	"testing"
)

// TestDemo plays the whole demo with freshly built programs: what README
// promises is what CI runs.
func TestDemo(t *testing.T) {
	bin := t.TempDir()
	for _, p := range []string{"specie", "specied", "specie-ceremony"} {
		cmd := exec.Command("go", "build", "-o", bin+"/"+p, "../cmd/"+p)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", p, err, out)
		}
	}
	if err := play(t.Context(), bin, t.TempDir()); err != nil {
		t.Fatal(err)
	}
}
