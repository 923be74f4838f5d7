package tpm

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
)

const (
	// slotsNeeded: a group key with its storage key, or with an endorsement key.
	slotsNeeded = 2
	// sessionsNeeded is for an endorsement key.
	sessionsNeeded = 1
)

// Bits of TPM_PT_PERMANENT and TPM_PT_STARTUP_CLEAR (TPM 2.0 Part 2, §8.6, §8.7).
const (
	ownerAuthSet       = 1 << 0
	endorsementAuthSet = 1 << 1
	ownerEnabled       = 1 << 1
	endorsementEnabled = 1 << 2
)

// isUnstarted says whether a TPM waits for TPM2_Startup.
func isUnstarted(err error) bool { return isRC(err, tpm2.TPMRCInitialize) }

// numbers reads several numeric properties.
func (s *sequence) numbers(properties ...tpm2.TPMPT) ([]uint32, error) {
	values := make([]uint32, len(properties))
	for i, p := range properties {
		var err error
		if values[i], err = s.property(p); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// letters are a property that holds text: up to four characters, padded.
func letters(v uint32) string {
	b := binary.BigEndian.AppendUint32(nil, v)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = ' '
		}
	}
	return string(b)
}

// identity is who made the TPM, and what is known of its firmware.
func (e *Examination) identity(s *sequence) error {
	v, err := s.numbers(tpm2.TPMPTManufacturer, tpm2.TPMPTVendorString1, tpm2.TPMPTVendorString2, tpm2.TPMPTVendorString3,
		tpm2.TPMPTVendorString4, tpm2.TPMPTFirmwareVersion1, tpm2.TPMPTFirmwareVersion2)
	if err != nil {
		return err
	}
	e.Manufacturer = strings.TrimSpace(letters(v[0]))
	e.Model = strings.TrimSpace(letters(v[1]) + letters(v[2]) + letters(v[3]) + letters(v[4]))
	version := [4]uint16{uint16(v[5] >> 16), uint16(v[5]), uint16(v[6] >> 16), uint16(v[6])}
	e.Firmware = fmt.Sprintf("%d.%d.%d.%d", version[0], version[1], version[2], version[3])
	e.ok("identity", "made by %s, model %q", makerName(e.Manufacturer), e.Model)
	if f, ok := knownFlaw(e.Manufacturer, version); ok {
		e.add("firmware", Fail, f.cure, "version %s has the flaw %s: %s", e.Firmware, f.name, f.effect)
	} else {
		e.ok("firmware", "version %s, of which no flaw is known here", e.Firmware)
	}
	if what := emulation(e.Manufacturer, e.Model); what != "" {
		e.Emulated = true
		e.add("emulator", Warn, "use the TPM of a real machine", "%s: it protects nothing from whoever runs it, and managers of real money refuse it", what)
	}
	return nil
}

// emulation says what a TPM is that is no hardware, empty if it may be some.
func emulation(manufacturer, model string) string {
	switch {
	case manufacturer == "IBM" && strings.HasPrefix(model, "SW"):
		return "this is an emulator (libtpms)"
	case strings.HasPrefix(model, "xCG"):
		return "this is Microsoft's simulator"
	case manufacturer == "MSFT", manufacturer == "VMW", manufacturer == "GOOG":
		return "this is a virtual TPM of " + makerName(manufacturer)
	}
	return ""
}

// selfTest reads what the TPM found when it tested itself. go-tpm lacks
// TPM2_GetTestResult; it has no parameters, and works in failure mode too.
func (e *Examination) selfTest(s *sequence) error {
	command := binary.BigEndian.AppendUint32([]byte{0x80, 1, 0, 0, 0, headerSize}, uint32(tpm2.TPMCCGetTestResult))
	rsp, err := s.Send(command)
	if err != nil {
		return err
	}
	if rc := tpm2.TPMRC(binary.BigEndian.Uint32(rsp[6:])); rc != tpm2.TPMRCSuccess {
		return fmt.Errorf("read test result: %w", rc)
	}
	result, err := testResult(rsp[headerSize:])
	if err != nil {
		return err
	}
	switch result {
	case tpm2.TPMRCSuccess:
		e.ok("self-test", "started, and its self-test passed")
	case tpm2.TPMRCNeedsTest, tpm2.TPMRCTesting:
		e.ok("self-test", "started; it has not tested everything yet, and will when it is needed")
	case tpm2.TPMRCFailure:
		e.add("self-test", Fail, "switch the machine off and on again; if it stays like this, the TPM is broken", "the self-test failed")
	default:
		e.add("self-test", Warn, "switch the machine off and on again", "the self-test ended with code %#x", uint32(result))
	}
	return nil
}

// testResult reads the parameters of TPM2_GetTestResult: data of the maker's, and
// a response code.
func testResult(b []byte) (tpm2.TPMRC, error) {
	if len(b) < 2 || len(b) != 2+int(binary.BigEndian.Uint16(b))+4 {
		return 0, fmt.Errorf("%w: test result of %d bytes", ErrResponse, len(b))
	}
	return tpm2.TPMRC(binary.BigEndian.Uint32(b[len(b)-4:])), nil
}

// groupKeys is what Probe asks for.
func (e *Examination) groupKeys(s *sequence) error {
	missing, err := s.missing()
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		e.add("group-keys", Fail, "use a machine with another TPM, or update this one's firmware", "it lacks %s", strings.Join(missing, " and "))
		return nil
	}
	e.ok("group-keys", "it has the curve BN_P256, the scheme ECDAA and TPM2_Commit")
	return nil
}

// hierarchies must be switched on and, but for the lock-out's, have no password.
func (e *Examination) hierarchies(s *sequence) error {
	v, err := s.numbers(tpm2.TPMPTPermanent, tpm2.TPMPTStartupClear)
	if err != nil {
		return err
	}
	good := true
	for _, h := range []struct {
		name     string
		off, set bool
	}{
		{"owner", v[1]&ownerEnabled == 0, v[0]&ownerAuthSet != 0},
		{"endorsement", v[1]&endorsementEnabled == 0, v[0]&endorsementAuthSet != 0},
	} {
		if h.off {
			e.add("hierarchies", Fail, "switch the TPM on in the firmware set-up", "the %s hierarchy is switched off", h.name)
			good = false
		} else if h.set {
			e.add("hierarchies", Fail, "have it taken away by whoever set it: tpm2_changeauth -c "+h.name+" -p PASSWORD", "the %s hierarchy has a password", h.name)
			good = false
		}
	}
	if good {
		e.ok("hierarchies", "the owner and the endorsement hierarchy are on, and without a password")
	}
	return nil
}

// lockout is the protection against guessing.
func (e *Examination) lockout(s *sequence) error {
	g, err := s.guard()
	if err != nil {
		return err
	}
	e.Lockout = &Lockout{
		Locked: g.locked, Failures: g.failures, Most: g.most,
		IntervalSeconds: uint32(g.interval / time.Second), RecoverySeconds: uint32(g.recovery / time.Second),
	}
	rule := fmt.Sprintf("%d of %d failures; one is forgotten every %s, while the machine is on", g.failures, g.most, InWords(g.interval))
	switch {
	case g.locked && g.interval == 0:
		e.add("lock-out", Fail, "have the owner end it: tpm2_dictionarylockout -c -p PASSWORD", "locked out, and not for a time only: %d of %d failures", g.failures, g.most)
	case g.locked:
		e.Lockout.WaitSeconds = uint32(g.wait() / time.Second)
		e.add("lock-out", Fail, fmt.Sprintf("leave the machine on for %s, and try then", InWords(g.wait())), "locked out: %s", rule)
	case g.left() <= 1:
		e.add("lock-out", Warn, "be sure of the PIN, or leave the machine on until failures are forgotten", "%s", rule)
	default:
		e.ok("lock-out", "%s", rule)
	}
	return nil
}

// slots are for loaded keys and sessions.
func (e *Examination) slots(s *sequence) error {
	v, err := s.numbers(tpm2.TPMPTHRTransientAvail, tpm2.TPMPTHRLoadedAvail)
	if err != nil {
		return err
	}
	found := fmt.Sprintf("free for %d keys and %d sessions", v[0], v[1])
	switch {
	case v[0] < slotsNeeded:
		e.add("slots", Fail, "flush what other programs have left (tpm2_flushcontext -t), or use device:/dev/tpmrm0", "%s, at least %d keys are needed", found, slotsNeeded)
	case v[1] < sessionsNeeded:
		e.add("slots", Fail, "flush what other programs have left (tpm2_flushcontext -l), or use device:/dev/tpmrm0", "%s, at least %d session is needed", found, sessionsNeeded)
	default:
		e.ok("slots", "%s", found)
	}
	return nil
}

// endorsement is about the keys by which a group manager knows a TPM.
func (e *Examination) endorsement(s *sequence) error {
	eks, err := s.certifiedEKs()
	if err != nil {
		return err
	}
	if len(eks) == 0 {
		if eks, err = s.bareEKs(); err != nil {
			return err
		}
	}
	if len(eks) == 0 {
		e.add("endorsement", Fail, "use a machine with another TPM", "it has no endorsement key of a kind that is known here")
		return nil
	}
	for _, ek := range eks {
		e.Endorsements = append(e.Endorsements, Endorsement{Kind: ek.Kind, Certificate: ek.CertificateDER != nil, Chain: len(ek.Chain), URL: ek.URL})
		name := "ek-" + ek.Kind
		switch {
		case ek.CertificateDER != nil && len(ek.Chain) > 0:
			e.ok(name, "its certificate is in the TPM, with %d of authorities above it", len(ek.Chain))
		case ek.CertificateDER != nil:
			e.ok(name, "its certificate is in the TPM")
		case ek.URL != "":
			e.add(name, Warn, "get the certificate before you enrol: "+ek.URL, "its certificate is not in the TPM; the manufacturer publishes it")
		default:
			e.add(name, Fail, "ask the maker of the TPM for its endorsement certificate", "its certificate is not in the TPM, and where the manufacturer publishes it is not known")
		}
	}
	return nil
}

// registers say in what state the machine was started. Some groups approve of
// states.
func (e *Examination) registers(s *sequence) error {
	list := make([]int, pcrCount)
	for i := range list {
		list[i] = i
	}
	values, err := s.readPCRs(list)
	if err != nil {
		return err
	}
	extended := slices.DeleteFunc(list, func(n int) bool { return values[n] == [32]byte{} || n >= 17 })
	if len(extended) == 0 && !e.Emulated {
		e.add("registers", Warn, "start the machine by UEFI, with the TPM's SHA-256 bank on in the firmware set-up", "the firmware has measured nothing: groups that approve of machines' states will refuse this one")
		return nil
	}
	e.ok("registers", "the SHA-256 bank can be read; %d registers have been measured into", len(extended))
	return nil
}
