// Package warrant owns the paper without which no supervisor uses his share,
// no manager names a member and no bank traces one, and the public register in
// which every such paper stands.
//
//	Warrant   scope, subject, reference, reason, term; signed by k supervisors
//	Entry     one line of the manager's register: no case, no member, no reason
//	Proof     a warrant with the entries from its own to a published head
//
// It imports frame, group, groupdoc (with enrol), trust and the standard
// library, and must never import opening, ceremony or a store: who keeps the
// register and who acts on a warrant stand above it.
//
// # Trust
//
// A warrant counts with the signatures of as many different supervisors of its
// group as it takes to open, over identical bytes, each under his own
// certificate. One who signs twice counts once.
//
// The register is a chain of hashes whose head stands in every signed group
// document. A manager can't take an entry out, change one or put one between
// two without another head, and two heads of which one does not extend the
// other, under his own signature, convict him ([Extends], [Register.Check]).
// An entry names its warrant by a salted digest: the public learns when and
// how often and for what, and nothing of whom.
//
// # Which instants count
//
//	issued   when the warrant says that it was drafted
//	entered  when the manager entered it; this stands under his hash chain
//	until    the first instant at which it allows nothing any more
//
// A warrant is entered while it is in force, and its signers' certificates are
// judged at that instant: it is the one of which there is proof. Who acts on a
// warrant (a supervisor who uses his share, a manager who names a member, a
// bank that traces) also needs it in force at the time of acting
// ([Warrant.InForce]). Who merely verifies what was done does not: what was
// lawful when it was done stays so ([Proof.Verify]).
//
// # Errors
//
// Refusals wrap one of the Err variables here or those of trust. No text
// repeats the input.
//
// # Concurrency
//
// All functions are pure but for the randomness of [Draft].
package warrant
