package wallet

import (
	"errors"
	"fmt"
)

// The refusals of this package, matched with errors.Is.
var (
	// ErrExists: there is a purse at that path already.
	ErrExists = errors.New("there is a purse already")
	// ErrNoPurse: the file holds no purse; create one first.
	ErrNoPurse = errors.New("no purse here yet")
	// ErrUnsealed: a purse that an earlier version of this program made, which did
	// not encrypt it; see [Seal].
	ErrUnsealed = errors.New("this purse is not encrypted yet")
	// ErrNoLock: the file that has the purse's key is missing.
	ErrNoLock = errors.New("the purse's lock file is missing")
	// ErrLock: the lock file can't be used.
	ErrLock = errors.New("the purse's lock file is damaged or none")
	// ErrPassphraseForm: it can't be a purse's passphrase.
	ErrPassphraseForm = fmt.Errorf("a passphrase has %d to %d bytes", MinPassphrase, MaxPassphrase)
	// ErrPassphraseNeeded: the purse has a passphrase, and there is nobody to ask.
	ErrPassphraseNeeded = errors.New("the purse has a passphrase")
	// ErrPassphrase: it is not the passphrase of the purse, or of the backup.
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrOtherWords: the words are a purse's, but not this one's.
	ErrOtherWords = errors.New("these words are another purse's")
	// ErrWordsShown: the words were written down, so they are not shown again.
	ErrWordsShown = errors.New("the words of this purse were written down, and are shown once only")
	// ErrSealed: the purse is locked by another TPM, or by this one before it was
	// cleared. Its words open it.
	ErrSealed = errors.New("this purse is locked by another TPM, or by this one before it was cleared")
	// ErrNotEnrolled: bound coins need a membership; enrol first.
	ErrNotEnrolled = errors.New("this wallet is not enrolled with a group manager")
	// ErrNoTPM: the operation needs the TPM, and none was attached.
	ErrNoTPM = errors.New("no TPM attached")
	// ErrWrongTPM: the wallet's key is in another TPM: another machine, or one
	// whose mainboard or TPM was replaced.
	ErrWrongTPM = errors.New("this wallet's key is in another TPM; bound coins can be spent on that machine only")
	// ErrCleared: it is the TPM that was enrolled, and it was cleared since. The
	// key is gone; the manager can readmit the member, see Enrolment.Code.
	ErrCleared = errors.New("this TPM was cleared, and the wallet's key with it")
	// ErrKeyFile: the file of the key in the TPM is missing, or is not that key's.
	ErrKeyFile = errors.New("the file of the TPM's key can't be used")
	// ErrPINForm: no TPM's key can have that PIN.
	ErrPINForm = fmt.Errorf("a PIN has %d to %d bytes", MinPIN, MaxPIN)
	// ErrPINNeeded: the key in the TPM has a PIN, and there is nobody to ask.
	ErrPINNeeded = errors.New("the key in the TPM has a PIN")
	// ErrPursePINNeeded: the purse's lock in the TPM has a PIN, and there is nobody
	// to ask.
	ErrPursePINNeeded = errors.New("the purse has a PIN")
	// ErrPIN: the PIN is wrong; see [PINError].
	ErrPIN = errors.New("wrong PIN")
	// ErrLockout: the TPM refuses every PIN for a while; see [LockoutError].
	ErrLockout = errors.New("the TPM is locked out after too many wrong PINs")
	// ErrPlatform: the TPM signs on platforms only that the group's manager has
	// approved, and this one is in another state; see [PlatformError].
	ErrPlatform = errors.New("this machine's start-up state is not approved")
	// ErrRegister: the manager's register of warrants is not the one that he
	// showed before, with more at its end. An opening may have been hidden.
	ErrRegister = errors.New("the group manager has rewritten his register of warrants")
	// ErrNoEK: the TPM lacks the kind of endorsement key that the group takes.
	ErrNoEK = errors.New("the TPM has no endorsement key of the kind that this group takes")
	// ErrNoCertificate: the TPM stores no endorsement certificate, and none was
	// given; see [NoCertificateError].
	ErrNoCertificate = errors.New("the TPM stores no endorsement certificate")
	// ErrCertificateForm: what was given for an endorsement certificate is none.
	ErrCertificateForm = errors.New("not an endorsement certificate")
	// ErrOtherCertificate: what was given is a certificate, but not one of this TPM's
	// endorsement keys.
	ErrOtherCertificate = errors.New("that endorsement certificate is not this TPM's")
	// ErrUnfinished: the key of an enrolment that was not finished can't be given up
	// for a new one: the manager may have made a member of it.
	ErrUnfinished = errors.New("an enrolment was begun before, and the group manager may know its key as a member's already")
	// ErrFetch: the TPM's maker did not hand out its certificate.
	ErrFetch = errors.New("no certificate from the TPM's maker")
	// ErrEnrolled: the wallet is a member already.
	ErrEnrolled = errors.New("this wallet is enrolled already")
	// ErrStranded: the coins are bound to a key that is gone with its TPM.
	// [Wallet.Recover] has the bank repay them.
	ErrStranded = errors.New("these coins are bound to a key that is gone with its TPM")
	// ErrEnded: the bank or the group manager has said that the member was struck
	// off, or gets no credential any more. His bound coins are held: if he is
	// readmitted, [Wallet.Recover] has the bank repay them. Bearer coins are not
	// affected.
	ErrEnded = errors.New("bound coins are held, since the membership has ended")
	// ErrFunds: the purse's coins don't reach the amount.
	ErrFunds = errors.New("not enough coins in the purse")
	// ErrCoinState: a coin isn't in the state that the operation needs.
	ErrCoinState = errors.New("coin is in another state")
	// ErrAmount: the bank has no coins to make up that amount.
	ErrAmount = errors.New("the bank's coins can't make up that amount")
	// ErrOffer: the offer isn't one that this wallet can pay.
	ErrOffer = errors.New("offer refused")
	// ErrPaid: the payment is made; nothing is left to pay or to take back.
	ErrPaid = errors.New("paid already")
	// ErrAnswer: an answer that contradicts what was asked.
	ErrAnswer = errors.New("the answer is not what was asked for")
	// ErrNoOperation: the purse has no such operation, or not in a state in
	// which that can be done to it.
	ErrNoOperation = errors.New("no such operation in the purse")
	// ErrEpoch: the credential is of another epoch; renew it.
	ErrEpoch = errors.New("the group credential is of another epoch")
	// ErrAccount: the withdrawal was asked for with another account's token.
	// Repeated with this one, it would be debited twice.
	ErrAccount = errors.New("this withdrawal belongs to another account")

	// ErrOpen: the request may or may not have been carried out.
	// [Wallet.Resume] settles it; nothing is lost.
	ErrOpen = errors.New("the outcome is open")
	// ErrKept: the merchant has accepted the payment and not deposited it yet.
	// [Wallet.Resume] fetches the change when he has.
	ErrKept = errors.New("the merchant has accepted it, and not deposited it yet")
	// ErrAccepted: the merchant has given his receipt for the payment, so its coins are
	// not taken back as those of one that failed; see [Wallet.ReclaimAccepted].
	ErrAccepted = errors.New("the merchant has accepted this payment and given a receipt")
	// ErrPromised: the merchant refused, and could still deposit what he was
	// given. [Wallet.Reclaim] takes the coins back.
	ErrPromised = errors.New("the coins stay promised to the merchant")
	// ErrRecoup: the bank has revoked the key of these coins, or lost it before it
	// signed them. [Wallet.Recoup] has them made good.
	ErrRecoup = errors.New("the bank has revoked the key of these coins")
	// ErrNoHolding: coins whose TPM is gone and that were made by a version of
	// this program that kept nothing to prove whose they were.
	ErrNoHolding = errors.New("nothing was kept of these coins that proves to the bank whose they were: they were made by an earlier version of this program")
	// ErrBackup: it is not a backup of a purse, or a damaged one.
	ErrBackup = errors.New("not a backup of a purse")
	// ErrReused: this purse is an older copy, or has another one beside it that
	// drew coins: coin numbers that it took are used. Nothing was paid twice, and
	// what the bank signed for them is in this purse now; see [ReusedError].
	ErrReused = errors.New("another copy of this purse has used these coin numbers")
	// ErrNoRefund: the merchant gives nothing of the payment back, so far.
	ErrNoRefund = errors.New("the merchant offers no refund of this payment")
	// ErrEnvelope: the coins from somebody can't be taken.
	ErrEnvelope = errors.New("these coins can't be taken")
	// ErrOwnEnvelope: this purse sent these coins itself. [Wallet.Reclaim] takes
	// them back.
	ErrOwnEnvelope = errors.New("this purse sent them itself")
	// ErrTaken: the coins of an envelope are spent already; see [TakenError].
	ErrTaken = errors.New("these coins were received by somebody else before, or the sender took them back")
	// ErrPartTaken: some of them are, and others are left.
	ErrPartTaken = errors.New("some of these coins were received by somebody else, or the sender took them back")
	// ErrReceived: an envelope was opened; there is nothing to take, or to take back.
	ErrReceived = errors.New("received already")
	// ErrSpent: another copy of this purse spent some of these coins; the bank
	// has shown what it signed. The others are free again.
	ErrSpent = errors.New("another copy of this purse has spent these coins")
)

// open marks an error after which nobody here knows what the other side did.
func open(err error) error { return fmt.Errorf("%w: %w", ErrOpen, err) }
