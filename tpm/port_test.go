package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestResponsesAreBounded(t *testing.T) {
	response := func(size uint32, body int) []byte {
		b := make([]byte, headerSize+body)
		binary.BigEndian.PutUint16(b, 0x8001)
		binary.BigEndian.PutUint32(b[2:], size)
		return b
	}
	cases := []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"a header alone", response(headerSize, 0), true},
		{"the largest response", response(maxResponse, maxResponse-headerSize), true},
		{"one byte more than the largest", response(maxResponse+1, maxResponse-headerSize+1), false},
		{"an announced length of 4 GiB", response(1<<32-1, 0), false},
		{"an announced length below the header's", response(headerSize-1, 0), false},
		{"less than announced", response(100, 10), false},
		{"half a header", response(headerSize, 0)[:5], false},
		{"nothing", nil, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := readResponse(bytes.NewReader(c.in))
			if c.ok != (err == nil) || c.ok && !bytes.Equal(got, c.in) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		})
	}
}

// listen serves one side of a socket in a way that no TPM would.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return "swtpm:path=" + path
}

func TestOpenHonoursItsContextWhenNobodyAnswers(t *testing.T) {
	tcti := listen(t, func(c net.Conn) {
		defer c.Close()
		_, _ = c.Read(make([]byte, 1000))
		<-t.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := Open(ctx, tcti)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v, want ErrBusy and the context's error", err)
	}
	if took := time.Since(begin); took > closeBudget {
		t.Fatalf("took %v", took)
	}
}

func TestAnAnswerThatIsNoTPMsIsRefused(t *testing.T) {
	tcti := listen(t, func(c net.Conn) {
		defer c.Close()
		// After the command: who hangs up before it is read makes the write
		// fail instead, now and then.
		_, _ = c.Read(make([]byte, 1000))
		_, _ = c.Write([]byte(strings.Repeat("HTTP/1.1 400 Bad Request\r\n", 10)))
	})
	if _, err := Open(t.Context(), tcti); !errors.Is(err, ErrResponse) {
		t.Fatalf("got %v, want ErrResponse", err)
	}
}

func TestADeviceThatIsNoTPMIsRefused(t *testing.T) {
	if _, err := Open(t.Context(), "device:/dev/null"); !errors.Is(err, ErrResponse) {
		t.Fatalf("got %v, want ErrResponse", err)
	}
}

func TestAMissingTPMIsSaidToBeMissing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tcti := range map[string]string{
		"a device that is not there":    "device:" + filepath.Join(dir, "tpmrm0"),
		"a file that is no device":      "device:" + file,
		"a socket that is not there":    "swtpm:path=" + filepath.Join(dir, "sock"),
		"a port that nobody listens at": "swtpm:host=127.0.0.1,port=1",
		"a socket path that is a file":  "swtpm:path=" + file,
	} {
		if _, err := Open(t.Context(), tcti); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", name, err)
		}
	}
}

func TestADeviceThatIsInUseIsSaidToBe(t *testing.T) {
	err := unavailable("/dev/tpm0", &os.PathError{Op: "open", Path: "/dev/tpm0", Err: syscall.EBUSY})
	if !errors.Is(err, ErrBusy) || errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "device:/dev/tpmrm0") {
		t.Fatalf("got %v, want ErrBusy with the cure", err)
	}
}

func TestATPMThatHangsUpIsNotAvailable(t *testing.T) {
	answers := 0
	tcti := listen(t, func(c net.Conn) {
		defer c.Close()
		_, _ = c.Read(make([]byte, 1000))
		if answers++; answers == 1 { // the greeting: no such property
			_, _ = c.Write([]byte{0x80, 1, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0})
		}
	})
	d, err := Open(t.Context(), tcti)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Probe(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
}

func TestAnEmulatorThatNeverAnswersIsBusy(t *testing.T) {
	tcti := listen(t, func(c net.Conn) {
		defer c.Close()
		<-t.Context().Done()
	})
	port := newSocketPort("unix", strings.TrimPrefix(tcti, "swtpm:path="))
	defer port.Close()
	port.patience = 20 * time.Millisecond
	if _, err := port.Send(make([]byte, headerSize)); !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
}
