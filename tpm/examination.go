package tpm

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// State is how good a finding is.
type State string

// The states, from good to bad.
const (
	// OK: as it should be.
	OK State = "ok"
	// Warn: it works, or may work, but not as well as it should.
	Warn State = "warn"
	// Fail: with this, the TPM can't be used.
	Fail State = "fail"
)

// Finding is one thing that was looked at.
type Finding struct {
	// Name is for programs and does not change: "address", "device", "sharing",
	// "identity", "firmware", "emulator", "startup", "self-test", "group-keys",
	// "endorsement", "ek-rsa2048", "ek-p256", "ek-p384", "lock-out", "slots",
	// "hierarchies" and "registers". Not all are in every examination.
	Name  string `json:"name"`
	State State  `json:"state"`
	// Found is what was found, a sentence without its full stop.
	Found string `json:"found"`
	// Cure is the one thing to do about it; empty if the state is OK.
	Cure string `json:"cure,omitempty"`
}

// Lockout is the TPM's protection against guessing authorisation values.
type Lockout struct {
	Locked bool `json:"locked"`
	// Failures are those that are remembered; the TPM locks out at Most.
	Failures uint32 `json:"failures"`
	Most     uint32 `json:"most"`
	// IntervalSeconds is after how long one failure is forgotten.
	IntervalSeconds uint32 `json:"interval_seconds"`
	// RecoverySeconds is how long the lock-out hierarchy's own password is refused
	// after one failure.
	RecoverySeconds uint32 `json:"recovery_seconds"`
	// WaitSeconds is how long it is until the next try, at most; 0 if not locked.
	WaitSeconds uint32 `json:"wait_seconds"`
}

// Endorsement is what a TPM has of one kind of endorsement key.
type Endorsement struct {
	Kind string `json:"kind"`
	// Certificate: it is in the TPM, and Chain certificates of authorities too.
	Certificate bool `json:"certificate"`
	Chain       int  `json:"chain"`
	// URL is where the manufacturer publishes the certificate instead.
	URL string `json:"url,omitempty"`
}

// Examination is what Examine found. Fields that it did not get to are zero.
type Examination struct {
	TCTI string `json:"tcti"`
	// Manufacturer is the id in the TCG's registry, such as "IFX", Model the
	// vendor's own words, Firmware four numbers with dots.
	Manufacturer string        `json:"manufacturer,omitempty"`
	Model        string        `json:"model,omitempty"`
	Firmware     string        `json:"firmware,omitempty"`
	Emulated     bool          `json:"emulated"`
	Lockout      *Lockout      `json:"lockout,omitempty"`
	Endorsements []Endorsement `json:"endorsements,omitempty"`
	Findings     []Finding     `json:"findings"`
}

// State is that of the worst finding.
func (e *Examination) State() State {
	worst := OK
	for _, f := range e.Findings {
		if f.State == Fail || f.State == Warn && worst == OK {
			worst = f.State
		}
	}
	return worst
}

func (e *Examination) ok(name, format string, args ...any) {
	e.Findings = append(e.Findings, Finding{Name: name, State: OK, Found: fmt.Sprintf(format, args...)})
}

func (e *Examination) add(name string, s State, cure, format string, args ...any) {
	e.Findings = append(e.Findings, Finding{Name: name, State: s, Found: fmt.Sprintf(format, args...), Cure: cure})
}

// failed adds what kept something from being looked at.
func (e *Examination) failed(name string, err error) {
	cure := "try again; if it stays like this, restart the machine"
	switch {
	case errors.Is(err, ErrBusy):
		cure = "close the other program that uses the TPM"
	case isUnstarted(err):
		name, cure = "startup", "restart the machine; of an emulator, run tpm2_startup -c"
	case errors.Is(err, ErrBroken):
		name, cure = "self-test", "switch the machine off and on again; if it stays like this, the TPM is broken"
	case errors.Is(err, ErrHierarchy):
		name, cure = "hierarchies", "have it taken away by whoever set it"
	case errors.Is(err, ErrResponse):
		cure = "see whether the address is that of a TPM 2.0"
	case errors.Is(err, ErrUnavailable):
		cure = "switch the TPM on in the firmware set-up (of an emulator: start it)"
	}
	e.add(name, Fail, cure, "%v", err)
}

// Examine looks at everything about a TPM that group keys need, and says of each
// thing what it found and, if that is not good, the one thing to do about it. tcti
// is as in Open. It changes nothing in the TPM, and goes on as long as anything
// answers. A discrete TPM without a certificate takes some seconds.
func Examine(ctx context.Context, tcti string) *Examination {
	e := &Examination{TCTI: tcti}
	if tcti == "" {
		e.TCTI = DefaultTCTI
	}
	a, err := parseAddress(tcti)
	if err != nil {
		e.add("address", Fail, "name the TPM as it says, or leave its name out", "%v", err)
		return e
	}
	if !e.place(a) {
		return e
	}
	d, err := Open(ctx, tcti)
	switch {
	case err == nil:
	case a.target != "" && (errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)):
		e.add("device", Fail, "start it, or name another with --tpm", "no emulator answers at %s", a.target)
		return e
	default:
		e.failed("device", err)
		return e
	}
	defer d.Close()
	e.device(ctx, d)
	return e
}

// place looks at what the address leads to, before it is opened. It returns false
// if there is no point in that.
func (e *Examination) place(a address) bool {
	switch {
	case a.device != "":
		return e.file(a.device)
	case a.services:
		e.ok("sharing", "Windows' TPM Base Services share the TPM among programs")
	default:
		e.ok("sharing", "an emulator at %s, which serves one program after the other", a.target)
	}
	return true
}

// device looks at an open TPM. What can't be told of one thing does not keep the
// others from being looked at, unless the TPM does not answer any more.
func (e *Examination) device(ctx context.Context, d *Device) {
	for _, check := range []struct {
		name string
		look func(*sequence) error
	}{
		{"identity", e.identity},
		{"self-test", e.selfTest},
		{"group-keys", e.groupKeys},
		{"hierarchies", e.hierarchies},
		{"lock-out", e.lockout},
		{"slots", e.slots},
		{"endorsement", e.endorsement},
		{"registers", e.registers},
	} {
		if err := d.use(ctx, "examine", check.look); err != nil {
			e.failed(check.name, err)
			if ctx.Err() != nil || isUnstarted(err) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrBroken) {
				return
			}
		}
	}
}
