package server

//go:generate env SPECIE_WRITE_PAGES=1 go test -count=1 -run UpToDate .

// Advice is what a client does about a refusal.
type Advice string

// The advices.
const (
	// Final: nothing was recorded, and the same request is refused for good.
	Final Advice = "final"
	// Retry: the same bytes may get another answer, now or later.
	Retry Advice = "retry"
	// Ask: a person has to do something: the caller, or the operator.
	Ask Advice = "ask"
)

// Who answers with a code.
const (
	byIssuer = "issuer"
	byGroup  = "group manager"
	byTill   = "till"
)

// ProblemType is what there is to say of a code. Its URI is
// "urn:specie:problem:" and the code.
type ProblemType struct {
	Code Code
	// Status are the HTTP statuses that it comes with.
	Status []int
	Advice Advice
	// By are the servers that use it.
	By []string
	// Means says what is refused, Do what a client does then.
	Means, Do string
	// Members are the extension members that come with it.
	Members []string
}

// ProblemTypes are all codes, of which docs/problems.md is made. A code that
// is not in it does not exist: a test compares.
func ProblemTypes() []ProblemType {
	all, coins := []string{byIssuer, byGroup, byTill}, []string{byIssuer, byTill}
	issuer, group := []string{byIssuer}, []string{byGroup}
	return []ProblemType{
		{CodeMalformed, []int{400, 415, 422}, Final, all,
			"The request does not read: not JSON, a member unknown, named twice, missing or null, a value not in its one form, a purpose or an output that has no place here. 415: not `application/json`. 422: the registration form does not open.",
			"Mend the program.", nil},
		{CodeTooLarge, []int{413, 422}, Final, all,
			"The body, or a list in it, is longer than the contract allows.",
			"Split the request.", nil},
		{CodeUnauthorized, []int{401}, Ask, issuer,
			"There is no access token, or none that the bank knows.",
			"Get a token from the operator, and repeat the request unchanged with it.", nil},
		{CodeForbidden, []int{403}, Ask, []string{byIssuer, byGroup},
			"The token's account is of another kind, or the token has not the scope, or can't give what is asked. At the group manager: the member was expelled, or the opening does not hold.",
			"Use the right account; else ask the operator.", nil},
		{CodeNotFound, []int{404, 405}, Ask, all,
			"No such route, operation, account, registration or member. An operation that is not found was not recorded so far.",
			"Check the address and the id. A request under way may still be recorded: repeat it rather than look it up.", nil},
		{CodeSuspended, []int{403}, Ask, issuer,
			"The account is suspended: by the operator, or a merchant's after too many wrong authorisations under a hold. What it had recorded before is answered, its balance and statement are shown, and its tokens can be revoked.",
			"Ask the operator, who knows why; once the account is reinstated, repeat the request unchanged.", nil},
		{CodeLimit, []int{429}, Ask, issuer,
			"More than the bank allows, see `limits` in `/v1/info`. Nothing was recorded.",
			"With `Retry-After`, ask again when that is over; without it, ask for less.", []string{"limit", "max"}},
		{CodeDraining, []int{409}, Final, issuer,
			"The bank only redeems now: nothing that raises what it owes is done.",
			"Spend and deposit as ever; what is on an account, the operator pays out.", nil},
		{CodeConflict, []int{409}, Final, all,
			"The reference, the registration or the operation was used for something else: a payment and its void, say, are one operation, and the other came first. At the till: the offer is paid with other coins.",
			"Don't repeat it. With `conflict`, verify the earlier spend; without, believe nothing about your coins.",
			[]string{"op", "conflict"}},
		{CodeUnavailable, []int{503}, Retry, all,
			"The token, the store or another server can't be asked now. The request may be recorded.",
			"Repeat the same bytes after `Retry-After`, until another answer comes.", nil},
		{CodeReconciling, []int{503}, Retry, issuer,
			"The bank's ledger was restored from a backup, and the bank finds out what is missing. Nothing of this request was recorded.",
			"Repeat the same bytes after `Retry-After`. A till sends the deposits again that it has receipts for, with the receipt.", nil},
		{CodeReceipt, []int{422}, Final, issuer,
			"A deposit's receipt is not the bank's, not for this deposit, or by a key that the bank has revoked.",
			"Show receipt and payment to the operator.", nil},
		{CodeInternal, []int{500}, Retry, all,
			"The server failed. The request may be recorded.",
			"Repeat the same bytes; if it stays, tell the operator the `request_id`.", nil},
		{CodeBusy, []int{429, 503}, Retry, []string{byIssuer, byGroup},
			"Too much is asked at once. Nothing was recorded.",
			"Repeat the same bytes after `Retry-After`.", nil},

		{CodeUnknownKey, []int{422}, Final, coins,
			"The bank's keyset has no such key, or it is of a kind that this server can't use.",
			"Fetch `/v1/keys`; an output is made anew under a key that stands there.", nil},
		{CodeKeyExpired, []int{422}, Final, coins,
			"The key's `issue_until` is over for an output, or its `spend_until` for a coin.",
			"Make outputs anew under a present key. For a coin: the debt stands until `legal_until`; ask the operator.", nil},
		{CodeKeyNotYet, []int{422}, Final, coins,
			"The key's `issue_from` has not come.",
			"Make outputs anew under a present key.", nil},
		{CodeKeyRevoked, []int{422}, Final, coins,
			"The key is revoked, or lost and signs no more.",
			"Make outputs anew under a present key. A coin of a revoked key is claimed by `POST /v1/recoups`.", nil},
		{CodeKeyNotRevoked, []int{422}, Final, issuer,
			"A claim is for a coin whose key is neither revoked nor lost.",
			"Spend the coin with its signature.", nil},
		{CodeClaim, []int{422}, Final, issuer,
			"What should show that the bank issued the coin does not.",
			"Look for the operation that the coin came from.", nil},
		{CodeTooEarly, []int{422}, Retry, issuer,
			"Merchants may still take what the coins' old TPM signs.",
			"Make the recover anew at `not_before`.", []string{"not_before"}},
		{CodeWrongDate, []int{422}, Final, issuer,
			"A recover is dated more than five minutes ahead or a day back.",
			"Set the clock, and make the recover anew.", nil},
		{CodeSuccession, []int{422}, Final, issuer,
			"The group manager does not say that who signed succeeds the coins' owner.",
			"Renew the membership, which brings the successions; then make it anew.", nil},
		{CodeHolding, []int{422}, Final, issuer,
			"What should show whose a bound coin was does not.",
			"Take that coin out.", nil},
		{CodeWrongCurrency, []int{422}, Final, coins,
			"Another currency than the bank's or the offer's.",
			"Pay with coins of that currency.", nil},
		{CodeWrongAmount, []int{422}, Final, coins,
			"The sums don't agree, or the amount is not the offer's.",
			"Mend the sums: coins = amount + outputs.", nil},
		{CodeWrongBank, []int{422}, Final, coins,
			"A coin, spend or offer of another bank.",
			"Send it to that bank.", nil},
		{CodeCoinSignature, []int{422}, Final, coins,
			"The bank's signature on a coin does not verify.",
			"The coin is worth nothing; who paid with it cheats or has a broken purse.", nil},
		{CodeOwnerSignature, []int{422}, Final, coins,
			"A bearer coin's owner key did not sign this spend.",
			"Sign the frame as docs/api.md has it.", nil},
		{CodeBinding, []int{422}, Final, coins,
			"The bound coins are not shown to belong to one member of a group that is taken here.",
			"Present again; if it stays, the coins are another TPM's.", nil},
		{CodeExpelled, []int{409, 422}, Final, []string{byIssuer, byGroup, byTill},
			"The bound coins are those of a member who was struck off. At the group manager: a warrant to expel the person is in force.",
			"Bearer coins go on; for the rest ask the group manager.", nil},
		{CodeEpoch, []int{422, 503}, Retry, []string{byIssuer, byGroup},
			"The presentation is not of the present epoch. At the group manager (503): his clock is outside his epochs.",
			"Renew the membership and present again.", nil},
		{CodeDuplicateCoin, []int{400, 422}, Final, coins,
			"A coin stands twice in the spend.",
			"Mend the program.", nil},
		{CodeDoubleSpend, []int{409}, Final, coins,
			"A coin was spent before. Nothing of this request was recorded.",
			"Verify `conflict`, the earlier spend with its owner's signature: a bank can't make it up. Keep it as proof against the payer.",
			[]string{"op", "conflict"}},
		{CodeOutputUsed, []int{409}, Final, coins,
			"One of the blinded messages was signed for another operation: whoever restored an old purse has made it before.",
			"Make new outputs, with numbers that were never used. `POST /v1/restore` tells which were.", nil},
		{CodeCoinHeld, []int{409}, Retry, coins,
			"A merchant has had one of the coins checked, and it is held for him for a moment. Or it is the caller's own hold, after too many wrong authorisations. Nothing of this request was looked at or recorded.",
			"Repeat the same bytes after `Retry-After`.", nil},
		{CodeHoldEnded, []int{409}, Final, issuer,
			"These coins were held for this offer before, and the hold has ended.",
			"Deposit them, or make another offer to have them held again.", nil},
		{CodeSettled, []int{409}, Final, coins,
			"The merchant has been paid out since the deposit, so the bank has not the money any more to refund it with.",
			"Give the money back in another way.", nil},
		{CodeRefund, []int{409}, Final, coins,
			"All refunds of the payment would come to more than was paid.",
			"Ask `GET /v1/deposits/{op}` what is left.", nil},
		{CodeInsufficientFunds, []int{409}, Ask, issuer,
			"The account holds less than that.",
			"Fund the account; the same request may be repeated then.", nil},
		{CodeForeignOffer, []int{422}, Final, coins,
			"The offer is not this merchant's, or not the one that the spend pays.",
			"Don't deliver: the payment is somebody else's.", nil},
		{CodeOfferExpired, []int{422}, Final, coins,
			"The offer's time is over.",
			"Make a new offer; the payer takes his coins back with a void.", nil},

		{CodeEKChain, []int{422}, Ask, group, "The endorsement certificate leads to no root that is taken here.",
			"Ask the manager which TPMs he takes.", nil},
		{CodeEKProfile, []int{422}, Ask, group, "The endorsement key is not of a form that is taken here.",
			"Ask the manager which TPMs he takes.", nil},
		{CodeFirmware, []int{422}, Ask, group, "The TPM's firmware is one with a known fault.",
			"Update the firmware.", nil},
		{CodeSoftwareTPM, []int{422}, Ask, group, "The TPM is an emulated one.",
			"Use a TPM that is hardware.", nil},
		{CodeEKRegistered, []int{409}, Ask, group, "The TPM is, or was, a member's.",
			"Ask the manager for a code to continue that membership.", nil},
		{CodeTagRegistered, []int{409}, Final, group, "The key, or the wallet's secret, is a member's.",
			"Make a new group key.", nil},
		{CodeTemplate, []int{422}, Final, group, "The group key was not made after the template.",
			"Make the key after the class in the group document.", nil},
		{CodeJoinProof, []int{422}, Final, group, "The proof of the join does not hold.",
			"Begin again; if it stays, the TPM or the program is faulty.", nil},
		{CodeLeakedKey, []int{403}, Ask, group, "The key is known to others.",
			"The TPM is broken; use another.", nil},
		{CodeReadmission, []int{422}, Ask, group, "The code in the form is not known, or has run out.",
			"Ask the manager for another.", nil},
		{CodeReadmissionUsed, []int{409}, Ask, group, "The code in the form has served.",
			"Ask the manager for another.", nil},
		{CodeIdentity, []int{409}, Ask, group, "The code in the form is for another name.",
			"Enter the name as it stood in the old form.", nil},
		{CodeRevoked, []int{403}, Ask, group, "The membership has ended.",
			"Ask the manager for a code to continue it.", nil},
		{CodeSessionExpired, []int{410}, Final, group, "The registration took too long, or gave way to others.",
			"Begin again.", nil},
		{CodeActivation, []int{422}, Final, group, "The challenge was not answered by that TPM and key.",
			"Begin again.", nil},
		{CodeWarrant, []int{403}, Ask, []string{byIssuer, byGroup}, "The warrant is none, or does not allow this.",
			"Ask the supervisors.", nil},
		{CodeUnregistered, []int{403}, Ask, group, "The warrant does not stand in the register.",
			"Have it entered first.", nil},
	}
}
