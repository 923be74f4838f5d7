package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/speciecash/specie/group/fp256bn"
)

const (
	// maxSeed bounds s2 in bytes: TPM2B_SENSITIVE_DATA takes at least so many in
	// every TPM.
	maxSeed = 64
	// maxChallenge bounds each part of a credential challenge, in bytes: the
	// larger one holds an RSA ciphertext.
	maxChallenge = 1024
	policyNonce  = 16 // bytes, TCG's least
)

// with runs f with the key loaded and ready. If the TPM has been reset since the
// key was loaded, it is loaded again, once, and f begins anew. After a reset the
// slot may hold another key of this device, which the password of this one must
// not reach.
func (g *GroupKey) with(ctx context.Context, what string, f func(*sequence, tpm2.AuthHandle) error) error {
	return g.device.use(ctx, what, func(s *sequence) error {
		if g.closed {
			return fmt.Errorf("group key %w", ErrClosed)
		}
		if s.device.held[g.handle] == g {
			err := f(s, g.authorised())
			if !g.lost(s, err) {
				return err
			}
			delete(s.device.held, g.handle)
		}
		if err := g.load(s); err != nil {
			return err
		}
		return f(s, g.authorised())
	})
}

// lost says whether a use of the key failed because the TPM has been reset: what
// was loaded is gone then, or, if another program was quicker, something else is
// in its place.
func (g *GroupKey) lost(s *sequence, err error) bool {
	var rc tpm2.TPMRC
	if !errors.As(err, &rc) || s.ctx.Err() != nil {
		return false
	}
	there, err := tpm2.ReadPublic{ObjectHandle: g.handle}.Execute(s)
	if err != nil {
		return isRC(err, tpm2.TPMRCReferenceH0, tpm2.TPMRCHandle)
	}
	return !bytes.Equal(there.Name.Buffer, g.name)
}

func (g *GroupKey) authorised() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: g.handle, Name: tpm2.TPM2BName{Buffer: g.name}, Auth: tpm2.PasswordAuth(g.auth)}
}

// Commit runs TPM2_Commit (TPM 2.0 Part 3, §19.2) with a fresh r that never
// leaves the TPM: k=[f]P2, l=[r]P2 and e=[r]P1, where P2 = (SHA-256(s2) mod p, y2)
// must be on the curve. s2 is 1 to 64 bytes. With p1 nil, e is the point at
// infinity. The counter names r for one later Sign of this GroupKey; up to 128 may
// be open in the TPM, and one that is not signed with may be forgotten.
//
// Errors: ErrInput if P2 is not a point or p1 is infinity, ErrAuth, ErrLockout,
// ErrPlatform.
func (g *GroupKey) Commit(ctx context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (k, l, e fp256bn.G1, counter uint16, err error) {
	if len(s2) == 0 || len(s2) > maxSeed {
		return k, l, e, 0, fmt.Errorf("commit: %w: s2 of %d bytes", ErrInput, len(s2))
	}
	var first tpm2.TPMSECCPoint // empty coordinates, size 4: P1 is absent
	if p1 != nil {
		if p1.IsInfinity() {
			return k, l, e, 0, fmt.Errorf("commit: %w: P1 is the point at infinity", ErrInput)
		}
		x, y := p1.XY()
		first.X.Buffer, first.Y.Buffer = x[:], y[:]
	}
	err = g.withUse(ctx, "commit", func(s *sequence, key tpm2.AuthHandle) error {
		rsp, err := tpm2.Commit{
			SignHandle: key,
			P1:         tpm2.New2B(first),
			S2:         tpm2.TPM2BSensitiveData{Buffer: s2},
			Y2:         tpm2.TPM2BECCParameter{Buffer: y2[:]},
		}.Execute(s)
		if isRC(err, tpm2.TPMRCECCPoint, tpm2.TPMRCNoResult) {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		if err != nil {
			return err
		}
		if k, err = point("K", &rsp.K); err != nil {
			return err
		}
		if l, err = point("L", &rsp.L); err != nil {
			return err
		}
		if p1 != nil {
			if e, err = point("E", &rsp.E); err != nil {
				return err
			}
		}
		g.last++
		counter = g.last
		g.open[counter] = rsp.Counter
		return nil
	})
	if err != nil {
		return fp256bn.G1{}, fp256bn.G1{}, fp256bn.G1{}, 0, err
	}
	return k, l, e, counter, nil
}

// point reads a point that the TPM returned, and checks that it is one.
func point(name string, b *tpm2.TPM2BECCPoint) (fp256bn.G1, error) {
	p, err := b.Contents()
	if err != nil {
		return fp256bn.G1{}, fmt.Errorf("%w: %s: %w", ErrResponse, name, err)
	}
	g, err := fp256bn.G1FromXY(p.X.Buffer, p.Y.Buffer)
	if err != nil {
		return fp256bn.G1{}, fmt.Errorf("%w: %s: %w", ErrResponse, name, err)
	}
	return g, nil
}

// Sign runs TPM2_Sign with ECDAA (TPM 2.0 Part 1, annex C.4) and the r that
// Commit named counter: s = r + c·f mod n, where c = SHA-256(nu‖digest) mod n. nu
// is the TPM's nonce, exactly as returned: TPMs drop its leading zeros, and hash
// what they return, so nothing may be put back.
//
// Errors: ErrCommitment, ErrAuth, ErrLockout, ErrPlatform.
func (g *GroupKey) Sign(ctx context.Context, digest [32]byte, counter uint16) (nu []byte, s fp256bn.Scalar, err error) {
	err = g.withUse(ctx, "sign", func(seq *sequence, key tpm2.AuthHandle) error {
		number, ok := g.open[counter]
		if !ok {
			return ErrCommitment // the TPM may have given the number to another r
		}
		rsp, err := tpm2.Sign{
			KeyHandle: key,
			Digest:    tpm2.TPM2BDigest{Buffer: digest[:]},
			InScheme: tpm2.TPMTSigScheme{
				Scheme:  tpm2.TPMAlgECDAA,
				Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDAA, &tpm2.TPMSSchemeECDAA{HashAlg: tpm2.TPMAlgSHA256, Count: number}),
			},
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
		}.Execute(seq)
		if isRC(err, tpm2.TPMRCValue) {
			delete(g.open, counter)
			return fmt.Errorf("%w: %w", ErrCommitment, err)
		}
		if err != nil {
			return err
		}
		delete(g.open, counter)
		sig, err := rsp.Signature.Signature.ECDAA()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrResponse, err)
		}
		if s, err = scalar(sig.SignatureS.Buffer); err != nil {
			return err
		}
		nu = sig.SignatureR.Buffer
		return nil
	})
	if err != nil {
		return nil, fp256bn.Scalar{}, err
	}
	return nu, s, nil
}

// scalar reads signatureS, whose leading zeros a TPM may drop.
func scalar(b []byte) (fp256bn.Scalar, error) {
	var full [fp256bn.ScalarSize]byte
	if len(b) > len(full) {
		return fp256bn.Scalar{}, fmt.Errorf("%w: signature of %d bytes", ErrResponse, len(b))
	}
	copy(full[len(full)-len(b):], b)
	s, err := fp256bn.ParseScalar(full[:])
	if err != nil {
		return fp256bn.Scalar{}, fmt.Errorf("%w: signature: %w", ErrResponse, err)
	}
	return s, nil
}

// ActivateCredential opens a verifier's challenge (TPM 2.0 Part 1, §24) with the
// endorsement key of that kind, and returns the secret. The TPM does so only if
// the challenge was made for the endorsement key and for the Name of this very
// group key. credentialBlob is the contents of the TPM2B_ID_OBJECT,
// encryptedSecret that of the TPM2B_ENCRYPTED_SECRET.
//
// Errors: ErrNoEK, ErrCredential, ErrInput, ErrAuth, ErrLockout.
func (g *GroupKey) ActivateCredential(ctx context.Context, ekKind string, credentialBlob, encryptedSecret []byte) ([]byte, error) {
	profile, err := ekProfileOf(ekKind)
	if err != nil {
		return nil, fmt.Errorf("activate credential: %w", err)
	}
	if len(credentialBlob) > maxChallenge || len(encryptedSecret) > maxChallenge {
		return nil, fmt.Errorf("activate credential: %w: challenge of %d and %d bytes", ErrInput, len(credentialBlob), len(encryptedSecret))
	}
	var secret []byte
	err = g.with(ctx, "activate credential", func(s *sequence, key tpm2.AuthHandle) error {
		ek, release, err := s.authoriseEK(profile)
		if err != nil {
			return err
		}
		defer release()
		rsp, err := tpm2.ActivateCredential{
			ActivateHandle: key,
			KeyHandle:      ek,
			CredentialBlob: tpm2.TPM2BIDObject{Buffer: credentialBlob},
			Secret:         tpm2.TPM2BEncryptedSecret{Buffer: encryptedSecret},
		}.Execute(s)
		if s.refused(err, ek.Handle) {
			return fmt.Errorf("%w: %w", ErrCredential, err)
		}
		if err != nil {
			return err
		}
		secret = rsp.CertInfo.Buffer
		return nil
	})
	return secret, err
}

// refused says whether a TPM means the challenge, and not itself, with the error
// it gave. For an RSA ciphertext that is not for its key libtpms answers
// TPM_RC_FAILURE, which otherwise says that the TPM works no more: it would not
// read the endorsement key then.
func (s *sequence) refused(err error, ek tpm2.TPMHandle) bool {
	if isRC(err, tpm2.TPMRCFailure) {
		_, err := tpm2.ReadPublic{ObjectHandle: ek}.Execute(s)
		return err == nil
	}
	return isRC(err, tpm2.TPMRCIntegrity, tpm2.TPMRCValue, tpm2.TPMRCSize, tpm2.TPMRCInsufficient, tpm2.TPMRCECCPoint)
}

// authoriseEK loads an endorsement key and returns it with what authorises its
// use; release frees both.
func (s *sequence) authoriseEK(p ekProfile) (tpm2.AuthHandle, func(), error) {
	cert, err := s.readCertificate(p.certificate)
	if err != nil && !absent(err) {
		return tpm2.AuthHandle{}, nil, fmt.Errorf("%s certificate: %w", p.kind, err)
	}
	ek, err := s.loadEK(p, cert)
	if err != nil {
		return tpm2.AuthHandle{}, nil, fmt.Errorf("%s key: %w", p.kind, err)
	}
	auth := tpm2.AuthHandle{Handle: ek.handle, Name: ek.name, Auth: tpm2.PasswordAuth(nil)}
	if !p.policy {
		return auth, ek.release, nil
	}
	session, _, err := tpm2.PolicySession(s, tpm2.TPMAlgSHA256, policyNonce)
	if err != nil {
		ek.release()
		return tpm2.AuthHandle{}, nil, fmt.Errorf("start policy session: %w", err)
	}
	release := func() {
		s.flush(session.Handle())
		ek.release()
	}
	if _, err := (tpm2.PolicySecret{
		AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		PolicySession: session.Handle(),
		NonceTPM:      session.NonceTPM(),
	}).Execute(s); err != nil {
		release()
		return tpm2.AuthHandle{}, nil, fmt.Errorf("authorise endorsement key: %w", endorsement(err))
	}
	auth.Auth = session
	return auth, release, nil
}

func ekProfileOf(kind string) (ekProfile, error) {
	for _, p := range ekProfiles() {
		if p.kind == kind {
			return p, nil
		}
	}
	return ekProfile{}, fmt.Errorf("%w: no endorsement key kind %q", ErrInput, kind)
}
