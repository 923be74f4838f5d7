/*
Package attest owns the verifier's side of TPM 2.0: whether an endorsement key
belongs to a genuine TPM, whether a group key is one that its TPM will never give
away, and the challenge that only that TPM holding that key can answer.

	ek, err := attest.VerifyEK(chain, ekPublic, roots, now)      // a genuine TPM
	name, q, err := attest.CheckGroupKey(public, template)       // a key that stays in a TPM
	blob, secret, err := attest.MakeCredential(ek, name, random) // this key in this TPM

The three steps prove something together only. A public area by itself is a
claim, and so is a certificate that somebody sends along: it is the answer to the
challenge that binds both to one TPM.

The package must never import package tpm, which is the device's side. It
touches no TPM, no file but in [LoadRoots], and no clock. It needs no cgo.

# Trust

Everything but the roots, the template and the time is input from a stranger.
Certificates that he sends serve as intermediates, never as roots. Public areas
are compared with what they have to be, byte for byte; nothing in them is
interpreted before.

What is rested upon: a TPM whose manufacturer's root is listed certifies an
endorsement key only if the key was made in the TPM and can't leave it, and
activates a credential only for a key it has loaded. A TPM broken once is broken
for good, and this package can't see it. Roots of emulators, whose keys lie in
files, don't belong into a list for production.

A TPM has as a rule several endorsement keys, RSA and ECC. Who admits both admits
the TPM twice: [EK.Kind] and [EK.Root] are there for the caller to admit one kind
per manufacturer.

# Errors

[ErrRoots] for a list of roots that can't be used. [ErrChain], [ErrEKProfile],
[ErrEKMismatch], [ErrTemplate], [ErrPlatform] and [ErrInput] are verdicts on what the stranger
sent; the text says which check failed and is fit to be shown to him. All are
matched with errors.Is.

Go's parser refuses certificates with a negative serial number, which a few
manufacturers have issued; an operator who has to admit them sets
GODEBUG=x509negativeserial=1.

# Concurrency

Roots and EK are not written to once made; everything may be used from several
goroutines at once.
*/
package attest
