package wallet

import "errors"

// The refusals of this package, matched with errors.Is.
var (
	// ErrExists: there is a purse at that path already.
	ErrExists = errors.New("there is a purse already")
	// ErrNoPurse: the file holds no purse; create one first.
	ErrNoPurse = errors.New("no purse here yet")
	// ErrNotEnrolled: bound coins need a membership; enrol first.
	ErrNotEnrolled = errors.New("this wallet is not enrolled with a group manager")
	// ErrNoTPM: the operation needs the TPM, and none was attached.
	ErrNoTPM = errors.New("no TPM attached")
	// ErrWrongTPM: the wallet's key is in another TPM.
	ErrWrongTPM = errors.New("this wallet's key is in another TPM; bound coins can be spent on that machine only")
	// ErrNoEK: the TPM has no endorsement key of the kind that the group takes.
	ErrNoEK = errors.New("no endorsement key that the group takes")
	// ErrEnrolled: the wallet is a member already.
	ErrEnrolled = errors.New("this wallet is enrolled already")
	// ErrFunds: the purse's coins don't reach the amount.
	ErrFunds = errors.New("not enough coins in the purse")
	// ErrCoinState: a coin isn't in the state that the operation needs.
	ErrCoinState = errors.New("coin is in another state")
	// ErrAmount: the bank has no coins to make up that amount.
	ErrAmount = errors.New("the bank's coins can't make up that amount")
	// ErrOffer: the offer isn't one that this wallet can pay.
	ErrOffer = errors.New("offer refused")
	// ErrAnswer: an answer that contradicts what was asked.
	ErrAnswer = errors.New("the answer is not what was asked for")
	// ErrNoOperation: the purse has no such operation.
	ErrNoOperation = errors.New("no such operation in the purse")
	// ErrEpoch: the credential is of another epoch; renew it.
	ErrEpoch = errors.New("the group credential is of another epoch")
)
