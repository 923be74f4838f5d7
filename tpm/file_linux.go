package tpm

import (
	"fmt"
	"os"
	"syscall"

	"github.com/google/go-tpm/tpm2/transport"
)

// DefaultTCTI is what the empty string stands for: the kernel's resource manager,
// which swaps objects and sessions, so that programs do not run each other out
// of slots.
const DefaultTCTI = "device:/dev/tpmrm0"

// openFile opens a TPM's character device. os.OpenFile would put it into
// non-blocking mode, in which the driver answers an early read with nothing.
func openFile(path string) (transport.TPMCloser, error) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, unavailable(path, &os.PathError{Op: "open", Path: path, Err: err})
	}
	file := os.NewFile(uintptr(fd), path)
	info, err := file.Stat()
	if err == nil && info.Mode()&os.ModeCharDevice == 0 {
		err = fmt.Errorf("%s is not a device", path)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return filePort{file}, nil
}

func openServices() (transport.TPMCloser, error) {
	return nil, fmt.Errorf("%w: tbs is a matter of Windows; write %s", ErrAddress, DefaultTCTI)
}
