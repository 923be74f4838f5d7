package wallet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/tpm"
)

// seal makes a secret, has the TPM seal it, and returns it.
func (s *stanza) seal(ctx context.Context, l *Lock) ([]byte, error) {
	if err := CheckPIN(l.PIN); err != nil {
		return nil, err
	}
	dev, err := tpm.Open(ctx, l.TPM)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, sqlitefile.KeySize)
	_, _ = rand.Read(secret)
	sealed, err := dev.Seal(ctx, secret, l.PIN)
	if err = errors.Join(err, dev.Close()); err != nil {
		return nil, fmt.Errorf("lock: %w", keyError(err))
	}
	s.Public, s.Private, s.PIN = sealed.Public, sealed.Private, len(l.PIN) > 0
	return secret, nil
}

func (u *Unlock) openTPM(ctx context.Context, s *stanza) (key []byte, err error) {
	dev, err := tpm.Open(ctx, u.TPM)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	sealed := tpm.Blob{Public: s.Public, Private: s.Private}
	// Where the TPM is another one, nobody is asked for a PIN.
	if err := dev.CheckSealed(ctx, sealed); err != nil {
		return nil, sealError(err)
	}
	var pin tpm.Auth
	if s.PIN {
		if u.PIN == nil {
			return nil, ErrPursePINNeeded
		}
		if err := dev.CheckLockout(ctx); err != nil {
			return nil, keyError(err)
		}
		if pin, err = u.PIN(ctx); err != nil {
			return nil, err
		}
	}
	secret, err := dev.Unseal(ctx, sealed, pin)
	clear(pin)
	if err != nil {
		return nil, sealError(err)
	}
	defer clear(secret)
	if len(secret) != sqlitefile.KeySize {
		return nil, fmt.Errorf("%w: a sealed secret of %d bytes", ErrLock, len(secret))
	}
	if key, err = s.unwrap(secret); err != nil {
		return nil, fmt.Errorf("%w: what the TPM keeps is not its key", ErrLock)
	}
	return key, nil
}

func sealError(err error) error {
	switch {
	case errors.Is(err, tpm.ErrWrongTPM):
		return fmt.Errorf("%w: %w", ErrSealed, err)
	case errors.Is(err, tpm.ErrInput):
		return fmt.Errorf("%w: %w", ErrLock, err)
	}
	return keyError(err)
}
