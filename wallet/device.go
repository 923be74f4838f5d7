package wallet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/tpm"
)

// TPM says which TPM has the wallet's key, and who knows the key's PIN.
type TPM struct {
	// Address names the TPM as package tpm has it, such as "device:/dev/tpmrm0";
	// empty is the platform's.
	Address string
	// PIN is asked for the PIN of a key that has one, once. Nil is nobody to
	// ask: [ErrPINNeeded].
	PIN AskPIN
	// Opening is reported while the key is loaded and tried, and the credential
	// renewed, which takes a discrete chip some seconds; Tags while it computes the tags of coins to
	// come, whatever they are for, unless Steps.Tags is given. Both may be nil.
	Opening, Tags Progress
}

// AskPIN gets the PIN of the key in the TPM from a person, or from where he
// keeps it. The wallet hands it to the TPM and keeps it nowhere.
type AskPIN func(ctx context.Context) (tpm.Auth, error)

// The length of a PIN in bytes: fewer are guessed between two lock-outs, more a
// TPM does not take.
const (
	MinPIN = 4
	MaxPIN = 32
)

// CheckPIN returns [ErrPINForm] for what can't be the PIN of a new key. An empty
// one is no PIN at all, and good.
func CheckPIN(pin tpm.Auth) error {
	switch {
	case len(pin) == 0:
		return nil
	case len(pin) < MinPIN || len(pin) > MaxPIN:
		return fmt.Errorf("%w: this one has %d", ErrPINForm, len(pin))
	case slices.Contains(pin, 0):
		return fmt.Errorf("%w, none of them zero", ErrPINForm)
	}
	return nil
}

func openTPM(ctx context.Context, t TPM) (*tpm.Device, error) {
	dev, err := tpm.Open(ctx, t.Address)
	if err != nil {
		return nil, err
	}
	if err := dev.Probe(ctx); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return dev, nil
}

// openedKey is a key from its file, and its PIN.
type openedKey struct {
	file *tpm.KeyFile
	pin  tpm.Auth
}

// load puts the key into the TPM. The PIN is not tried before the key's first
// use, and neither is the platform, which matters to keys of a group with a rule
// about it.
func (k *openedKey) load(ctx context.Context, dev *tpm.Device, platform *groupdoc.Platform) (*tpm.GroupKey, error) {
	return dev.LoadGroupKey(ctx, k.file.Blob, k.pin, tpm.WithPlatform(platform))
}

// openKey reads a key from its file, and asks for its PIN if it has one. ekID is
// an endorsement key (attest.EKID) of the TPM in which it was made, empty if that
// was not written down. Errors: ErrKeyFile, ErrPINNeeded, ErrCleared,
// ErrWrongTPM.
func (w *Wallet) openKey(ctx context.Context, dev *tpm.Device, t TPM, platform *groupdoc.Platform, ref keyRef, ekID []byte) (*openedKey, error) {
	file, err := w.readKey(ref)
	if err != nil {
		return nil, err
	}
	k := &openedKey{file: file}
	// Loaded without the PIN first: where the key can't be loaded, nobody is
	// asked for it.
	key, err := k.load(ctx, dev, platform)
	if errors.Is(err, tpm.ErrWrongTPM) {
		return nil, wrongTPM(ctx, dev, ekID, err)
	}
	if err != nil {
		return nil, err
	}
	if err := key.Close(); err != nil || !file.NeedsAuth {
		return k, err
	}
	if t.PIN == nil {
		return nil, ErrPINNeeded
	}
	if err := dev.CheckLockout(ctx); err != nil {
		return nil, err
	}
	k.pin, err = t.PIN(ctx)
	return k, err
}

// wrongTPM tells a TPM that was cleared from another one: clearing makes a new
// storage key and leaves the endorsement keys alone.
func wrongTPM(ctx context.Context, dev *tpm.Device, ekID []byte, cause error) error {
	if len(ekID) == 0 {
		return fmt.Errorf("%w: %w", ErrWrongTPM, cause)
	}
	eks, err := dev.EKs(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWrongTPM, cause)
	}
	for _, ek := range eks {
		if id, err := attest.EKID(ek.Public); err == nil && slices.Equal(id[:], ekID) {
			return fmt.Errorf("%w: %w", ErrCleared, cause)
		}
	}
	return fmt.Errorf("%w: %w", ErrWrongTPM, cause)
}
