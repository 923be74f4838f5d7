//go:build !linux

package sqlitefile

// heldBy would say who has the file open.
func heldBy(_ string, err error) error { return err }
