package coin

import "errors"

// The refusals of this package, for errors.Is. The text that wraps one says
// which coin, key or field; it never repeats the input.
var (
	// ErrMalformed: bytes or text are not in the one accepted form.
	ErrMalformed = errors.New("coin: malformed")
	// ErrTooLarge: more bytes, coins or outputs than the stated bound.
	ErrTooLarge = errors.New("coin: too large")
	// ErrOverflow: an amount below zero or above MaxAmount.
	ErrOverflow = errors.New("coin: amount out of range")
	// ErrAmount: sums do not agree, or the amount is not the one agreed on.
	ErrAmount = errors.New("coin: wrong amount")
	// ErrCurrency: another currency than the keyset's or the offer's.
	ErrCurrency = errors.New("coin: wrong currency")
	// ErrBank: a coin, spend or document of another bank.
	ErrBank = errors.New("coin: wrong bank")
	// ErrPurpose: a spend for a purpose that is unknown or not the one here.
	ErrPurpose = errors.New("coin: wrong purpose")

	// ErrUnknownKey: no such key in the bank's keyset.
	ErrUnknownKey = errors.New("coin: unknown key")
	// ErrUnknownKind: the key or coin is of a kind this version can't use.
	ErrUnknownKind = errors.New("coin: unknown kind")
	// ErrKeyNotYet: before the key's issue_from.
	ErrKeyNotYet = errors.New("coin: key is not valid yet")
	// ErrKeyExpired: after the key's issue_until or spend_until.
	ErrKeyExpired = errors.New("coin: key has expired")
	// ErrRevoked: the bank revoked the key.
	ErrRevoked = errors.New("coin: key is revoked")
	// ErrRevokedSigner: signed with an online key that the bank revoked.
	ErrRevokedSigner = errors.New("coin: signing key is revoked")
	// ErrLost: the bank lost the private key; its coins are still good.
	ErrLost = errors.New("coin: key is lost and signs no more")
	// ErrNotRevoked: a claim for a coin whose key is neither revoked nor lost.
	ErrNotRevoked = errors.New("coin: key is neither revoked nor lost")
	// ErrTooEarly: merchants may still take what the coins' old TPM signs; the
	// error is a *TooEarlyError.
	ErrTooEarly = errors.New("coin: the old TPM's coins can't be recovered yet")
	// ErrDate: a recover is dated long before the bank got it, or after.
	ErrDate = errors.New("coin: the recover is not dated now")
	// ErrSuccession: the group manager does not say that who signed a recover
	// succeeds the coins' owner.
	ErrSuccession = errors.New("coin: succession refused")
	// ErrHolding: what should prove whose a bound coin was does not.
	ErrHolding = errors.New("coin: holding refused")
	// ErrClaim: what should prove that the bank issued a coin does not.
	ErrClaim = errors.New("coin: claim refused")

	// ErrKeyset: the keyset contradicts itself.
	ErrKeyset = errors.New("coin: keyset refused")
	// ErrFuture: the keyset was issued later than MaxAhead from now.
	ErrFuture = errors.New("coin: keyset is from the future")
	// ErrCritical: the keyset has a field that this version must understand
	// and does not.
	ErrCritical = errors.New("coin: keyset has an unknown critical field")
	// ErrRollback: the keyset is older than the one already known.
	ErrRollback = errors.New("coin: keyset is older than the known one")
	// ErrFork: the keyset does not continue the one already known.
	ErrFork = errors.New("coin: keyset does not continue the known one")

	// ErrCoinSignature: the bank's signature on a coin does not verify.
	ErrCoinSignature = errors.New("coin: bank's signature refused")
	// ErrBlindSignature: the bank's answer does not unblind to a coin.
	ErrBlindSignature = errors.New("coin: blind signature refused")
	// ErrOutput: a blinded message that the bank can't or must not sign.
	ErrOutput = errors.New("coin: output refused")
	// ErrDuplicateCoin: a coin stands twice in a spend.
	ErrDuplicateCoin = errors.New("coin: coin appears twice")
	// ErrOwner: a bearer coin's owner key did not sign the spend.
	ErrOwner = errors.New("coin: owner's signature refused")
	// ErrBinding: the bound coins are not proven to belong to one member.
	ErrBinding = errors.New("coin: binding refused")
	// ErrExpelled: the bound coins are those of a member who was struck off.
	ErrExpelled = errors.New("coin: member was expelled")

	// ErrForeignOffer: the offer is not this merchant's or not the one that
	// the spend pays.
	ErrForeignOffer = errors.New("coin: foreign offer")
	// ErrOfferExpired: the offer's time is over.
	ErrOfferExpired = errors.New("coin: offer has expired")
	// ErrReceipt: the receipt is about another spend or by another party.
	ErrReceipt = errors.New("coin: receipt refused")
	// ErrNoConflict: the proof does not show two uses of one coin.
	ErrNoConflict = errors.New("coin: no double spend shown")

	// ErrInsufficient: the coins at hand are worth less than the amount.
	ErrInsufficient = errors.New("coin: not enough money")
	// ErrNoChange: the denominations can't make up the amount or the change.
	ErrNoChange = errors.New("coin: denominations do not fit the amount")
)
