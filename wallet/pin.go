package wallet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/tpm"
)

// PINError is [ErrPIN] with how often it may be tried again.
type PINError struct {
	// Left is how many wrong PINs the TPM takes before it locks out; 0 if it has
	// done so, negative if it does not say.
	Left int
	// Unfinished: it is the PIN of a key with which an enrolment was begun before,
	// and that may be nobody's yet; see Enrolment.Anew.
	Unfinished bool
	cause      error
}

// Error says so in words.
func (e *PINError) Error() string {
	switch {
	case e.Left < 0:
		return ErrPIN.Error()
	case e.Left == 0:
		return ErrPIN.Error() + "; it was the last try, the TPM is locked out now"
	case e.Left == 1:
		return ErrPIN.Error() + "; 1 try is left before the TPM locks out"
	}
	return fmt.Sprintf("%v; %d tries are left before the TPM locks out", ErrPIN, e.Left)
}

// Is matches ErrPIN.
func (e *PINError) Is(target error) bool { return target == ErrPIN }

// Unwrap returns the TPM's own error.
func (e *PINError) Unwrap() error { return e.cause }

// LockoutError is [ErrLockout] with the time that is left.
type LockoutError struct {
	// Wait is how long it takes at most until the TPM takes one more try, while
	// the machine is on; 0 if the TPM does not say.
	Wait  time.Duration
	cause error
}

// Error says so in words.
func (e *LockoutError) Error() string {
	if e.Wait <= 0 {
		return ErrLockout.Error()
	}
	return fmt.Sprintf("%v: it takes the next one after %s at most", ErrLockout, InWords(e.Wait))
}

// Is matches ErrLockout.
func (e *LockoutError) Is(target error) bool { return target == ErrLockout }

// Unwrap returns the TPM's own error.
func (e *LockoutError) Unwrap() error { return e.cause }

// InWords is a time that somebody has to wait, rounded up to its largest unit of
// which there are two: "90 seconds" would be "2 minutes".
func InWords(d time.Duration) string { return tpm.InWords(d) }

// keyError says what a person needs to know of a PIN that was refused: how many
// tries are left, or how long to wait.
func keyError(err error) error {
	var locked *tpm.LockoutError
	var refused *tpm.AuthError
	switch {
	case errors.As(err, &locked):
		return &LockoutError{Wait: locked.Wait, cause: err}
	case errors.As(err, &refused):
		return &PINError{Left: refused.Left, cause: err}
	}
	return err
}

// ChangePIN gives the member's key another PIN, or none; see [CheckPIN]. Its file
// is replaced by one that was tried: in a crash there is the one or the other, and
// both work, each with its own PIN. A copy of the old file keeps the old PIN. No
// other TPM may be attached. Errors: those of [Wallet.AttachTPM], and ErrPINForm.
func (w *Wallet) ChangePIN(ctx context.Context, t TPM, newPIN AskPIN) error {
	if w.enrolled == nil {
		return ErrNotEnrolled
	}
	doc, err := w.groupDocument(ctx)
	if err != nil {
		return err
	}
	dev, err := openTPM(ctx, t)
	if err != nil {
		return err
	}
	return errors.Join(platformError(doc.ID, keyError(w.changePIN(ctx, dev, t, doc, newPIN))), dev.Close())
}

func (w *Wallet) changePIN(ctx context.Context, dev *tpm.Device, t TPM, doc *groupdoc.Document, newPIN AskPIN) error {
	opened, err := w.openKey(ctx, dev, t, doc.Platform, w.enrolled.keyRef, w.enrolled.EKID)
	if err != nil {
		return err
	}
	key, err := opened.load(ctx, dev, doc.Platform)
	if err != nil {
		return err
	}
	defer key.Close()
	// Tried before the new one is asked for. It says nothing of the platform,
	// which need not be approved to change a PIN.
	if _, err := key.ChangeAuth(ctx, opened.pin); err != nil {
		return err
	}
	pin, err := newPIN(ctx)
	if err != nil {
		return err
	}
	if err := CheckPIN(pin); err != nil {
		return err
	}
	if err := w.SetOnePIN(ctx, false); err != nil {
		return err
	}
	blob, err := key.ChangeAuth(ctx, pin)
	if err != nil {
		return err
	}
	next := &openedKey{file: &tpm.KeyFile{Blob: blob, NeedsAuth: len(pin) > 0, Description: opened.file.Description}, pin: pin}
	changed, err := next.load(ctx, dev, doc.Platform)
	if err != nil {
		return err
	}
	_, err = changed.ChangeAuth(ctx, pin)
	if err = errors.Join(err, changed.Close()); err != nil {
		return err
	}
	return tpm.ReplaceKeyFile(w.keyPath(w.enrolled.keyRef), next.file)
}

// HasPIN says whether the member's key has a PIN, as its file has it.
func (w *Wallet) HasPIN() (bool, error) {
	if w.enrolled == nil {
		return false, ErrNotEnrolled
	}
	file, err := w.readKey(w.enrolled.keyRef)
	if err != nil {
		return false, err
	}
	return file.NeedsAuth, nil
}
