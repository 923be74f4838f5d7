package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"
)

// Package hsm shows what hiding does; here is that every command does it. The
// program is kept from ending by a full pipe.
func TestTheProgramHidesItsMemory(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.Write(make([]byte, 64<<10)); err != nil { // pipe(7): its capacity
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "--help")
	cmd.Args[0] = "specie-ceremony" // see TestMain
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	none := regexp.MustCompile(`(?m)^Max core file size +0 +0 +bytes`)
	var limits []byte
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if limits, err = os.ReadFile(fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid)); err != nil {
			t.Fatal(err)
		}
		if none.Match(limits) {
			return
		}
	}
	t.Errorf("the program may dump its memory:\n%s", limits)
}
