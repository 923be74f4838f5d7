package tpm_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/speciecash/specie/tpm"
)

// finding is the one of that name.
func finding(t *testing.T, e *tpm.Examination, name string) tpm.Finding {
	t.Helper()
	var found []tpm.Finding
	for _, f := range e.Findings {
		if (f.State == tpm.OK) != (f.Cure == "") || f.Found == "" {
			t.Errorf("%s: state %s with the cure %q", f.Name, f.State, f.Cure)
		}
		if f.Name == name {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d findings %q among %+v", len(found), name, e.Findings)
	}
	return found[0]
}

func TestAGoodEmulatorIsOnlyAnEmulator(t *testing.T) {
	emu := emulator(t, "one")
	e := tpm.Examine(t.Context(), emu.TCTI())
	for _, f := range e.Findings {
		if want := map[bool]tpm.State{true: tpm.Warn, false: tpm.OK}[f.Name == "emulator"]; finding(t, e, f.Name).State != want {
			t.Errorf("got %+v, want it %s", f, want)
		}
	}
	for _, name := range []string{"sharing", "identity", "firmware", "emulator", "self-test", "group-keys", "hierarchies", "lock-out", "slots", "ek-rsa2048", "ek-p384", "registers"} {
		finding(t, e, name)
	}
	if e.State() != tpm.Warn || !e.Emulated || e.Manufacturer != "IBM" || e.Firmware == "" || len(e.Endorsements) != 2 || !e.Endorsements[0].Certificate {
		t.Errorf("got %+v", e)
	}
	if e.Lockout == nil || e.Lockout.Locked || e.Lockout.Most != 3 || e.Lockout.IntervalSeconds != 1000 || e.Lockout.WaitSeconds != 0 {
		t.Errorf("lock-out: %+v", e.Lockout)
	}
	if n := loaded(t, raw(t, emu)); n != 0 {
		t.Errorf("%d left in the slots", n)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"tcti":`, `"manufacturer":"IBM"`, `"emulated":true`, `"findings":[{"name":"sharing","state":"ok","found":`, `"interval_seconds":1000`} {
		if !strings.Contains(string(text), key) {
			t.Errorf("%s is not in %s", key, text)
		}
	}
}

func TestALockoutIsFoundWithItsTime(t *testing.T) {
	emu := emulator(t, "one")
	if err := emu.SetDictionaryAttack(t.Context(), 2, time.Hour); err != nil {
		t.Fatal(err)
	}
	d, blob := withPIN(t, emu)
	_ = guess(t, d, blob, "1357")
	if f := finding(t, tpm.Examine(t.Context(), emu.TCTI()), "lock-out"); f.State != tpm.Warn || !strings.Contains(f.Found, "1 of 2 failures") {
		t.Errorf("one try left: %+v", f)
	}
	if err := d.CheckLockout(t.Context()); err != nil {
		t.Errorf("with one try left: %v", err)
	}
	_ = guess(t, d, blob, "1357")
	var locked *tpm.LockoutError
	if err := d.CheckLockout(t.Context()); !errors.As(err, &locked) || !errors.Is(err, tpm.ErrLockout) || locked.Wait != time.Hour {
		t.Errorf("CheckLockout: %v", err)
	}
	e := tpm.Examine(t.Context(), emu.TCTI())
	if f := finding(t, e, "lock-out"); f.State != tpm.Fail || !strings.Contains(f.Cure, "60 minutes") || !e.Lockout.Locked || e.Lockout.WaitSeconds != 3600 {
		t.Errorf("locked: %+v, %+v", f, e.Lockout)
	}
	if e.State() != tpm.Fail {
		t.Errorf("the whole is %s", e.State())
	}
}

func TestPasswordsOfHierarchiesAreFound(t *testing.T) {
	emu := emulator(t, "one")
	if err := emu.SetOwnerPassword(t.Context(), "owner"); err != nil {
		t.Fatal(err)
	}
	if f := finding(t, tpm.Examine(t.Context(), emu.TCTI()), "hierarchies"); f.State != tpm.Fail || !strings.Contains(f.Cure, "tpm2_changeauth -c owner") {
		t.Errorf("got %+v", f)
	}
}

func TestFullSlotsAreFound(t *testing.T) {
	emu := emulator(t, "one")
	d := open(t, emu.TCTI())
	newKey(t, d, nil)
	if f := finding(t, tpm.Examine(t.Context(), emu.TCTI()), "slots"); f.State != tpm.OK {
		t.Errorf("one of three taken: %+v", f)
	}
	newKey(t, d, nil)
	if f := finding(t, tpm.Examine(t.Context(), emu.TCTI()), "slots"); f.State != tpm.Fail || !strings.Contains(f.Cure, "tpm2_flushcontext -t") {
		t.Errorf("two of three taken: %+v", f)
	}
}

func TestATPMWithoutCertificatesIsFoundWanting(t *testing.T) {
	d, past := bare(t)
	e := tpm.ExamineDevice(t.Context(), d)
	if f := finding(t, e, "ek-p256"); f.State != tpm.Fail || !strings.Contains(f.Cure, "maker") {
		t.Errorf("got %+v", f)
	}
	e = tpm.ExamineDevice(t.Context(), pretending(t, past, map[tpm2.TPMPT]uint32{tpm2.TPMPTManufacturer: 0x494e5443}))
	if f := finding(t, e, "ek-p256"); f.State != tpm.Warn || !strings.Contains(f.Cure, "https://ekop.intel.com/ekcertservice/") || e.Endorsements[0].URL == "" {
		t.Errorf("got %+v", f)
	}
}

// pretending is a TPM with other properties than it has.
func pretending(t *testing.T, past interface{ Send([]byte) ([]byte, error) }, properties map[tpm2.TPMPT]uint32) *tpm.Device {
	t.Helper()
	d := tpm.New(&meddler{TPM: past, after: func(command, response []byte) []byte {
		if code(command) != tpm2.TPMCCGetCapability || binary.BigEndian.Uint32(command[10:]) != uint32(tpm2.TPMCapTPMProperties) {
			return response
		}
		if v, ok := properties[tpm2.TPMPT(binary.BigEndian.Uint32(command[14:]))]; ok {
			binary.BigEndian.PutUint32(response[len(response)-4:], v)
		}
		return response
	}})
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestWhatATPMIsShowsInItsExamination(t *testing.T) {
	past := raw(t, emulator(t, "one"))
	const permanent, startup = tpm2.TPMPTPermanent, tpm2.TPMPTStartupClear
	for _, c := range []struct {
		name       string
		properties map[tpm2.TPMPT]uint32
		finding    string
		state      tpm.State
		words      string
	}{
		{"weak RSA keys", map[tpm2.TPMPT]uint32{tpm2.TPMPTManufacturer: 0x49465800, tpm2.TPMPTFirmwareVersion1: 5<<16 | 61, tpm2.TPMPTFirmwareVersion2: 0}, "firmware", tpm.Fail, "ROCA"},
		{"the same, mended", map[tpm2.TPMPT]uint32{tpm2.TPMPTManufacturer: 0x49465800, tpm2.TPMPTFirmwareVersion1: 5<<16 | 62}, "firmware", tpm.OK, "5.62."},
		{"a maker in words", map[tpm2.TPMPT]uint32{tpm2.TPMPTManufacturer: 0x53544d20}, "identity", tpm.OK, "STMicroelectronics"},
		{"a maker without words", map[tpm2.TPMPT]uint32{tpm2.TPMPTManufacturer: 0x1b5b3331}, "identity", tpm.OK, "unknown maker ([31)"},
		{"a hypervisor's", map[tpm2.TPMPT]uint32{tpm2.TPMPTManufacturer: 0x564d5700, tpm2.TPMPTVendorString1: 0}, "emulator", tpm.Warn, "VMware"},
		{"an endorsement password", map[tpm2.TPMPT]uint32{permanent: 1 << 1}, "hierarchies", tpm.Fail, "endorsement hierarchy has a password"},
		{"an owner hierarchy that is off", map[tpm2.TPMPT]uint32{startup: 1 << 2}, "hierarchies", tpm.Fail, "owner hierarchy is switched off"},
		{"an endorsement hierarchy that is off", map[tpm2.TPMPT]uint32{startup: 1 << 1}, "hierarchies", tpm.Fail, "endorsement hierarchy is switched off"},
		{"a lock-out without an end", map[tpm2.TPMPT]uint32{permanent: 1 << 9, tpm2.TPMPTLockoutInterval: 0}, "lock-out", tpm.Fail, "not for a time only"},
		{"no session free", map[tpm2.TPMPT]uint32{tpm2.TPMPTHRLoadedAvail: 0}, "slots", tpm.Fail, "0 sessions"},
		{"hardware that measured nothing", map[tpm2.TPMPT]uint32{tpm2.TPMPTManufacturer: 0x49465800}, "registers", tpm.Warn, "measured nothing"},
	} {
		if f := finding(t, tpm.ExamineDevice(t.Context(), pretending(t, past, c.properties)), c.finding); f.State != c.state || !strings.Contains(f.Found, c.words) {
			t.Errorf("%s: got %+v, want it %s with %q", c.name, f, c.state, c.words)
		}
	}
}

func TestWhatATPMAnswersShowsInItsExamination(t *testing.T) {
	past := raw(t, emulator(t, "one"))
	with := func(at tpm2.TPMCC, response []byte) *tpm.Examination {
		d := tpm.New(&meddler{TPM: past, after: func(command, own []byte) []byte {
			if code(command) == at {
				return response
			}
			return own
		}})
		defer d.Close()
		return tpm.ExamineDevice(t.Context(), d)
	}
	result := func(rc uint32) []byte {
		return binary.BigEndian.AppendUint32([]byte{0x80, 1, 0, 0, 0, 18, 0, 0, 0, 0, 0, 2, 9, 9}, rc)
	}
	for _, c := range []struct {
		name     string
		at       tpm2.TPMCC
		response []byte
		finding  string
		state    tpm.State
	}{
		{"a test that failed", tpm2.TPMCCGetTestResult, result(uint32(tpm2.TPMRCFailure)), "self-test", tpm.Fail},
		{"a test still to come", tpm2.TPMCCGetTestResult, result(uint32(tpm2.TPMRCNeedsTest)), "self-test", tpm.OK},
		{"a test with another result", tpm2.TPMCCGetTestResult, result(uint32(tpm2.TPMRCDisabled)), "self-test", tpm.Warn},
		{"a test result cut short", tpm2.TPMCCGetTestResult, result(0)[:15], "self-test", tpm.Fail},
		{"a test result refused", tpm2.TPMCCGetTestResult, answer(tpm2.TPMRCCommandCode), "self-test", tpm.Fail},
		{"a TPM that was not started", tpm2.TPMCCGetCapability, answer(tpm2.TPMRCInitialize), "startup", tpm.Fail},
		{"failure mode", tpm2.TPMCCGetCapability, answer(tpm2.TPMRCFailure), "self-test", tpm.Fail},
		{"certificates that can't be read", tpm2.TPMCCNVReadPublic, answer(tpm2.TPMRCNVUnavailable), "endorsement", tpm.Fail},
		{"certificates that are rubbish", tpm2.TPMCCNVReadPublic, answer(tpm2.TPMRCSuccess), "endorsement", tpm.Fail},
		{"no SHA-256 bank", tpm2.TPMCCPCRRead, append(answer(tpm2.TPMRCSuccess), make([]byte, 12)...), "registers", tpm.Fail},
	} {
		e := with(c.at, c.response)
		if f := finding(t, e, c.finding); f.State != c.state {
			t.Errorf("%s: got %+v, want it %s", c.name, f, c.state)
		}
	}
}

func TestABusyEmulatorIsFoundBusy(t *testing.T) {
	emu := emulator(t, "one")
	other, err := net.Dial("unix", strings.TrimPrefix(emu.TCTI(), "swtpm:path="))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	time.Sleep(50 * time.Millisecond) // until it is served
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if f := finding(t, tpm.Examine(ctx, emu.TCTI()), "device"); f.State != tpm.Fail || !strings.Contains(f.Cure, "other program") {
		t.Fatalf("got %+v", f)
	}
}

func TestAnAddressThatIsNoneIsFound(t *testing.T) {
	if f := finding(t, tpm.Examine(t.Context(), "mssim"), "address"); f.State != tpm.Fail || !strings.Contains(f.Found, "start swtpm") {
		t.Fatalf("got %+v", f)
	}
}
