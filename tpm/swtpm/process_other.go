//go:build !linux

package swtpm

import "os/exec"

// dieWithParent has no equivalent here: an emulator outlives a killed parent.
func dieWithParent(*exec.Cmd) {}
