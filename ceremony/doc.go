// Package ceremony owns the acts by which a bank's keys come into being: one
// strict plan file per act, run on HSM tokens, leaving files that are written
// once.
//
//	root           the central bank's root key and certificate
//	issuer         a bank's master key, certified by the root
//	signing        a bank's online signing key, certified by its master key
//	denominations  denomination keys inside the online token, and the keyset
//	               that the master key signs over them
//	group          a group manager's keys; his issuing secret, sealed
//	certify        a supervisor's certificate, from his request
//
// A plan is read ([Parse]), prepared ([Plan.Check]: inputs read and verified,
// outputs free, no token touched) and run ([Runner.Run]). What can be refused
// is refused before the first key is made: a key in a token is not taken back.
//
// It imports coin, group, hsm, trust, frame and ceremony/paper, and must never import
// issuer, registration, opening or a store. The supervisors' side, which needs
// no HSM, is ceremony/officer.
//
// # Trust
//
// The plan says what happens, down to labels and dates; the machine decides
// nothing. Private keys are generated in the token and never leave it; every
// key that is made or used is read back and audited attribute by attribute
// (package hsm), and a key that others could extract or misuse is refused.
// A certificate names the key that its token really holds, or nothing is
// signed. The two secrets that no HSM can compute with, a group manager's γ
// and form key, leave the process only sealed under an AES key of his token.
//
// # Errors
//
// Refusals wrap one of the Err variables here, or those of hsm, trust, coin
// and paper. A run that fails after a key was made says so: the labels are
// then taken, and the plan is run again with others.
//
// # Concurrency
//
// One Runner runs one plan at a time; a Plan is not changed by running.
package ceremony
