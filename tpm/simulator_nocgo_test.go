//go:build !cgo

package tpm_test

// simulators is empty: the TPM within the process is written in C.
func simulators() []backend { return nil }
