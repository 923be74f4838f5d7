package tpm

import (
	"context"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// maxSealed bounds what is sealed, in bytes: what TPMs take.
const maxSealed = 128

// sealNonce is the size of the nonces of the sessions that seal and unseal.
const sealNonce = 16

// Seal wraps a secret by the TPM's ECC P-256 storage key, as [Device.CreateGroupKey] wraps
// a key: it comes out of this TPM only, and only given auth. With one it is
// protected against guessing as a group key is; with none it can be had while the
// TPM is locked out.
//
// Secret and authorisation value cross the bus encrypted (parameter encryption,
// TPM 2.0 Part 1, §21) in a session that is salted to the storage key. That is of
// use against somebody who listens; not against one who answers in the TPM's
// place, since nobody vouches for the storage key.
//
// Errors: ErrInput, ErrHierarchy if the owner hierarchy has a password.
func (d *Device) Seal(ctx context.Context, secret []byte, auth Auth) (Blob, error) {
	if err := auth.check(); err != nil {
		return Blob{}, fmt.Errorf("seal: %w", err)
	}
	if len(secret) == 0 || len(secret) > maxSealed {
		return Blob{}, fmt.Errorf("seal: %w: %d bytes", ErrInput, len(secret))
	}
	var blob Blob
	err := d.use(ctx, "seal", func(s *sequence) error {
		srk, session, err := s.saltedStorage()
		if err != nil {
			return err
		}
		defer s.flush(srk.Handle)
		rsp, err := tpm2.Create{
			ParentHandle: srk,
			InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
				UserAuth: tpm2.TPM2BAuth{Buffer: auth},
				Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret}),
			}},
			InPublic: tpm2.New2B(sealTemplate(len(auth) == 0)),
		}.Execute(s, session(tpm2.AESEncryption(128, tpm2.EncryptIn)))
		if err != nil {
			return err
		}
		blob = Blob{Public: rsp.OutPublic.Bytes(), Private: rsp.OutPrivate.Buffer}
		return nil
	})
	return blob, err
}

// sealTemplate is a sealed object.
func sealTemplate(free bool) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true, NoDA: free},
	}
}

// saltedSession begins a session for one command.
type saltedSession func(...tpm2.AuthOption) tpm2.Session

// saltedStorage makes the storage key, which the caller flushes, and a session
// whose parameters are encrypted to it.
func (s *sequence) saltedStorage() (tpm2.AuthHandle, saltedSession, error) {
	rsp, err := s.primary(storageTemplate())
	if err != nil {
		return tpm2.AuthHandle{}, nil, err
	}
	public, err := rsp.OutPublic.Contents()
	if err != nil {
		s.flush(rsp.ObjectHandle)
		return tpm2.AuthHandle{}, nil, fmt.Errorf("%w: storage key: %w", ErrResponse, err)
	}
	srk := tpm2.AuthHandle{Handle: rsp.ObjectHandle, Name: rsp.Name, Auth: tpm2.PasswordAuth(nil)}
	return srk, func(opts ...tpm2.AuthOption) tpm2.Session {
		return tpm2.HMAC(tpm2.TPMAlgSHA256, sealNonce, append(opts, tpm2.Salted(rsp.ObjectHandle, *public))...)
	}, nil
}

// Unseal returns what was sealed; the caller overwrites it.
//
// Errors: ErrInput if the blob is malformed, ErrWrongTPM if it belongs to another
// TPM or to this one before it was cleared, ErrAuth, ErrLockout.
func (d *Device) Unseal(ctx context.Context, blob Blob, auth Auth) (secret []byte, err error) {
	if err := auth.check(); err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	err = d.withSealed(ctx, "unseal", blob, func(s *sequence, sealed tpm2.NamedHandle, session saltedSession) error {
		rsp, err := tpm2.Unseal{
			ItemHandle: tpm2.AuthHandle{Handle: sealed.Handle, Name: sealed.Name, Auth: session(tpm2.AESEncryption(128, tpm2.EncryptOut), tpm2.Auth(auth))},
		}.Execute(s)
		if err != nil {
			return err
		}
		secret = rsp.OutData.Buffer
		return nil
	})
	return secret, err
}

// CheckSealed says whether a blob is this TPM's, without its authorisation value:
// nobody need be asked for one in vain. Errors: those of Unseal but ErrAuth.
func (d *Device) CheckSealed(ctx context.Context, blob Blob) error {
	return d.withSealed(ctx, "unseal", blob, func(*sequence, tpm2.NamedHandle, saltedSession) error { return nil })
}

// withSealed loads a sealed object for the time of f.
func (d *Device) withSealed(ctx context.Context, what string, blob Blob, f func(*sequence, tpm2.NamedHandle, saltedSession) error) error {
	if err := checkSealed(blob); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return d.use(ctx, what, func(s *sequence) error {
		srk, session, err := s.saltedStorage()
		if err != nil {
			return err
		}
		defer s.flush(srk.Handle)
		rsp, err := tpm2.Load{
			ParentHandle: srk,
			InPrivate:    tpm2.TPM2BPrivate{Buffer: blob.Private},
			InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](blob.Public),
		}.Execute(s)
		switch {
		case isRC(err, tpm2.TPMRCIntegrity):
			return fmt.Errorf("%w: %w", ErrWrongTPM, err)
		case isRC(err, tpm2.TPMRCSize, tpm2.TPMRCInsufficient):
			return fmt.Errorf("%w: blob: %w", ErrInput, err)
		case err != nil:
			return err
		}
		defer s.flush(rsp.ObjectHandle)
		return f(s, tpm2.NamedHandle{Handle: rsp.ObjectHandle, Name: rsp.Name}, session)
	})
}

// checkSealed refuses what Seal does not make.
func checkSealed(blob Blob) error {
	if len(blob.Public) == 0 || len(blob.Public) > maxArea || len(blob.Private) == 0 || len(blob.Private) > maxArea {
		return fmt.Errorf("%w: blob of %d and %d bytes", ErrInput, len(blob.Public), len(blob.Private))
	}
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](blob.Public)
	if err != nil {
		return fmt.Errorf("%w: public area: %w", ErrInput, err)
	}
	if area.Type != tpm2.TPMAlgKeyedHash || area.NameAlg != tpm2.TPMAlgSHA256 {
		return fmt.Errorf("%w: it is no sealed secret", ErrInput)
	}
	return nil
}
