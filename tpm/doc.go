/*
Package tpm owns the device's side of TPM 2.0: it opens the user's TPM, finds
its endorsement keys, makes and loads the group key, and runs the three commands
that membership rests on: TPM2_Commit, TPM2_Sign with ECDAA, and
TPM2_ActivateCredential.

It must never import package attest, which is the verifier's side: the template
of a group key and the verifier's challenge come in as bytes. It needs no cgo.

A [Device] is one TPM, a [Blob] is a group key as it lies on disk, wrapped by the
storage key of that TPM, and a [GroupKey] is such a key loaded and ready for use:

	d, err := tpm.Open(ctx, "device:/dev/tpmrm0")
	err = d.Probe(ctx)
	blob, err := d.CreateGroupKey(ctx, template, pin)
	key, err := d.LoadGroupKey(ctx, blob, pin)
	defer key.Close()

# Addresses

TPMs are named by the strings that users of tpm2-tools know:

	device:/dev/tpmrm0                  the kernel's resource manager, the default on Linux
	device:/dev/tpm0                    the bare device; nobody else may use the TPM meanwhile
	tbs                                 TPM Base Services, the default on Windows
	swtpm:path=/x/sock                  an emulator's UNIX socket
	swtpm:host=127.0.0.1,port=2321      an emulator's TCP port (swtpm socket --server type=tcp,…,disconnect,
	                                    or without disconnect)

The last two speak swtpm's raw byte stream, not the framing of the Microsoft
simulator. They connect anew for each command, as tpm2-tools do, so that several
processes can take turns. Other strings that tpm2-tools know are refused with a
word on what to write instead.

# Key files

A key at rest is a [Blob], wrapped by the ECC P-256 storage key of the owner
hierarchy (TCG TPM v2.0 Provisioning Guidance, §7.5.1, with nothing in unique),
which is made anew each time: nothing stays in the TPM. [WriteKeyFile] and
[ReadKeyFile] keep it in the format that TSS 2.0 tools share ("ASN.1
Specification for TPM 2.0 Key Files", draft-bottomley-tpm2-keys-00), PEM of the
type TSS2 PRIVATE KEY over the DER of

	TPMKey ::= SEQUENCE {
	    type         OBJECT IDENTIFIER,                    2.23.133.10.1.3, a loadable key
	    emptyAuth    [0] EXPLICIT BOOLEAN OPTIONAL,        TRUE if there is no PIN; absent if there is
	    description  [4] EXPLICIT UTF8String OPTIONAL,     for people
	    parent       INTEGER,                              0x40000001, the owner hierarchy
	    pubkey       OCTET STRING,                         TPM2B_PUBLIC
	    privkey      OCTET STRING }                        TPM2B_PRIVATE

The format's other fields (a policy, a secret to import with, a signed policy, an
RSA parent) do not occur in a group key, and a file that has one is refused. A
copy of the file is of no use in another TPM; without any copy the key is lost.

# Endorsement keys

[Device.EKs] looks where TCG's EK Credential Profile has certificates: RSA-2048
and P-256 in the low range, P-384 in the high range, those of authorities from
index 0x01C00100 on. Keys are at their persistent handles, or made again from the
profile's templates, or from what the manufacturer has stored beside the
certificate. Where a TPM stores no certificate, the address at which Intel or AMD
publish it is given instead; this package uses no network.

# Resets

A reset of the TPM takes away whatever is loaded, and every open commitment. A
GroupKey notices by the first command that fails, is loaded again, and repeats
what can be repeated; Sign returns [ErrCommitment], upon which package group
begins its proof anew. When a TPM has been cleared, keys made before are lost:
[ErrWrongTPM]. Its endorsement keys remain, so that the caller can tell it from
another TPM.

# Examination

[Examine] looks at everything at once, for a person whose TPM does not work: each
[Finding] says what was found and the one thing to do about it.

# Trust

The TPM is trusted with f, the group key's scalar, and with nothing else: points
and scalars that it returns are checked to be on the curve and below the order,
and the caller verifies his own presentations. The operating system between this
process and the TPM is trusted. The authorisation value of a group key crosses
the bus to the TPM in the clear: it stops the finder of a machine, who has a few
tries before the TPM locks out, not somebody with a probe on the bus.

Endorsement and owner hierarchies are used with the empty password, as shipped.

An emulated TPM protects nothing from whoever can read its state file, and can be
rolled back. The verifier decides which manufacturers he trusts.

# Platforms

A key of attest.PlatformTemplate opens to a policy only: the TPM signs with it
where its PCRs are in a state that the manager's policy key has signed for, given
the PIN as well. [WithPlatform] brings those states; each use takes a policy
session of four commands besides its own. A machine in another state is told
before the PIN is tried: [ErrPlatform], with a [PlatformError] that says where it
differs. What refuses is the TPM: the check here only spares tries.

# Handles

A TPM has as few as three slots for loaded objects. A Device holds none between
calls but one for each GroupKey that is not closed; everything else is flushed
before a call returns, after errors too. Where the context has ended in the midst
of a call, so that no more can be sent, the flush is owed and made up for at the
next call, or in Close.

# Errors

Everything that a user can do something about is a sentinel to be matched with
errors.Is: [ErrAddress], [ErrUnavailable], [ErrBusy], [ErrBroken],
[ErrHierarchy], [ErrUnsupported], [ErrWrongTPM], [ErrAuth], [ErrLockout],
[ErrPlatform], [ErrNoEK], [ErrCredential], [ErrCommitment], [ErrNoSlot],
[ErrKeyFile], [ErrInput], [ErrClosed]. [AuthError] says how many tries are left
before the TPM locks out, [LockoutError] how long that lasts. The TPM's own code
is wrapped beside them and matches the constants of go-tpm. A response that makes
no sense is [ErrResponse].

TPM_RC_RETRY, TPM_RC_YIELDED and TPM_RC_TESTING are no errors: the command is
sent again, for as long as the context lasts and at most [retryBudget].

# Concurrency

A Device and its GroupKeys may be used from several goroutines at once: one
sequence of commands runs at a time, the others wait for their turn or the end of
their context. A command that has reached the TPM cannot be called back; if its
context ends, the call returns at once, and the next call first waits for the
answer that is still due.
*/
package tpm
