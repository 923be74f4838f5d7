package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
)

// TestAKilledWorkerLosesNoWithdrawal kills the process that holds the module,
// again and again, while holders withdraw from a real bank. Every withdrawal
// is answered with its signatures, none has to be repeated.
func TestAKilledWorkerLosesNoWithdrawal(t *testing.T) {
	h := newHouse(t, 3, 8)
	signer := h.startSigner()
	h.startIssuer("issuer.yaml")
	token := h.account("alice", "100000.00")

	const holders, kills = 12, 5
	var done atomic.Int64
	var wait sync.WaitGroup
	stop := make(chan struct{})
	for range holders {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				key := &h.keyset.Denominations[rand.IntN(len(h.keyset.Denominations))]
				if err := h.withdraw(context.Background(), token, key, 1+rand.IntN(4)); err != nil {
					t.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	dead := 0
	for range kills {
		was := done.Load()
		eventually(t, "no progress after a kill", func() bool { return done.Load() > was+50 || t.Failed() })
		eventually(t, "no new worker", func() bool { pid := signer.worker(); return pid != 0 && pid != dead })
		dead = signer.worker()
		check(t, syscall.Kill(dead, syscall.SIGKILL))
	}
	was := done.Load()
	eventually(t, "no progress after the last kill", func() bool { return done.Load() > was+50 || t.Failed() })
	close(stop)
	wait.Wait()
	t.Logf("%d withdrawals, %d kills", done.Load(), kills)
	if got := strings.Count(signer.said(), "worker serves"); got != kills+1 {
		t.Errorf("%d workers", got)
	}
	var books struct{ Balanced bool }
	unmarshal(t, h.run("--json", "books", "--socket", "issuer.sock"), &books)
	if !books.Balanced {
		t.Error("the books do not balance")
	}
}

// TestTheBanksProcessHoldsNeitherModuleNorPIN reads all of the issuer's
// memory, and of the signer's parent. The same search finds both in the
// worker, so it would find them here.
func TestTheBanksProcessHoldsNeitherModuleNorPIN(t *testing.T) {
	h := newHouse(t, 1, 2)
	signer := h.startSigner()
	issuer := h.startIssuer("issuer.yaml")
	token := h.account("alice", "10.00")
	check(t, h.withdraw(t.Context(), token, &h.keyset.Denominations[0], 2))

	type process struct {
		name string
		pid  int
		want finding
	}
	all := []process{{"issuer", issuer.Process.Pid, finding{}}, {"signer's parent", signer.Process.Pid, finding{}}}
	if mayTrace(t) {
		all = append(all, process{"signer's worker", signer.worker(), finding{module: true, memory: true}})
	} else {
		// It hides its memory, so the control is a process that does not.
		cmd := exec.Command("cat")
		cmd.Env = append(os.Environ(), "SPECIE_TEST_PIN="+h.pin)
		stdin := must(cmd.StdinPipe())(t)
		check(t, cmd.Start())
		defer func() { check(t, errors.Join(stdin.Close(), cmd.Wait())) }()
		all = append(all, process{"control", cmd.Process.Pid, finding{memory: true, environ: true}})
	}
	for _, c := range all {
		if got := search(t, c.pid, h.pin); got != c.want {
			t.Errorf("%s (%d): %+v, want %+v", c.name, c.pid, got, c.want)
		}
	}
	if strings.Contains(signer.said(), h.pin) || strings.Contains(issuer.said(), h.pin) {
		t.Error("a log has the PIN")
	}
}

// TestTheWorkerHidesItsMemory: package hsm shows what that does.
func TestTheWorkerHidesItsMemory(t *testing.T) {
	h := newHouse(t, 1, 2)
	signer := h.startSigner()
	for _, pid := range []int{signer.worker(), h.startIssuer("inprocess.yaml").Process.Pid} {
		proc := fmt.Sprintf("/proc/%d/", pid)
		limits := string(must(os.ReadFile(proc + "limits"))(t))
		if !regexp.MustCompile(`(?m)^Max core file size +0 +0 +bytes`).MatchString(limits) {
			t.Errorf("%d may dump its memory:\n%s", pid, limits)
		}
		if !mayTrace(t) {
			if _, err := os.Open(proc + "mem"); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("memory of %d: %v", pid, err)
			}
		}
	}
}

// mayTrace tells whether this process may look into those that hide their
// memory: CAP_SYS_PTRACE, capabilities(7).
func mayTrace(t *testing.T) bool {
	t.Helper()
	_, after, ok := strings.Cut(string(must(os.ReadFile("/proc/self/status"))(t)), "CapEff:")
	line, _, _ := strings.Cut(after, "\n")
	if !ok {
		t.Fatal("no capabilities in /proc/self/status")
	}
	return must(strconv.ParseUint(strings.TrimSpace(line), 16, 64))(t)&(1<<19) != 0
}

// A finding says where in a process something was.
type finding struct {
	module                bool // a PKCS#11 library is mapped
	memory, argv, environ bool // the PIN is there
}

func search(t *testing.T, pid int, pin string) finding {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", pid)
	read := func(name string) []byte { return must(os.ReadFile(proc + name))(t) }
	maps := string(read("maps"))
	f := finding{
		module:  strings.Contains(maps, "softhsm"),
		argv:    bytes.Contains(read("cmdline"), []byte(pin)),
		environ: bytes.Contains(read("environ"), []byte(pin)),
	}
	mem := must(os.Open(proc + "mem"))(t)
	defer mem.Close()
	var looked int64
	for line := range strings.Lines(maps) {
		fields := strings.Fields(line)
		if !strings.HasPrefix(fields[1], "r") || strings.Contains(line, "[v") {
			continue // not readable, or the kernel's own pages
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start := int64(must(strconv.ParseUint(from, 16, 63))(t))
		end := int64(must(strconv.ParseUint(to, 16, 63))(t))
		found, n, err := contains(io.NewSectionReader(mem, start, end-start), []byte(pin))
		if err != nil && !errors.Is(err, syscall.EIO) { // unmapped meanwhile
			t.Fatalf("%s: %v", strings.TrimSpace(line), err)
		}
		looked += n
		f.memory = f.memory || found
	}
	if looked < 1<<20 {
		t.Fatalf("only %d bytes of %d's memory could be read", looked, pid)
	}
	return f
}

// contains looks for what in a stream, in pieces that overlap.
func contains(r io.Reader, what []byte) (found bool, read int64, err error) {
	buf := make([]byte, 1<<20)
	keep := 0
	for {
		n, err := r.Read(buf[keep:])
		read += int64(n)
		if bytes.Contains(buf[:keep+n], what) {
			return true, read, nil
		}
		if err == io.EOF {
			return false, read, nil
		}
		if err != nil {
			return false, read, err
		}
		tail := min(keep+n, len(what)-1)
		copy(buf, buf[keep+n-tail:keep+n])
		keep = tail
	}
}

func TestANewKeysetNeedsNoRestart(t *testing.T) {
	h := newHouse(t, 1, 2)
	h.startSigner()
	h.startIssuer("issuer.yaml")
	token := h.account("alice", "10.00")
	h.mint()
	h.publish()
	eventually(t, "the bank does not take the new keyset", func() bool {
		return h.withdraw(t.Context(), token, &h.keyset.Denominations[1], 1) == nil
	})
}

func TestABankMayHoldItsTokenItself(t *testing.T) {
	h := newHouse(t, 1, 2)
	h.startIssuer("inprocess.yaml")
	check(t, h.withdraw(t.Context(), h.account("alice", "10.00"), &h.keyset.Denominations[0], 2))
}

func TestARefusedPINEndsTheSignerForGood(t *testing.T) {
	h := newHouse(t, 1, 2)
	wrong := "not-" + h.pin
	h.write("bank.pin", []byte(wrong+"\n"))
	for _, c := range []struct{ name, config string }{{"signer", "signer.yaml"}, {"issuer", "inprocess.yaml"}} {
		d := h.start(c.name, c.name, "--config", h.path(c.config))
		if status := d.wait(30 * time.Second); status != exitPIN {
			t.Errorf("%s: status %d", c.name, status)
		}
		said := d.said()
		if strings.Contains(said, wrong) {
			t.Errorf("%s: the log has the PIN", c.name)
		}
		if got := strings.Count(said, "login refused"); got != 1 {
			t.Errorf("%s: %d logins\n%s", c.name, got, said)
		}
	}
}

// TestALoosenedKeyKeepsTheSignerFromStarting: somebody with the PIN has put a
// key onto the token that would decrypt too.
func TestALoosenedKeyKeepsTheSignerFromStarting(t *testing.T) {
	h := newHouse(t, 1, 2)
	h.loosenedKey()
	d := h.start("signer", "signer", "--config", h.path("signer.yaml"))
	if status := d.wait(30 * time.Second); status != 1 || !strings.Contains(d.said(), "key attributes refused") {
		t.Errorf("status %d\n%s", status, d.said())
	}
}

// loosenedKey makes a key as the module makes one if it is not told
// otherwise, with a session of a module object of its own.
func (h *house) loosenedKey() {
	h.t.Helper()
	check(h.t, h.token.Close())
	ctx := pkcs11.New(h.module.Path()) // shares the library, which is initialised
	slots := must(ctx.GetSlotList(true))(h.t)
	for _, slot := range slots {
		if info, err := ctx.GetTokenInfo(slot); err != nil || info.Label != "bank" {
			continue
		}
		s := must(ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION))(h.t)
		check(h.t, ctx.Login(s, pkcs11.CKU_USER, h.pin))
		id := []byte("sixteen bytes id")
		label := pkcs11.NewAttribute(pkcs11.CKA_LABEL, "loose")
		_, _, err := ctx.GenerateKeyPair(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)},
			[]*pkcs11.Attribute{
				label, pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
				pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, 2048), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
			},
			[]*pkcs11.Attribute{label, pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true)})
		check(h.t, err)
		check(h.t, ctx.CloseSession(s))
		return
	}
	h.t.Fatal("no token")
}

func TestTheSignerStopsInOrder(t *testing.T) {
	h := newHouse(t, 1, 2)
	d := h.startSigner()
	worker := d.worker()
	if status := d.stop(); status != 0 {
		t.Errorf("status %d\n%s", status, d.said())
	}
	if err := syscall.Kill(worker, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the worker lives: %v", err)
	}
	if _, err := os.Lstat(h.path("signer.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is there: %v", err)
	}
}

func TestAWorkerDoesNotOutliveItsParent(t *testing.T) {
	h := newHouse(t, 1, 2)
	d := h.startSigner()
	worker := d.worker()
	check(t, d.Process.Kill())
	<-d.done
	eventually(t, "the worker lives", func() bool { return errors.Is(syscall.Kill(worker, 0), syscall.ESRCH) })
	// What it left does not stand in the way.
	h.startSigner()
}

func TestASecondSignerAtTheSameSocketIsRefused(t *testing.T) {
	h := newHouse(t, 1, 2)
	h.startSigner()
	h.write("signer.yaml", bytes.Replace(must(os.ReadFile(h.path("signer.yaml")))(t), []byte(h.metrics), []byte(freeAddress(t)), 1))
	d := h.start("second", "signer", "--config", h.path("signer.yaml"))
	if status := d.wait(30 * time.Second); status != 1 || !strings.Contains(d.said(), "another signer") {
		t.Errorf("status %d\n%s", status, d.said())
	}
	if status, _ := get("http://" + h.metrics + "/readyz"); status != http.StatusOK {
		t.Errorf("the first answers %d", status)
	}
}

func TestWithoutItsSignerABankDoesNotOpen(t *testing.T) {
	h := newHouse(t, 1, 2)
	d := h.start("issuer", "issuer", "--config", h.path("issuer.yaml"))
	if status := d.wait(60 * time.Second); status != 1 || !strings.Contains(d.said(), "signer: unavailable") {
		t.Errorf("status %d\n%s", status, d.said())
	}
}

func TestASignerTellsItsOperatorWhatItDoes(t *testing.T) {
	h := newHouse(t, 1, 2)
	d := h.startSigner()
	h.startIssuer("issuer.yaml")
	check(t, h.withdraw(t.Context(), h.account("alice", "10.00"), &h.keyset.Denominations[0], 3))
	_, body := get("http://" + h.metrics + "/metrics")
	for _, line := range []string{
		`specie_signer_requests_total{op="blind_sign",outcome="ok"} 3`,
		"specie_signer_connections 1",
		`hsm_available{serial="` + h.token.Info().Serial + `",token="bank"} 1`,
		`state="open",token="bank"} 2`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no line %q in\n%s", line, body)
		}
	}
	// systemd is told once the worker serves.
	d.stop()
	path := filepath.Join(t.TempDir(), "notify")
	l := must(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}))(t)
	defer l.Close()
	h.env = append(h.env, "NOTIFY_SOCKET="+path)
	h.start("notifying", "signer", "--config", h.path("signer.yaml"))
	check(t, l.SetReadDeadline(time.Now().Add(30*time.Second)))
	b := make([]byte, 64)
	n := must(l.Read(b))(t)
	if string(b[:n]) != "READY=1" {
		t.Errorf("systemd is told %q", b[:n])
	}
}
