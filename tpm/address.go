package tpm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
)

// maxSocketPath is the longest path of a UNIX socket in bytes: sun_path holds
// 108 with its terminating zero.
const maxSocketPath = 107

// answerBudget is how long Open waits for the first answer: an emulator serves one
// program at a time, and a TPM may still be testing itself.
const answerBudget = retryBudget + 5*time.Second

// address is a parsed TCTI string: a device file, Windows' TPM Base Services, or
// a socket.
type address struct {
	device          string
	services        bool
	network, target string
}

// parseAddress reads the forms listed in the package comment.
func parseAddress(s string) (address, error) {
	if s == "" {
		if DefaultTCTI == "" {
			return address{}, fmt.Errorf("%w: this system has no TPM of its own to use; name one, such as swtpm:path=…", ErrAddress)
		}
		s = DefaultTCTI
	}
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "device":
		if rest == "" {
			return address{}, fmt.Errorf("%w: device: needs a path, as in device:/dev/tpmrm0", ErrAddress)
		}
		return address{device: rest}, nil
	case "swtpm":
		return parseSocket(rest)
	case "tbs":
		if rest != "" {
			return address{}, fmt.Errorf("%w: tbs takes no options", ErrAddress)
		}
		return address{services: true}, nil
	}
	return address{}, fmt.Errorf("%w: %q: %s", ErrAddress, s, instead(kind))
}

// instead says what to write for a string that other tools take, or that is near
// to one.
func instead(kind string) string {
	switch {
	case strings.HasPrefix(kind, "/"):
		return "a device file is written device:" + kind
	case kind == "mssim":
		return "the Microsoft simulator's protocol is not spoken here; start swtpm and write swtpm:host=…,port=… or swtpm:path=…"
	case kind == "tabrmd":
		return "the resource manager in user space is not needed; write device:/dev/tpmrm0, the kernel's"
	case kind == "libtpms":
		return "a TPM inside the program can't be shared; start swtpm and write swtpm:path=…"
	}
	return "write device:/dev/tpmrm0, tbs (on Windows), swtpm:path=… or swtpm:host=…,port=…"
}

// parseSocket reads the options of swtpm:…, either path or host and port.
func parseSocket(options string) (address, error) {
	host, port, path := "127.0.0.1", "2321", ""
	seen := make(map[string]bool)
	for opt := range strings.SplitSeq(options, ",") {
		if opt == "" {
			continue
		}
		key, value, _ := strings.Cut(opt, "=")
		if value == "" || seen[key] {
			return address{}, fmt.Errorf("%w: swtpm option %q is empty or given twice", ErrAddress, key)
		}
		seen[key] = true
		switch key {
		case "host":
			host = value
		case "port":
			port = value
		case "path":
			path = value
		default:
			return address{}, fmt.Errorf("%w: swtpm has no option %q", ErrAddress, key)
		}
	}
	if path != "" {
		if seen["host"] || seen["port"] {
			return address{}, fmt.Errorf("%w: swtpm takes a path or a host and port, not both", ErrAddress)
		}
		if len(path) > maxSocketPath {
			return address{}, fmt.Errorf("%w: socket path is %d bytes long, at most %d are possible", ErrAddress, len(path), maxSocketPath)
		}
		return address{network: "unix", target: path}, nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return address{}, fmt.Errorf("%w: %q is not a port number", ErrAddress, port)
	}
	return address{network: "tcp", target: net.JoinHostPort(host, port)}, nil
}

// Open connects to the TPM that tcti names; the empty string means the
// platform's own. See the package comment for the forms. It sends one harmless
// command, so that a wrong address shows here and not later.
//
// Errors: ErrAddress, ErrUnavailable, ErrBusy for a TPM that does not answer (with
// the context's error if that has ended), ErrBroken.
func Open(ctx context.Context, tcti string) (*Device, error) {
	a, err := parseAddress(tcti)
	if err != nil {
		return nil, err
	}
	port, err := a.open()
	if err != nil {
		return nil, err
	}
	d := New(port)
	greeting, cancel := context.WithTimeout(ctx, answerBudget)
	defer cancel()
	if err := d.hello(greeting); err != nil {
		_ = port.Close() // and not d.Close, which would wait for the answer
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: it does not answer: %w", ErrBusy, err)
		}
		return nil, fmt.Errorf("open TPM: %w", err)
	}
	return d, nil
}

func (a address) open() (transport.TPMCloser, error) {
	switch {
	case a.device != "":
		return openFile(a.device)
	case a.services:
		return openServices()
	}
	return newSocketPort(a.network, a.target), nil
}
