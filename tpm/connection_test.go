package tpm_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
	"github.com/speciecash/specie/tpm"
)

// emulatorAt runs a copy of the TPM "one" with options of its own.
func emulatorAt(t *testing.T, files []*os.File, server ...string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(factory, "one"))); err != nil {
		t.Fatal(err)
	}
	emulatorIn(t, dir, files, server...)
}

// bare runs a TPM without a certificate.
func bare(t *testing.T) (*tpm.Device, transport.TPM) {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "sock")
	emulatorIn(t, dir, nil, "--server", "type=unixio,path="+socket)
	tcti := "swtpm:path=" + socket
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		d, err := tpm.Open(t.Context(), tcti)
		if err == nil {
			_ = d.Close()
			break
		}
		if time.Since(begin) > 5*time.Second {
			t.Fatal(err)
		}
	}
	past, err := linuxudstpm.Open(socket)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, tcti), past
}

func emulatorIn(t *testing.T, dir string, files []*os.File, server ...string) {
	t.Helper()
	args := append([]string{"socket", "--tpm2", "--tpmstate", "dir=" + dir, "--flags", "not-need-init,startup-clear", "--log", "file=" + filepath.Join(dir, "log")}, server...)
	cmd := exec.Command("swtpm", args...)
	cmd.ExtraFiles, cmd.Stderr = files, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}

// roundTrip uses a device for something of every length.
func roundTrip(t *testing.T, d *tpm.Device) {
	t.Helper()
	if err := d.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	eks, err := d.EKs(t.Context())
	if err != nil || len(eks) != 2 {
		t.Fatalf("%d endorsement keys, %v", len(eks), err)
	}
	_, key := newKey(t, d, nil)
	_, s2, y2 := base(t, "tag")
	if _, _, _, _, err := key.Commit(t.Context(), nil, s2, y2); err != nil {
		t.Fatal(err)
	}
}

func TestAnEmulatorAtATCPPort(t *testing.T) {
	for _, options := range []string{"", ",disconnect"} {
		t.Run("tcp"+strings.TrimPrefix(options, ","), func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := l.Addr().(*net.TCPAddr).Port
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			emulatorAt(t, nil, "--server", fmt.Sprintf("type=tcp,port=%d%s", port, options))
			tcti := fmt.Sprintf("swtpm:host=127.0.0.1,port=%d", port)
			var d *tpm.Device
			for begin := time.Now(); d == nil; time.Sleep(5 * time.Millisecond) {
				if d, err = tpm.Open(t.Context(), tcti); err != nil && time.Since(begin) > 5*time.Second {
					t.Fatal(err)
				}
			}
			defer d.Close()
			roundTrip(t, d)
		})
	}
}

// A socket pair behaves as a device file does: one write is a command, one read
// its response.
func TestATPMBehindAFile(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	emulatorAt(t, []*os.File{theirs}, "--fd", "3")
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	d := tpm.New(tpm.NewFilePort(ours))
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	roundTrip(t, d)
}

func TestAnEmulatorThatServesAnotherProgramIsBusy(t *testing.T) {
	e := emulator(t, "one")
	other, err := net.Dial("unix", strings.TrimPrefix(e.TCTI(), "swtpm:path="))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	time.Sleep(50 * time.Millisecond) // until it is served
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := tpm.Open(ctx, e.TCTI()); !errors.Is(err, tpm.ErrBusy) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, e.TCTI())
}
