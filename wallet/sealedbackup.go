package wallet

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// maxBackupWork bounds what opening a backup costs: scrypt's N is 2 to that power.
const maxBackupWork = 20

// SealBackup encrypts a backup with a passphrase: an age file, which age opens too
// (age-encryption.org/v1, a scrypt recipient, armored). ErrPassphraseForm for a
// passphrase that is none.
func SealBackup(data, passphrase []byte) ([]byte, error) {
	if err := CheckPassphrase(passphrase); err != nil {
		return nil, err
	}
	to, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	var out bytes.Buffer
	lines := armor.NewWriter(&out)
	w, err := age.Encrypt(lines, to)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	_, err = w.Write(data)
	if err := errors.Join(err, w.Close(), lines.Close()); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return out.Bytes(), nil
}

// IsSealedBackup says whether a backup is encrypted, by its beginning.
func IsSealedBackup(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte(armor.Header))
}

// OpenBackup decrypts what [SealBackup] made. Errors: [ErrPassphrase], [ErrBackup].
func OpenBackup(data, passphrase []byte) ([]byte, error) {
	if len(data) > 2*MaxBackup {
		return nil, fmt.Errorf("%w: %d bytes", ErrBackup, len(data))
	}
	id, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	id.SetMaxWorkFactor(maxBackupWork)
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(data)), id)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("backup: %w", ErrPassphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBackup, err)
	}
	out, err := io.ReadAll(io.LimitReader(r, MaxBackup+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBackup, err)
	}
	return out, nil
}
