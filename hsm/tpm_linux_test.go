package hsm_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/tpm/swtpm"
)

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%[1]s/bus</listen>
  <servicedir>%[1]s</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

// emulated is the one TPM of this process. The library stays connected to the
// first bus that it sees.
var emulated struct {
	sync.Mutex
	tpm  *swtpm.Emulator
	dir  string
	tcti string
}

// stopTPM switches the TPM off. The bus ends with this process, and the
// resource manager with the bus: if the bus went first, the library would end
// this process.
func stopTPM() error {
	emulated.Lock()
	defer emulated.Unlock()
	if emulated.tpm == nil {
		return nil
	}
	return errors.Join(emulated.tpm.Close(), os.RemoveAll(emulated.dir))
}

// startTPM emulates a TPM and puts a resource manager before it, which the
// library needs as it keeps more objects loaded than the three that a TPM has
// room for. The manager speaks D-Bus: a private bus starts it when it is
// called. It returns where the library finds the manager.
func startTPM(t *testing.T) (tcti string) {
	t.Helper()
	emulated.Lock()
	defer emulated.Unlock()
	if emulated.tpm != nil {
		return emulated.tcti
	}
	dir, err := os.MkdirTemp("", "specie-tpm-") // the sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	ca, err := swtpm.NewCA(t.Context(), filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	emulator, err := swtpm.Start(t.Context(), filepath.Join(dir, "tpm"), ca)
	if err != nil {
		t.Fatal(err)
	}
	emulated.tpm, emulated.dir = emulator, dir
	manager, err := exec.LookPath("tpm2-abrmd")
	if err != nil {
		manager = "/usr/sbin/tpm2-abrmd" // not in everybody's PATH
	}
	if _, err := os.Stat(manager); err != nil {
		t.Fatalf("%v: run scripts/setup, or install the package tpm2-abrmd", err)
	}
	const name = "cash.specie.tabrmd"
	service := fmt.Sprintf("[D-BUS Service]\nName=%s\nExec=%s --session --allow-root --max-transients=100 --dbus-name=%s --tcti=%s\n",
		name, manager, name, emulator.TCTI())
	for file, text := range map[string]string{name + ".service": service, "bus.conf": fmt.Sprintf(busConfig, dir)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	startBus(t, filepath.Join(dir, "bus.conf"))
	// Not t.Setenv: see emulated.
	if err := os.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+dir+"/bus"); err != nil {
		t.Fatal(err)
	}
	emulated.tcti = "tabrmd:bus_type=session,bus_name=" + name
	return emulated.tcti
}

// startBus starts a bus that ends with this process.
func startBus(t *testing.T, config string) {
	t.Helper()
	bus := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--print-address")
	bus.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	out, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Start(); err != nil {
		t.Fatalf("%v: run scripts/setup, or install the package dbus-daemon", err)
	}
	// It prints its address when it listens.
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("dbus-daemon: %v", err)
	}
}

// openTPM opens Debian's library for keys in a TPM.
func openTPM(t *testing.T) (m *hsm.Module, raw *pkcs11.Ctx) {
	t.Helper()
	path := library(t, "libtpm2_pkcs11.so", "libtpm2-pkcs11-1")
	open := func() error {
		var err error
		m, err = hsm.OpenLayered(path, func(c *pkcs11.Ctx) hsm.Cryptoki {
			raw = c
			return c
		})
		return err
	}
	// The manager has its name on the bus a moment before it answers there.
	err := open()
	for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); err = open() {
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, raw
}

// A TPM holds the keys that sign documents, by all the rules, and no others:
// it computes raw RSA with keys that decrypt only, and knows no GCM. Probe
// says so, and no looser key is made instead.
func TestATPMHoldsTheKeysThatSignDocuments(t *testing.T) {
	t.Setenv("TPM2_PKCS11_STORE", t.TempDir())
	t.Setenv("TPM2_PKCS11_TCTI", startTPM(t))
	t.Setenv("TSS2_LOG", "all+none")
	m, raw := openTPM(t)
	user := pinOf(t, "user-1234")
	config := func(label string) hsm.Config {
		t.Helper()
		info, err := m.InitToken(t.Context(), label, pinOf(t, "so-1234"), user)
		if err != nil {
			t.Fatal(err)
		}
		return hsm.Config{TokenLabel: label, Serial: info.Serial, PIN: user}
	}
	bank := config("bank")
	t.Run("probe without a trace", func(t *testing.T) { probeTPMSessions(t, m, bank) })
	bank.Absent = probeTPM(t, m, config("trial"))

	tok, err := m.Token(t.Context(), bank)
	if err != nil {
		t.Fatal(err)
	}
	master, err := tok.GenerateECDSA(t.Context(), "master", elliptic.P384())
	if err != nil {
		t.Fatal(err)
	}
	signing, err := tok.GenerateECDSA(t.Context(), "signing", elliptic.P256())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []*hsm.ECDSAKey{master, signing} {
		if err := key.Audit(t.Context()); err != nil {
			t.Error(err)
		}
		signsDocuments(t, key)
	}
	before := stock(t, tok)
	if _, err := tok.GenerateRSA(t.Context(), "coins", 2048); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("an RSA key: got %v, want ErrUnsupported", err)
	}
	if _, err := tok.GenerateAES(t.Context(), "seal"); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("an AES key: got %v, want ErrUnsupported", err)
	}
	if after := stock(t, tok); after != before {
		t.Errorf("%d objects, after keys were refused %d", before, after)
	}

	if err := tok.LoseSessions(raw); err != nil {
		t.Fatal(err)
	}
	signsDocuments(t, master)

	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m, _ = openTPM(t)
	if tok, err = m.Token(t.Context(), bank); err != nil {
		t.Fatal(err)
	}
	again, err := tok.FindECDSA(t.Context(), "master")
	if err != nil {
		t.Fatal(err)
	}
	if !again.Public().(*ecdsa.PublicKey).Equal(master.Public()) {
		t.Error("another key after a restart")
	}
	signsDocuments(t, again)
}

func probeTPMSessions(t *testing.T, m *hsm.Module, cfg hsm.Config) {
	r, err := hsm.Probe(t.Context(), m, cfg, quick)
	if err != nil {
		t.Fatal(err)
	}
	if r.SessionObjects || r.Left != 0 || r.Library.Description != "TPM2.0 Cryptoki" {
		t.Errorf("%+v", r)
	}
	for _, u := range r.Uses {
		if u.Can {
			t.Errorf("can hold %s", u.Name)
		}
	}
	if u := useOf(t, r, "P-256"); !slices.Equal(u.Why, []string{"makes no such key as an object of a session: C_GenerateKeyPair: CKR_ATTRIBUTE_VALUE_INVALID (0x13)"}) {
		t.Errorf("P-256: %q", u.Why)
	}
}

func probeTPM(t *testing.T, m *hsm.Module, cfg hsm.Config) (absent []string) {
	opts := quick
	opts.TokenObjects = true
	r, err := hsm.Probe(t.Context(), m, cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"P-384", "P-256"} {
		if u := useOf(t, r, name); !u.Can || len(u.Attributes) != 0 {
			t.Errorf("%+v", u)
		}
	}
	for _, name := range []string{"RSA-2048", "RSA-3072"} {
		u := useOf(t, r, name)
		why := strings.Join(u.Why, "\n")
		for _, want := range []string{
			"CKA_ENCRYPT of the public key is true, must be false",
			"CKA_VERIFY of the public key is false, must be true",
			"C_Sign: CKR_GENERAL_ERROR",
		} {
			if u.Can || !strings.Contains(why, want) {
				t.Errorf("%s: %q does not say %q", name, why, want)
			}
		}
	}
	tok, err := m.Token(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if left := stock(t, tok); left != r.Left {
		t.Errorf("%d objects were left, %d owned up to", left, r.Left)
	}
	for name, want := range map[string]string{
		"RSA-4096": "CKM_RSA_PKCS_KEY_PAIR_GEN makes keys of 1024 to 3072 bits",
		"AES":      "CKM_AES_GCM is not among its mechanisms",
	} {
		if u := useOf(t, r, name); u.Can || !slices.Equal(u.Why, []string{want}) {
			t.Errorf("%s: %q", name, u.Why)
		}
	}
	return r.Absent
}
