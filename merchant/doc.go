// Package merchant owns the payee's side: offers, the checks before a payment
// is accepted, deposits, and both receipts.
//
// A spend is checked here before any bank is asked: the offer is this
// merchant's and open, the sums agree, every coin is under a known key and
// signed by the bank, every owner consents, and one TPM of the group owns all
// bound coins. Then the deposit request is persisted byte for byte and sent,
// whether the payer still waits or not; repeating it is safe, and
// [Till.Resume] does so after a crash. An offer is paid once.
//
// A payer may show his coins first, without authorising anything: the till
// checks them and has the bank hold them for a moment ([Till.Show]). Money of a
// deposited payment goes back to its payer, who comes for it and proves to be
// him by the consent of the coins' owners ([Till.OfferRefund],
// [Till.CollectRefund]); what nobody comes for is taken back ([Till.CancelRefunds]).
// From a bank whose ledger was restored from a backup, Resume has deposits and
// refunds done again. The papers of a payment show a third party who did what, with
// nobody to ask ([Till.Evidence]).
//
// # Trust
//
// The till pins the root certificate. Its Ed25519 key signs offers and
// holders' receipts; the file that holds it has mode 0600. The bank learns the
// offer's public part and the salt that opens the payee, never what was
// bought. Keysets and group documents are verified against the root and never
// rolled back. That coins are spent, or a payment was taken back, is believed
// with the spend that shows it; that a payment is credited, with the receipt.
//
// # Errors
//
// [*Refusal] carries the stable code that the payer is told. [ErrOpen] means
// that the outcome of a deposit or refund is unknown.
//
// # Concurrency
//
// A Till is safe for concurrent use, and several processes may have the file
// open. A program that serves payers runs [Till.RefreshWhile] and
// [Till.DeliverWhile] beside.
//
// The package must build without cgo and must never import hsm, tpm, issuer,
// registration, ledger or server.
package merchant
