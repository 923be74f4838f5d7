/*
Package attest owns the verifier's side of TPM 2.0: whether an endorsement key
belongs to a genuine TPM, whether a group key is one that its TPM will never give
away, and the challenge that only that TPM holding that key can answer.

	roots, err := attest.LoadRoots(dir, nil)                     // whose TPMs are taken
	ek, err := attest.VerifyEK(chain, ekPublic, roots, policy)   // a genuine TPM
	name, q, err := attest.CheckGroupKey(public, template)       // a key that stays in a TPM
	blob, secret, err := attest.MakeCredential(ek, name, random) // this key in this TPM

The three steps prove something together only. A public area by itself is a
claim, and so is a certificate that somebody sends along: it is the answer to the
challenge that binds both to one TPM.

The package must never import package tpm, which is the device's side. It
touches no TPM, no network, no file but in [LoadRoots], [BuildManifest] and
[WriteManifest], and no clock. It needs no cgo.

# Trust

Everything but the roots, the template, the policy and the time is input from a
stranger. Certificates that he sends serve as intermediates, never as roots. Public
areas are compared with what they have to be, byte for byte; nothing in them is
interpreted before. Addresses in certificates are not followed: revocation lists
and missing intermediates are the operator's business, who keeps the directory of
roots.

What is rested upon: a TPM whose manufacturer's root is listed certifies an
endorsement key only if the key was made in the TPM and can't leave it, and
activates a credential only for a key it has loaded. A TPM broken once is broken
for good, and this package can't see it. The model and the version in a certificate
are those of the day when the TPM was made; they say nothing about today's firmware.

Emulated TPMs, whose keys lie in files, are refused unless the policy takes them:
those under roots that the manifest marks as software, and those whose certificate
names a known emulator whatever the manifest says.

A TPM has as a rule several endorsement keys, RSA and ECC. Who admits both admits
the TPM twice. So the manifest has one kind for each manufacturer, a certificate
counts only under roots that are listed for the manufacturer it names, and a TPM is
of one manufacturer.

# Tolerance

Manufacturers have issued certificates that break the rules. Put up with are, in
endorsement key certificates and in listed authorities: serial numbers that are
negative or have superfluous leading bytes; in what a TPM stores: the header of the
PC client specification for TPM 1.2, and padding of 0xFF after the certificate; in
endorsement key certificates: RSA keys marked id-RSAES-OAEP, and a critical subject
alternative name, which the profile asks for and Go's verifier does not know. Nothing
else: certificates signed with SHA-1, as of TPMs of before about 2016, are refused,
and so are those without an extended key usage or without the name of the TPM.

# Errors

[ErrRoots] for a list of roots that can't be used. [ErrChain], [ErrEKProfile],
[ErrEKMismatch], [ErrEKKind], [ErrFirmware], [ErrSoftwareTPM], [ErrTemplate] and
[ErrInput] are verdicts on what the stranger sent; [ErrPlatform] on a rule about
platforms. The text says which check failed and is fit to be shown to him. All are
matched with errors.Is.

# Concurrency

Roots and EK are not written to once made; everything may be used from several
goroutines at once.
*/
package attest
