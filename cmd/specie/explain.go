package main

import (
	"context"
	"crypto/x509"
	"errors"
	"net/url"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/evidence"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/qr"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/wallet"
	seedwords "github.com/speciecash/specie/words"
)

// heldHint is what helps where a membership has ended.
const heldHint = `bearer coins are not affected; the bound ones come back after a readmission, if the group manager grants one: "specie enroll --again", then "specie recover"`

// advice is what a person can do about an error, and the exit status.
type advice struct {
	err  error
	hint string
	code int
}

// advices in order: the first that matches counts.
func advices() []advice {
	return []advice{
		{errNeedsYes, "", cli.ExitUsage},
		{errIsEnvelope, `take them with "specie receive"`, cli.ExitFailed},
		{errIsOffer, `pay it with "specie pay"`, cli.ExitFailed},
		{errThere, "name another file", cli.ExitFailed},
		{errNotGiven, `"specie send --again ID" hands them over once more, "specie reclaim ID" takes them back`, cli.ExitFailed},
		{wallet.ErrOwnEnvelope, `find them in "specie history", and take them back with "specie reclaim ID"`, cli.ExitFailed},
		{errNoClipboard, "install wl-clipboard, xclip or xsel; or save it to a file, or pipe it: specie pay -", cli.ExitFailed},
		{errClipboard, "copy the link or the picture once more, and run the command again", cli.ExitFailed},
		{errNoSpecie, "it must begin with specie: ; ask for it again", cli.ExitFailed},
		{qr.ErrNone, "take the picture again: the whole code, straight, sharp and without reflections", cli.ExitFailed},
		{qr.ErrTooLarge, "make the picture smaller, or cut it to the code", cli.ExitFailed},
		{qr.ErrPicture, "save the picture as PNG, JPEG or GIF", cli.ExitFailed},
		{qr.ErrParts, "name the pictures of all parts, of this one link, in any order", cli.ExitFailed},
		{wallet.ErrNoPurse, `make one with "specie init"`, cli.ExitFailed},
		{wallet.ErrUnsealed, `it was made by an earlier version: encrypt it with "specie lock"`, cli.ExitFailed},
		{wallet.ErrNoLock, `put purse.lock back from a copy; without one, "specie restore --words" finds the bearer coins again`, cli.ExitFailed},
		{wallet.ErrLock, `put purse.lock back from a copy; without one, "specie restore --words" finds the bearer coins again`, cli.ExitFailed},
		{wallet.ErrPassphraseNeeded, "run this on a terminal, or name the file with the passphrase: --passphrase-file", cli.ExitFailed},
		{wallet.ErrPursePINNeeded, "run this on a terminal, or name the file with the purse's PIN: --passphrase-file", cli.ExitFailed},
		{wallet.ErrPassphrase, `try again; if it is forgotten, the words open the purse: "specie lock --words"`, cli.ExitFailed},
		{wallet.ErrOtherWords, "type the words that were shown when this purse was made", cli.ExitFailed},
		{wallet.ErrWordsShown, `where they are lost, make a backup with "specie backup", or a new purse in another --home and give it the coins`, cli.ExitFailed},
		{seedwords.ErrWords, "look at the paper again", cli.ExitFailed},
		{errWordsCheck, "look at what you wrote down, and run the command again", cli.ExitFailed},
		{wallet.ErrSealed, `the words open it: "specie lock --words"`, cli.ExitFailed},
		{sqlitefile.ErrFull, "make room, then run the command again; what was begun goes on with \"specie resume\"", cli.ExitFailed},
		{sqlitefile.ErrDamaged, `set the file aside and put it back from a copy; a lost purse is made again with "specie restore --words", in another --home`, cli.ExitFailed},
		{merchant.ErrNoTill, `make one with "specie merchant init"`, cli.ExitFailed},
		{sqlitefile.ErrBusy, "wait until the other specie has finished", cli.ExitFailed},
		{sqlitefile.ErrNewer, "use the newer specie", cli.ExitFailed},
		{wallet.ErrAccount, `the outcome is open: "specie login" with the token of that account, then "specie resume"`, cli.ExitOpen},
		{wallet.ErrKept, `you have his receipt; "specie resume" fetches the change when he has deposited`, cli.ExitOpen},
		{wallet.ErrAccepted, `your change comes with "specie resume" when he has deposited; if he is gone for good, --accepted takes the coins back`, cli.ExitFailed},
		{wallet.ErrOpen, `nothing is lost: run "specie resume"`, cli.ExitOpen},
		{merchant.ErrOpen, `nothing is lost: run "specie merchant resume"`, cli.ExitOpen},
		{wallet.ErrPartTaken, `"specie receive --rest" takes what is left; ask the sender for the other coins`, cli.ExitFailed},
		{wallet.ErrTaken, "ask the sender; if he did not take them back, somebody else saw them on their way to you", cli.ExitFailed},
		{wallet.ErrReceived, `nothing needs to be done; "specie history" shows it`, cli.ExitFailed},
		{wallet.ErrPromised, `find the payment in "specie history" and take its coins back with "specie reclaim ID"`, cli.ExitFailed},
		{wallet.ErrReused, `what that copy drew and was not here is in this purse now: look with "specie balance", and run the command again; of a payment, take its coins back first, with "specie reclaim ID"`, cli.ExitFailed},
		{wallet.ErrSpent, `find what that copy drew with "specie restore"; whoever has it can do that again: "specie exchange" what is left`, cli.ExitFailed},
		{wallet.ErrBackup, `give the file that "specie backup" wrote`, cli.ExitFailed},
		{wallet.ErrExists, `a new purse goes elsewhere: --home DIR; what this one lacks is looked for by "specie restore" without a file`, cli.ExitFailed},
		{errPayersAddress, "give --tls-cert and --tls-key and an address of this machine, or --to https://… of a proxy before the till; --desk \"\" does without the page", cli.ExitUsage},
		{errDeskInClear, "give --tls-cert and --tls-key, or leave the desk on 127.0.0.1 behind a proxy with https on this machine; in a network of its own, --desk-in-clear", cli.ExitUsage},
		{errLost, `find the payer; bound coins lead to a person through the supervisors: give them the papers`, cli.ExitFailed},
		{errNotGood, "the line marked \"fails\" says why; don't deliver", cli.ExitFailed},
		{merchant.ErrNoWebhook, `set one with "specie merchant webhook set"`, cli.ExitFailed},
		{merchant.ErrUndelivered, "see whether the shop's program runs there, and has the same secret", cli.ExitFailed},
		{merchant.ErrNoKey, `"specie merchant key list" shows which there are`, cli.ExitFailed},
		{merchant.ErrNoPayment, `"specie merchant takings --json" lists the payments`, cli.ExitFailed},
		{errAhead, "", cli.ExitUsage},
		{errCancelAmount, "", cli.ExitUsage},
		{merchant.ErrRefundID, `"specie merchant refunds --json" shows what has that id; another refund needs another one`, cli.ExitFailed},
		{errNotProven, "look at the lines marked \"fails\"; what stands there is not proven by this file", cli.ExitFailed},
		{evidence.ErrMalformed, `give the file that "specie receipt save" wrote`, cli.ExitFailed},
		{wallet.ErrRecoup, `have them made good with "specie recoup"`, cli.ExitFailed},
		{errNoPINGiven, "", cli.ExitUsage},
		{errKeyWorks, "spend them first; --yes enrols all the same", cli.ExitFailed},
		{errNoManager, "this may be the bank's address; the group manager has one of his own, ask him", cli.ExitFailed},
		{errKeyUnfit, `do what stands under the line "member-key"`, cli.ExitFailed},
		{wallet.ErrUnfinished, `if its PIN is forgotten, ask the group manager to readmit you, then "specie enroll --again --anew"`, cli.ExitFailed},
		{wallet.ErrOtherCertificate, "give the certificate of this very TPM; where the TPM stores its own, none is needed", cli.ExitFailed},
		{errUnfit, `do what stands under the lines marked "fail", and look again`, cli.ExitFailed},
		{wallet.ErrNotEnrolled, `register this machine's TPM with "specie enroll"`, cli.ExitFailed},
		{wallet.ErrEnrolled, `nothing needs to be done; "specie group" shows the membership. If its TPM was cleared or is gone, "specie enroll --again"`, cli.ExitFailed},
		{wallet.ErrCleared, `ask the group manager to readmit you, then "specie enroll --again"`, cli.ExitFailed},
		{wallet.ErrWrongTPM, `use the machine that these coins were withdrawn on; if its mainboard or its TPM was replaced, ask the group manager to readmit you, then "specie enroll --again"`, cli.ExitFailed},
		{wallet.ErrKeyFile, `put the file back from a copy; without one, ask the group manager to readmit you, then "specie enroll --again"`, cli.ExitFailed},
		{wallet.ErrPINNeeded, "run this on a terminal, or name the file with the PIN: --pin-file", cli.ExitFailed},
		{wallet.ErrRegister, "don't pay with coins of this group; show this purse to the supervisors and to your bank: the document in it is evidence", cli.ExitFailed},
		{tpm.ErrAddress, `say --tpm device:/dev/tpmrm0, or leave it out`, cli.ExitFailed},
		{tpm.ErrBusy, "end the other program; device:/dev/tpmrm0 is shared, device:/dev/tpm0 is not", cli.ExitFailed},
		{tpm.ErrBroken, "switch the machine off, wait a minute and switch it on again", cli.ExitFailed},
		{tpm.ErrHierarchy, "take that password away while you do this; specie has nowhere to keep it", cli.ExitFailed},
		{tpm.ErrPlatform, `restart into the system that the group manager approved; after an update, ask him to approve what "specie tpm pcrs" shows`, cli.ExitFailed},
		{tpm.ErrNoSlot, "use device:/dev/tpmrm0, or restart the machine", cli.ExitFailed},
		{tpm.ErrUnsupported, "enrol with a machine whose TPM has it, or see whether the maker has newer firmware", cli.ExitFailed},
		{tpm.ErrNoEK, `"specie tpm doctor" says where the maker keeps the certificate; then --fetch-ek-certificate or --ek-certificate FILE`, cli.ExitFailed},
		{wallet.ErrNoCertificate, "get the certificate from the machine's maker: --ek-certificate FILE; a virtual TPM mostly has none, ask the group manager whether he takes it", cli.ExitFailed},
		{wallet.ErrCertificateForm, "give the certificate as DER or PEM, as the maker hands it out", cli.ExitFailed},
		{wallet.ErrFetch, "try again later, or get the certificate from the maker yourself: --ek-certificate FILE", cli.ExitFailed},
		{wallet.ErrNoEK, `"specie tpm doctor" shows what this TPM has; "specie group URL" what the group takes`, cli.ExitFailed},
		{wallet.ErrNoTPM, "name the TPM with --tpm", cli.ExitFailed},
		{tpm.ErrUnavailable, `"specie tpm doctor" says what is missing`, cli.ExitFailed},
		{coin.ErrTooEarly, `run "specie recover" again then`, cli.ExitFailed},
		{wallet.ErrStranded, `have them repaid with "specie recover"`, cli.ExitFailed},
		{wallet.ErrEnded, heldHint, cli.ExitFailed},
		{wallet.ErrNoRefund, "ask the merchant; he offers one with \"specie merchant refund\"", cli.ExitFailed},
		{merchant.ErrNoPayment, `find its id with "specie merchant takings"`, cli.ExitFailed},
		{merchant.ErrRefund, `"specie merchant refunds" shows what was given back and what waits to be collected`, cli.ExitFailed},
		{wallet.ErrFunds, `draw more with "specie withdraw"`, cli.ExitFailed},
		{coin.ErrBank, "use a purse of that bank, in another --home; or ask whether he is with your bank, too", cli.ExitFailed},
		{coin.ErrCurrency, "use a purse of that currency", cli.ExitFailed},
		{coin.ErrKeyExpired, "their time is over; ask for others", cli.ExitFailed},
		{coin.ErrRevoked, `ask for others; who has these in his purse can have them made good with "specie recoup"`, cli.ExitFailed},
		{wallet.ErrEnvelope, "it came damaged; ask for it again", cli.ExitFailed},
		{wallet.ErrNoOperation, `"specie history" shows what there is, each with its id`, cli.ExitFailed},
		{wallet.ErrPaid, `nothing is left to do: "specie receipt save ID" keeps the papers`, cli.ExitFailed},
		{coin.ErrOfferExpired, "ask the merchant for a new offer", cli.ExitFailed},
		{wallet.ErrOffer, "the link is cut off or damaged; ask the merchant for it again", cli.ExitFailed},
	}
}

// managersCodes is what to do about a group manager's refusal.
func managersCodes() map[string]string {
	readmit := `ask the group manager to readmit you, then "specie enroll --again"`
	return map[string]string{
		"ek-chain":         "the group manager does not know the maker of this TPM; ask him to, or enrol with another machine",
		"ek-profile":       "enrol with a machine whose TPM has an endorsement key of another kind",
		"ek-registered":    "this TPM is, or was, a member; if that was you, " + readmit,
		"firmware":         "the TPM's firmware has a known fault; update it with the maker's tool, then try again",
		"software-tpm":     "this is an emulated TPM, and it keeps no secret; use a real one",
		"identity":         "say the name that you enrolled with the first time",
		"readmission":      "type the code again, as the group manager wrote it; it runs out after two weeks, then ask for another",
		"readmission-used": "a code serves once; ask the group manager for another code",
		"revoked":          readmit,
		"forbidden":        "the group manager has expelled this member; ask him why. Bearer coins are not affected",
		"leaked-key":       "this key is known to others; ask the group manager what to do, and use it no more",
		"busy":             "nothing was begun; try again in a minute",
		"unavailable":      "nothing is lost; repeat the command in a minute",
		"internal":         "nothing is lost; repeat the command, and tell the group manager if it stays like this",
		"epoch":            "see whether this machine's clock is right; if it is, the group manager's is not",
		"template":         "use a newer specie",
		"join-proof":       "repeat the command; if it stays like this, the TPM computes wrongly: see whether the maker has newer firmware",
	}
}

// banksCodes is what to do about a bank's refusal.
func banksCodes() map[string]string {
	return map[string]string{
		"draining":           "this bank only redeems now: spend the coins that you have, and ask the operator to pay out what is on the account",
		"suspended":          "ask the bank's operator why; once the account is reinstated, run the command again",
		"limit":              "the bank says in /v1/info what it allows; ask for less, or again when the day is over (UTC)",
		"insufficient-funds": `"specie statement" shows the account; is this the token of the right one?`,
		"forbidden":          "this access token is not for that; ask the bank's operator for one that is",
	}
}

// lockedOut is what to do where the TPM has refused a PIN, or refuses all.
func lockedOut(err error) (hint string, ok bool) {
	var pin *wallet.PINError
	if errors.As(err, &pin) && pin.Left != 0 {
		if pin.Unfinished {
			return "try again, carefully; if the PIN of that attempt is forgotten, begin with a new key: specie enroll --anew", true
		}
		return "try again, carefully; a forgotten PIN can't be found out: the group manager can readmit you", true
	}
	wait := "wait"
	var locked *wallet.LockoutError
	var inside *tpm.LockoutError
	switch {
	case errors.As(err, &locked) && locked.Wait > 0:
		wait = "wait up to " + wallet.InWords(locked.Wait)
	case errors.As(err, &inside) && inside.Wait > 0:
		wait = "wait up to " + wallet.InWords(inside.Wait)
	case pin == nil && !errors.Is(err, wallet.ErrLockout) && !errors.Is(err, tpm.ErrLockout):
		return "", false
	}
	return wait + " with the machine on, or end it as the TPM's owner: tpm2_dictionarylockout --clear-lockout", true
}

// unknownAuthority is for a server whose certificate is by nobody this machine knows.
func unknownAuthority(err error) (hint string, code int, ok bool) {
	var unknown x509.UnknownAuthorityError
	switch {
	case !errors.As(err, &unknown):
		return "", 0, false
	case errors.Is(err, wallet.ErrOpen):
		return `nothing is lost: if its authority is one that you trust, "SSL_CERT_FILE=ca.pem specie resume"`, cli.ExitOpen, true
	case errors.Is(err, merchant.ErrOpen):
		return `nothing is lost: if its authority is one that you trust, "SSL_CERT_FILE=ca.pem specie merchant resume"`, cli.ExitOpen, true
	}
	return "if its authority is one that you trust, run this with SSL_CERT_FILE=ca.pem", cli.ExitFailed, true
}

// explain gives the hint and the exit status of an error.
func explain(err error) (hint string, code int) {
	var p *client.Problem
	if errors.As(err, &p) && p.Code == "unauthorized" {
		code = cli.ExitFailed
		if errors.Is(err, wallet.ErrOpen) || errors.Is(err, merchant.ErrOpen) {
			code = cli.ExitOpen
		}
		return `store the account's token with "specie login" or "specie merchant login"`, code
	}
	if p != nil && p.Code == "wrong-date" {
		return "see whether this machine's clock is right, and run the command again", cli.ExitFailed
	}
	if hint, ok := lockedOut(err); ok {
		return hint, cli.ExitFailed
	}
	var contradiction *evidence.KeysetsError
	if errors.As(err, &contradiction) {
		return "draw, pay and accept nothing until the bank has explained it; show it " + contradiction.File +
			`. Somebody between this machine and the bank may be serving old papers, too: try "specie balance" from another network`, cli.ExitFailed
	}
	var bare *wallet.NoCertificateError
	if errors.As(err, &bare) && bare.URL != "" {
		return "allow to ask there with --fetch-ek-certificate, or get it yourself: --ek-certificate FILE", cli.ExitFailed
	}
	if errors.Is(err, errCodeSpent) {
		return "a code serves once: it was used already, has run out, or is another member's; ask the group manager for another", cli.ExitFailed
	}
	var manager *wallet.ManagerError
	if errors.As(err, &manager) {
		if hint, ok := managersCodes()[manager.Code]; ok {
			return hint, cli.ExitFailed
		}
	}
	if p != nil {
		if hint, ok := banksCodes()[p.Code]; ok {
			code = cli.ExitFailed
			if errors.Is(err, wallet.ErrOpen) || errors.Is(err, merchant.ErrOpen) {
				code = cli.ExitOpen
			}
			return hint, code
		}
	}
	if hint, code, ok := unknownAuthority(err); ok {
		return hint, code
	}
	for _, a := range append(advices(), troubles()...) {
		if errors.Is(err, a.err) {
			return a.hint, a.code
		}
	}
	var r *merchant.Refusal
	if errors.As(err, &r) && r.Code == "unavailable" {
		return "nothing was begun; try again", cli.ExitFailed
	}
	var u *url.Error
	if errors.As(err, &u) && !errors.Is(err, context.Canceled) {
		return "nothing was begun; is the address right, and the server running?", cli.ExitFailed
	}
	return "", cli.ExitFailed
}
