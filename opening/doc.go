// Package opening owns what supervisors do together, on a warrant and not
// otherwise: how a double spend gets a name, and how one member's payments are
// found.
//
//	Case       two authorised spends of one bound coin      from the bank
//	Part       one supervisor's decryption, with a proof    from k of n supervisors
//	Opening    case, warrant, documents, k parts: the tag   combined by anybody
//	Evidence   an opening and the manager's statement       who it was
//
//	TracePart  one supervisor's part of a member's token    from k of n supervisors
//	Token      warrant, commitment to the member, τ         recognises his payments
//
// It is pure: no network, no file, no clock. It imports attest, coin, group,
// groupdoc (with enrol, successor and warrant), trust and frame, and must never
// import hsm, a store, or registration: the manager signs statements, this
// package reads them.
//
// # Trust
//
// A supervisor believes nobody. Before his share is used he has seen k
// signatures on a warrant for this very case or member, and its entry in the
// register whose head the group document publishes (package groupdoc/warrant).
// For an opening, [Case.Verify] has then shown him that the coin is one of the
// bank, that it stands in two spends, that its owner authorised both, and that
// they are not one payment repeated. A bank can't make up a case, having no
// owner's key, and can't have an honest payer named by sending the same
// payment twice. For a trace, the member's join has shown him whose escrow he
// decrypts.
//
// An opening names a tag, F. Whose it is, his own join transcript in the
// manager's statement shows: the TPM key of tag F signed that registration
// form, name included, and that endorsement key. That the person behind the
// form is who he said he was rests on what the manager checked.
//
// A token holds neither name nor tag. The warrant commits to the member's Uh
// ([warrant.Membership]) and the token opens that commitment, so a bank sees
// that τ is the one that k supervisors allowed, and nothing more of him.
//
// What k supervisors decrypt among themselves nobody can prevent or see. But
// without a warrant in the register no file of theirs is accepted here, no
// manager names anybody ([TagFor]), and no bank traces ([ParseToken]).
//
// # Time
//
// Documents are judged at the time that the caller gives; the spends' dates
// play no part, for what was spent twice stays spent twice (but for the
// manager's word about a lost TPM, which is judged at the time of the recover). Who acts (Partial,
// TracePartial, CombineTrace, TagFor, ParseToken) needs a warrant that is in
// force at that time. Who only reads what was done (Combine, Verify,
// InspectToken) needs one that was in force when it was entered; package
// groupdoc/warrant says more about these instants.
//
// # Errors
//
// Refusals wrap one of the Err variables here or those of coin, group,
// groupdoc, groupdoc/warrant and trust.
//
// # Concurrency
//
// Values are not changed after they are parsed and may be shared.
package opening
