package tpm

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/google/go-tpm/tpm2/transport"
)

// maxSocketPath is the longest path of a UNIX socket in bytes: sun_path holds
// 108 with its terminating zero.
const maxSocketPath = 107

// address is a parsed TCTI string: a device file, or a socket.
type address struct {
	device          string
	network, target string
}

// parseAddress reads the forms listed in the package comment.
func parseAddress(s string) (address, error) {
	if s == "" {
		if defaultDevice == "" {
			return address{}, fmt.Errorf("%w: no default on this platform, name one", ErrAddress)
		}
		return address{device: defaultDevice}, nil
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
	}
	return address{}, fmt.Errorf("%w: %q is neither device:… nor swtpm:…", ErrAddress, s)
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
// Errors: ErrAddress, ErrUnavailable, and the context's.
func Open(ctx context.Context, tcti string) (*Device, error) {
	a, err := parseAddress(tcti)
	if err != nil {
		return nil, err
	}
	var port transport.TPMCloser
	if a.device != "" {
		if port, err = openFile(a.device); err != nil {
			return nil, err
		}
	} else {
		port = newSocketPort(a.network, a.target)
	}
	d := New(port)
	if err := d.hello(ctx); err != nil {
		_ = port.Close() // and not d.Close, which would wait for the answer
		return nil, fmt.Errorf("open TPM: %w", err)
	}
	return d, nil
}
