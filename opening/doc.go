// Package opening owns how a double spend gets a name: the bank's case, each
// supervisor's part, their combination, and the evidence that anyone can
// check offline from the pinned root.
//
//	Case      two authorised spends of one bound coin      from the bank
//	Partial   one supervisor's decryption, with a proof    from k of n supervisors
//	Opening   the case, the documents, k parts: the tag    combined by anybody
//	Evidence  an opening and the manager's statement       who it was
//
// It is pure: no network, no file, no clock. It imports attest, coin, group,
// groupdoc (with enrol), trust and frame, and must never import hsm, a store, or registration: the manager
// signs statements, this package reads them.
//
// # Trust
//
// A supervisor believes nobody: before his share is used, [Case.Verify] has
// shown him that the coin is one of the bank, that it stands in two spends,
// that its owner authorised both, and that they are not one payment repeated.
// A bank can't make up a case, having no owner's key, and can't have an honest
// payer named by sending the same payment twice.
//
// An opening names a tag, F. Whose it is, his own join transcript in the
// manager's statement shows: the TPM key of tag F signed that registration
// form, name included, and that endorsement key. That the person behind the
// form is who he said he was rests on what the manager checked.
//
// Documents are judged at the time that the caller gives; the spends' dates
// play no part, for what was spent twice stays spent twice.
//
// # Errors
//
// Refusals wrap one of the Err variables here or those of coin, group,
// groupdoc and trust.
//
// # Concurrency
//
// Values are not changed after they are parsed and may be shared.
package opening
