// Package ceremony owns the acts by which a bank's keys come into being, are
// given up and destroyed: one strict plan file per act, approved by officers,
// run on HSM tokens, recorded so that anybody can check it ever after.
//
//	root           the central bank's root key and certificate
//	issuer         a bank's master key, certified by the root
//	signing        a bank's online signing key, certified by its master key
//	denominations  denomination keys inside the online token, and the keyset
//	               that the master key signs over them
//	rotate         the next keyset, and a new signing key with it
//	revoke         the next keyset with keys revoked or lost; or an order to
//	               trace one member (package ceremony/order)
//	group          a group manager's keys; his issuing secret, sealed
//	platform       states of members' machines, approved by a policy key
//	certify        a supervisor's certificate, from his request
//	supervisors    the supervisors' keys, made between their own machines
//	restore        a token that came back from a backup, inspected
//	destroy        a token whose keys are not needed any more, erased
//
// A plan is read ([ReadPlan]), shown ([Plan.Table], [Plan.Digest]), approved
// by officers (package ceremony/approval), run ([Runner.Run]; [Runner.Step]
// for supervisors) and verified, at any time and without a token, from the
// transcript and the outputs ([Verifier.Verify]).
//
// # How a plan is run
//
// Everything that can be refused is refused before the first key is made: a
// key in a token is not taken back. Run
//
//  1. checks the plan, its inputs at the machine's time, that outputs are free
//     and enough officers approved this very plan with these very inputs;
//  2. rehearses all of it on throw-away SoftHSM tokens, with stand-ins for
//     keys and certificates that exist already, and throws the outputs away;
//  3. opens the real tokens and acts. The transcript begins with the first
//     thing that can't be taken back, and every step is in it, synced to disk,
//     before it is taken. Outputs lie beside their places (".part") until all
//     of them are whole, get their names at once, and the transcript is closed
//     by the key that answers for the ceremony: the root's, or the bank's
//     master key, or the group manager's.
//
// An act is written once: it asks a bench for tokens, signatories, keys and
// outputs in a fixed order, and does not know whether it is rehearsed, done,
// or taken up again. A run that stopped anywhere is given again: keys that the
// transcript names are found, audited and compared; one that was about to be
// made is adopted if it is there; an output that was settled is kept. What is
// signed later still carries the time at which the ceremony began. Or
// [Runner.Abandon] gives up: no output is left, and the labels of keys that
// were made are named, for they stay taken.
//
// It imports attest, coin, group, groupdoc, hsm, softhsm (to rehearse), trust, frame
// and the packages below it, and must never import issuer, registration,
// opening or a store. The supervisors' tools, which need no HSM, are in
// ceremony/officer.
//
// # Trust
//
// The plan says what happens, down to labels and dates; the machine decides
// nothing. Who may say so is the roster's quorum: its hash is in the digest,
// with that of every other input, and where a plan follows a ceremony that
// had other officers, those must have agreed too.
//
// Private keys are generated in the token and never leave it; every key that
// is made or used is read back and audited attribute by attribute (package
// hsm), and a key that others could extract or misuse is refused, as is a
// token that holds one. A certificate names the key that its token really
// holds, or nothing is signed; whatever is signed is read back as a stranger
// would before it is written. The two secrets that no HSM can compute with, a
// group manager's γ and form key, leave the process only sealed under an AES
// key of his token.
//
// The transcript shows what was done and who closed it; that the machine did
// nothing besides, it can't show. PINs are in no plan, transcript or error.
//
// # Errors
//
// Refusals wrap one of the Err variables here, or those of hsm, trust, coin,
// paper, approval and transcript. Before a token is touched nothing is left
// behind; a run that fails after a key was made says which, and is given
// again or abandoned.
//
// # Concurrency
//
// One Runner runs one plan at a time, and one process one Runner: SoftHSM
// finds the throw-away tokens by an environment variable. Two processes can't
// run one plan at a time (transcript.ErrBusy).
package ceremony
