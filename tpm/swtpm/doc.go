/*
Package swtpm owns the emulated TPMs of the demonstration, of development and of
tests: a private certificate authority that plays the manufacturer, and swtpm
processes with endorsement keys that it has certified. It drives the programs of
the Debian packages swtpm and swtpm-tools, without root.

It must never be imported by a program that serves real users: it stands below
tests, the demonstration and the development mode only. It knows nothing of
package tpm, which reaches an emulator by its address, [Emulator.TCTI].

What happens to TPMs in the field can be done to an emulated one on purpose:
[Emulator.Reset], [Emulator.PowerCut], [Emulator.Clear], [Emulator.ExtendPCR],
[Emulator.SetDictionaryAttack], [Emulator.ForgiveFailures] and
[Emulator.SetOwnerPassword].

# Trust

None. Whoever can read the state directory has all keys of the emulated TPM, and
whoever can read the authority's directory can certify any program as a TPM. A
snapshot of the state can be played back, which gives away the group key. The
roots of a production group manager never include those of this package.

# Errors

[ErrMissing] where the programs are not installed; its text names the packages.
[ErrPath] where a directory can't be used. A program that fails is an error with
the last lines it wrote.

# Concurrency

A CA may be used from several goroutines and processes at once; swtpm_localca
locks its files. A state directory belongs to one Emulator at a time, which swtpm
enforces. The methods of Emulator may be called from several goroutines.
*/
package swtpm
