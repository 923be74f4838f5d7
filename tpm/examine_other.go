//go:build !linux

package tpm

// file leaves it to openFile to say what it thinks of device files.
func (e *Examination) file(string) bool { return true }
