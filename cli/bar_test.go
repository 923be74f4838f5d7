package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnErrorStandsOnALineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		o := &Out{Program: "specie", Stderr: &b}
		step := o.bar("enrolling", &b, func() int { return 80 })
		time.Sleep(time.Second)
		step(1, 2)
		o.Fail(errors.New("no"), "")
		if !strings.HasSuffix(b.String(), "1/2\nspecie: error: no\n") {
			t.Errorf("got %q", &b)
		}
		b.Reset()
		step(2, 2)
		o.Note("done")
		if strings.Contains(b.String(), "\n\n") || !strings.HasSuffix(b.String(), "\nspecie: done\n") {
			t.Errorf("got %q", &b)
		}
	})
}

func TestABarFitsIntoItsLine(t *testing.T) {
	for columns, want := range map[int]string{
		200: "verifying coins          [==========                    ] 1/3",
		80:  "verifying coins          [==========                    ] 1/3",
		70:  "verifying coins          [======              ] 1/3",
		50:  "verifying coins [===      ] 1/3",
		40:  "verifying coins 1/3",
	} {
		if got := barLine("verifying coins", 1, 3, columns); got != want {
			t.Errorf("%d columns: got %q, want %q", columns, got, want)
		}
	}
}
