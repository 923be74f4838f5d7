package swtpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"time"
)

// What follows does to an emulated TPM what a person, a power failure or other
// software does to a real one. The authorisation values of its hierarchies are
// empty, as shipped.

const (
	headerSize = 10 // of a command and of a response, in bytes

	commandClear            = 0x126 // TPM2_Clear
	commandForgiveFailures  = 0x139 // TPM2_DictionaryAttackLockReset
	commandSetFailures      = 0x13a // TPM2_DictionaryAttackParameters
	commandHierarchyPass    = 0x129 // TPM2_HierarchyChangeAuth
	commandExtend           = 0x182 // TPM2_PCR_Extend
	hierarchyOwner          = 0x40000001
	hierarchyLockout        = 0x4000000a
	hierarchyPlatform       = 0x4000000c
	algorithmSHA256         = 0x000b
	codeRetry               = 0x922 // TPM_RC_RETRY
	controlInit             = 2     // swtpm's CMD_INIT
	lockoutHierarchySeconds = 1000  // what swtpm_setup leaves it at
)

// Reset switches the TPM off and on again in an orderly way, as a reboot does:
// loaded keys, sessions and open commitments are gone, the platform
// configuration registers begin anew. The process keeps running.
func (e *Emulator) Reset(ctx context.Context) error {
	if err := e.exchangeOK(ctx, startStop(0x145)); err != nil {
		return fmt.Errorf("reset TPM: shut down: %w", err)
	}
	return e.PowerCut(ctx)
}

// PowerCut does what Reset does, but gives the TPM no notice. If a key with an
// authorisation value was in use, that counts as one failure towards lock-out.
func (e *Emulator) PowerCut(ctx context.Context) error {
	if err := e.control(ctx, binary.BigEndian.AppendUint32([]byte{0, 0, 0, controlInit}, 0)); err != nil {
		return fmt.Errorf("reset TPM: %w", err)
	}
	if err := e.exchangeOK(ctx, startStop(0x144)); err != nil {
		return fmt.Errorf("reset TPM: start up: %w", err)
	}
	return nil
}

// Clear runs TPM2_Clear as the firmware's set-up does: whatever was made under
// the owner hierarchy is lost for ever, group keys among it. The endorsement
// keys and their certificates remain.
func (e *Emulator) Clear(ctx context.Context) error {
	if err := e.exchangeOK(ctx, authorised(commandClear, hierarchyPlatform, nil)); err != nil {
		return fmt.Errorf("clear TPM: %w", err)
	}
	return nil
}

// ExtendPCR extends a register of the SHA-256 bank, 0 to 23.
func (e *Emulator) ExtendPCR(ctx context.Context, register int, digest [32]byte) error {
	if register < 0 || register > 23 {
		return fmt.Errorf("extend PCR: there is no register %d", register)
	}
	params := []byte{0, 0, 0, 1, algorithmSHA256 >> 8, algorithmSHA256 & 0xff}
	if err := e.exchangeOK(ctx, authorised(commandExtend, uint32(register), append(params, digest[:]...))); err != nil {
		return fmt.Errorf("extend PCR: %w", err)
	}
	return nil
}

// SetDictionaryAttack makes the TPM lock out after that many failures, and
// forget one failure after each interval, which is in whole seconds and at least
// one. Emulators come with 3 failures and 1000 seconds.
func (e *Emulator) SetDictionaryAttack(ctx context.Context, failures int, interval time.Duration) error {
	seconds := int64(interval / time.Second)
	if failures < 1 || failures > math.MaxInt32 || seconds < 1 || seconds > math.MaxInt32 {
		return fmt.Errorf("set lock-out: %d failures, %v", failures, interval)
	}
	params := binary.BigEndian.AppendUint32(nil, uint32(failures))
	params = binary.BigEndian.AppendUint32(params, uint32(seconds))
	params = binary.BigEndian.AppendUint32(params, lockoutHierarchySeconds)
	if err := e.exchangeOK(ctx, authorised(commandSetFailures, hierarchyLockout, params)); err != nil {
		return fmt.Errorf("set lock-out: %w", err)
	}
	return nil
}

// ForgiveFailures ends a lock-out and sets the number of failures to zero, as
// the owner of a TPM does with its lock-out password.
func (e *Emulator) ForgiveFailures(ctx context.Context) error {
	if err := e.exchangeOK(ctx, authorised(commandForgiveFailures, hierarchyLockout, nil)); err != nil {
		return fmt.Errorf("end lock-out: %w", err)
	}
	return nil
}

// SetOwnerPassword gives the owner hierarchy a password, as some administrators
// do. Clear takes it away again.
func (e *Emulator) SetOwnerPassword(ctx context.Context, password string) error {
	if len(password) > 32 {
		return errors.New("set the owner's password: longer than 32 bytes")
	}
	params := append(binary.BigEndian.AppendUint16(nil, uint16(len(password))), password...)
	if err := e.exchangeOK(ctx, authorised(commandHierarchyPass, hierarchyOwner, params)); err != nil {
		return fmt.Errorf("set the owner's password: %w", err)
	}
	return nil
}

// startStop is TPM2_Startup or TPM2_Shutdown with TPM_SU_CLEAR.
func startStop(code uint16) []byte {
	return []byte{0x80, 1, 0, 0, 0, 12, 0, 0, byte(code >> 8), byte(code), 0, 0}
}

// authorised is a command on one handle, with the empty password.
func authorised(code, handle uint32, params []byte) []byte {
	session := []byte{0x40, 0, 0, 9 /* TPM_RS_PW */, 0, 0 /* no nonce */, 0, 0, 0 /* no password */}
	b := binary.BigEndian.AppendUint32([]byte{0x80, 2}, uint32(headerSize+4+4+len(session)+len(params)))
	b = binary.BigEndian.AppendUint32(b, code)
	b = binary.BigEndian.AppendUint32(b, handle)
	b = binary.BigEndian.AppendUint32(b, uint32(len(session)))
	return append(append(b, session...), params...)
}

// exchangeOK sends a command, again if the TPM asks for it, and expects it to
// succeed.
func (e *Emulator) exchangeOK(ctx context.Context, command []byte) error {
	ctx, cancel := context.WithTimeout(ctx, startBudget)
	defer cancel()
	for {
		header, err := e.exchange(ctx, command)
		if err != nil {
			return err
		}
		switch code := binary.BigEndian.Uint32(header[6:]); code {
		case 0:
			return nil
		case codeRetry:
		default:
			return fmt.Errorf("TPM code %#x", code)
		}
	}
}

// control sends a command to swtpm itself and expects it to succeed.
func (e *Emulator) control(ctx context.Context, command []byte) error {
	ctx, cancel := context.WithTimeout(ctx, startBudget)
	defer cancel()
	conn, err := dial(ctx, e.socket+controlSuffix)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(command); err != nil {
		return err
	}
	var code [4]byte
	if _, err := io.ReadFull(conn, code[:]); err != nil {
		return err
	}
	if code != [4]byte{} {
		return fmt.Errorf("swtpm code %#x", code)
	}
	return nil
}

// dial connects to a socket for as long as the context lasts.
func dial(ctx context.Context, path string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}
