//go:build !windows

package cli

import "os"

// terminal opens the terminal of this process, to be asked and written to.
func terminal() (*os.File, *os.File, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	return tty, tty, err
}
