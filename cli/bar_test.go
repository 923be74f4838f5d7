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
		step := o.bar("enrolling", &b)
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
