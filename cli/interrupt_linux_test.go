package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/speciecash/specie/cli"
)

// asks is a program that asks, run as a process of its own by this test.
const asks = "SPECIE_TEST_ASKS"

type askCmd struct{}

func (askCmd) Run(out *cli.Out) error {
	var err error
	if os.Getenv(asks) == "secret" {
		_, err = out.AskSecret("a secret")
	} else {
		_, err = out.Confirm("really?")
	}
	return err
}

func TestAQuestionEndsWithCtrlC(t *testing.T) {
	if os.Getenv(asks) != "" {
		os.Args = []string{"program", "ask"}
		(&cli.Program{
			Name: "program", Flags: &struct {
				Ask askCmd `cmd:""`
			}{},
			Ready:   func(context.Context, *cli.Out) (any, error) { return 0, nil },
			Explain: func(error) (string, int) { return "", cli.ExitFailed },
		}).Main()
	}
	for kind, echo := range map[string]bool{"secret": false, "confirm": true} {
		t.Run(kind, func(t *testing.T) {
			pty, tty := openPTY(t)
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			defer stop()
			p := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestAQuestionEndsWithCtrlC$")
			p.Env = append(os.Environ(), asks+"="+kind)
			p.Stdin, p.SysProcAttr = tty, &syscall.SysProcAttr{Setsid: true, Setctty: true}
			var said bytes.Buffer
			p.Stderr = &said
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			readUntil(t, pty, ": ")
			for !echo && echoes(t, tty) {
				time.Sleep(time.Millisecond)
			}
			if _, err := pty.Write([]byte{3}); err != nil {
				t.Fatal(err)
			}
			_ = p.Wait()
			if got := p.ProcessState.ExitCode(); got != cli.ExitInterrupted {
				t.Errorf("exit status %d, %s", got, &said)
			}
			if said.String() != "program: error: interrupted\n" {
				t.Errorf("it says %q", &said)
			}
			if !echoes(t, tty) {
				t.Error("the terminal has no echo any more")
			}
		})
	}
}

func openPTY(t *testing.T) (pty, tty *os.File) {
	t.Helper()
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pty.Close() })
	var unlock, number int32
	ioctl(t, pty, syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	ioctl(t, pty, syscall.TIOCGPTN, unsafe.Pointer(&number))
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return pty, tty
}

func ioctl(t *testing.T, f *os.File, request uintptr, arg unsafe.Pointer) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		t.Fatal(errno)
	}
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	var state syscall.Termios
	ioctl(t, tty, syscall.TCGETS, unsafe.Pointer(&state))
	return state.Lflag&syscall.ECHO != 0
}

func readUntil(t *testing.T, pty *os.File, end string) {
	t.Helper()
	var shown strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(shown.String(), end) || !strings.HasPrefix(shown.String(), "program: ") || shown.Len() <= len("program: ") {
		if _, err := pty.Read(b); err != nil {
			t.Fatalf("after %q: %v", &shown, err)
		}
		shown.Write(b)
	}
}
