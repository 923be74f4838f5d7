package evidence

import (
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
)

// Status says what became of a claim.
type Status string

// The statuses.
const (
	Proven Status = "proven"
	Fails  Status = "fails"
	Absent Status = "absent" // what would prove it is not in the file
)

// Claims in the order of a Report.
const (
	ClaimRoot    = "root"    // the file is for this root certificate
	ClaimKeyset  = "keyset"  // the bank's keys, signed by its master key
	ClaimNewer   = "newer"   // a later keyset, given beside the file
	ClaimGroups  = "groups"  // the groups' documents, signed by their managers
	ClaimOffer   = "offer"   // a merchant asked for it
	ClaimPrivate = "private" // what was bought
	ClaimCoins   = "coins"   // the bank signed the coins
	ClaimOwners  = "owners"  // their owners authorised this payment
	ClaimDeposit = "deposit" // the bank credited it
	ClaimReceipt = "receipt" // the merchant was paid
	// ClaimConflict is that a coin of the payment was spent otherwise; it is in a report
	// only if the file says so.
	ClaimConflict = "conflict"
)

// Claim is one thing that a file may prove.
type Claim struct {
	Name   string `json:"claim"`
	Status Status `json:"status"`
	// By is who signed, Says what that proves; or why it fails.
	By   string `json:"by,omitempty"`
	Says string `json:"says"`
	// At is the date of the paper, by its signer's clock; zero if it has none.
	At time.Time `json:"at,omitzero"`
}

// Report is what a file proves.
type Report struct {
	Claims []Claim `json:"claims"`
}

// Failed says whether any claim fails, or none of offer, owners, deposit and
// receipt is proven.
func (r *Report) Failed() bool {
	proven := false
	for _, c := range r.Claims {
		switch c.Name {
		case ClaimOffer, ClaimOwners, ClaimDeposit, ClaimReceipt:
			proven = proven || c.Status == Proven
		}
		if c.Status == Fails {
			return true
		}
	}
	return !proven
}

// Verify checks every paper in the file, each for itself and against the others.
// newer, if not nil, is a later keyset of the same bank: a key that it revokes has
// signed nothing.
func Verify(f *File, root *trust.Root, newer []byte) *Report {
	v := &verifier{f: f, root: root, newerJWS: newer}
	v.claim(ClaimRoot, v.rootIs)
	v.claim(ClaimKeyset, v.readKeyset)
	if newer != nil {
		v.claim(ClaimNewer, v.readNewer)
	}
	v.claim(ClaimGroups, v.readGroups)
	v.claim(ClaimOffer, v.readOffer)
	v.claim(ClaimPrivate, v.readPrivate)
	// The deposit's date is when coins had to be good; its claim comes later.
	deposit := v.try(ClaimDeposit, v.readDeposit)
	v.claim(ClaimCoins, v.checkCoins)
	v.claim(ClaimOwners, v.checkOwners)
	v.report.Claims = append(v.report.Claims, deposit)
	v.claim(ClaimReceipt, v.readReceipt)
	if len(f.Conflict) > 0 {
		v.claim(ClaimConflict, v.readConflict)
	}
	return &v.report
}

// verifier collects what is believed so far.
type verifier struct {
	f        *File
	root     *trust.Root
	newerJWS []byte
	report   Report

	keyset, newer *coin.Keyset
	groups        []*groupdoc.Document
	offer         *coin.Offer
	offerDigest   [32]byte
	merchant      string
	spend         *coin.Spend
	authorisation *coin.Authorisation
	spendErr      error
	deposit       *coin.DepositReceipt
}

// errAbsent: what would prove it is not in the file.
var errAbsent = errors.New("not in the file")

func (v *verifier) claim(name string, check func(c *Claim) error) {
	v.report.Claims = append(v.report.Claims, v.try(name, check))
}

func (v *verifier) try(name string, check func(c *Claim) error) Claim {
	c := Claim{Name: name, Status: Proven}
	switch err := check(&c); {
	case errors.Is(err, errAbsent):
		c = Claim{Name: name, Status: Absent, Says: err.Error()}
	case err != nil:
		c.Status, c.Says = Fails, err.Error()
	}
	return c
}

func (v *verifier) rootIs(c *Claim) error {
	want := v.root.Fingerprint()
	if v.f.Root != want {
		return fmt.Errorf("the file is for another root, %x", v.f.Root)
	}
	c.Says = fmt.Sprintf("the papers are for the root %x", want)
	return nil
}

func (v *verifier) readKeyset(c *Claim) (err error) {
	if len(v.f.Keyset) == 0 {
		return errAbsent
	}
	if v.keyset, err = coin.ParseKeptKeyset(v.root, v.f.Keyset); err != nil {
		return err
	}
	c.By, c.At = "bank "+v.keyset.Bank, v.keyset.IssuedAt
	c.Says = fmt.Sprintf("keyset %d of the bank, in %s", v.keyset.Seq, v.keyset.Currency)
	return nil
}

// readNewer reads the keyset that says what was revoked since. One of another bank,
// or an older one, says nothing.
func (v *verifier) readNewer(c *Claim) error {
	k, err := coin.ParseKeptKeyset(v.root, v.newerJWS)
	if err != nil {
		return err
	}
	if old := v.keyset; old != nil && (k.Bank != old.Bank || k.Seq < old.Seq || k.Seq == old.Seq && k.Digest != old.Digest ||
		k.Seq == old.Seq+1 && k.Prev != old.Digest) {
		return fmt.Errorf("keyset %d of %s is no later one than keyset %d of %s", k.Seq, k.Bank, old.Seq, old.Bank)
	}
	v.newer = k
	c.By, c.At = "bank "+k.Bank, k.IssuedAt
	c.Says = fmt.Sprintf("keyset %d of the bank, by which %d signing keys are revoked", k.Seq, len(k.RevokedSigners))
	return nil
}

func (v *verifier) readGroups(c *Claim) error {
	if len(v.f.Groups) == 0 {
		return errAbsent
	}
	for _, jws := range v.f.Groups {
		d, err := groupdoc.ParseKept(v.root, jws)
		if err != nil {
			return err
		}
		v.groups = append(v.groups, d)
		c.By, c.At = "group manager "+d.ID, d.IssuedAt
		c.Says = "how members of the group sign"
	}
	return nil
}

func (v *verifier) readOffer(c *Claim) error {
	if len(v.f.Offer) == 0 {
		return errAbsent
	}
	doc, err := trust.VerifyKeyed(v.f.Offer, coin.TypOffer)
	if err != nil {
		return err
	}
	offer, err := coin.ParseOffer(doc.Payload)
	if err != nil {
		return err
	}
	if v.keyset != nil && (offer.Acquirer != v.keyset.Bank || offer.Currency != v.keyset.Currency) {
		return fmt.Errorf("the offer is for %s at %s, the keyset for %s at %s", offer.Currency, offer.Acquirer, v.keyset.Currency, v.keyset.Bank)
	}
	v.offer, v.offerDigest, v.merchant = offer, doc.Digest, doc.KeyID
	c.By = "merchant " + doc.KeyID
	c.Says = fmt.Sprintf("asked for %s by %s", v.money(offer.Amount, offer.Currency), offer.Expires.UTC().Format(time.DateTime))
	return nil
}

func (v *verifier) readPrivate(c *Claim) error {
	if len(v.f.Private) == 0 {
		return errAbsent
	}
	if v.offer == nil {
		return errors.New("there is no good offer that it belongs to")
	}
	o, err := coin.VerifyOffer(v.f.Offer, v.f.Private, time.Time{})
	if err != nil {
		return err
	}
	c.By = "merchant " + v.merchant
	c.Says = fmt.Sprintf("calls himself %q; order %q, purpose %q", o.Private.Name, o.Private.Order, o.Private.Purpose)
	return nil
}

// readSpend reads the payment once.
func (v *verifier) readSpend() error {
	if len(v.f.Spend) == 0 {
		return errAbsent
	}
	if v.spend == nil && v.spendErr == nil {
		v.spend, v.authorisation, v.spendErr = coin.DecodeSpend(v.f.Spend)
		if v.spendErr == nil && v.spend.Purpose != coin.Pay {
			v.spend, v.spendErr = nil, coin.ErrPurpose
		}
	}
	return v.spendErr
}

func (v *verifier) checkCoins(c *Claim) error {
	if err := v.readSpend(); err != nil {
		return err
	}
	if len(v.f.Keyset) == 0 {
		return fmt.Errorf("the keyset of that time is %w", errAbsent)
	}
	if v.keyset == nil {
		return errors.New("there is no good keyset to verify the coins by")
	}
	at := time.Unix(v.spend.IssuedAt, 0)
	if v.deposit != nil {
		at = v.deposit.At
	}
	if err := coin.VerifyShown(v.spend, v.keyset, at); err != nil {
		return err
	}
	if err := v.checkRevoked(); err != nil {
		return err
	}
	c.By = "bank " + v.keyset.Bank
	c.Says = fmt.Sprintf("signed the coins, %d of them, each good when they were spent", len(v.spend.Coins))
	return nil
}

// checkRevoked wants the bank's receipt for coins under a key that it has revoked
// since: who has such a key makes coins, and chooses the date of the payment.
func (v *verifier) checkRevoked() error {
	if v.newer == nil || v.deposit != nil {
		return nil
	}
	for i := range v.spend.Coins {
		if d, err := v.newer.Find(v.spend.Coins[i].KeyID); err == nil && d.Revoked {
			return fmt.Errorf("the bank has revoked key %s since, and its receipt from before is %w", d.KeyID, errAbsent)
		}
	}
	return nil
}

func (v *verifier) checkOwners(c *Claim) error {
	if err := v.readSpend(); err != nil {
		return err
	}
	if v.offer != nil {
		if err := v.offer.CheckSpend(v.spend); err != nil {
			return err
		}
	}
	if err := v.authorisation.VerifyOwners(v.spend); err != nil {
		return err
	}
	bound := v.spend.BoundClaims()
	if len(bound) > 0 {
		if err := v.checkBound(bound); err != nil {
			return err
		}
	}
	c.By = fmt.Sprintf("the coins' owners, of bearer coins %d, of bound ones %d", len(v.spend.Coins)-len(bound), len(bound))
	c.At = time.Unix(v.spend.IssuedAt, 0).UTC()
	c.Says = fmt.Sprintf("authorised a payment of %s for the offer %x…", v.money(v.spend.Amount, v.spend.Currency), v.spend.OfferDigest[:6])
	return nil
}

// checkBound verifies the presentation by the group that the payment names.
func (v *verifier) checkBound(bound []coin.BoundClaim) error {
	d, err := v.groupOf(v.spend)
	if err != nil {
		return err
	}
	g, err := d.ProofVerifier(v.authorisation.Presentation)
	if err != nil {
		return err
	}
	return coin.NewPresentationVerifier(g).VerifyPresentation(v.authorisation.Presentation, v.spend.Frame(), bound)
}

// groupOf is the document of the group that a spend's bound coins are of.
func (v *verifier) groupOf(s *coin.Spend) (*groupdoc.Document, error) {
	for _, d := range v.groups {
		if d.GroupID() == s.Group {
			return d, nil
		}
	}
	if len(v.f.Groups) == 0 {
		return nil, fmt.Errorf("the document of the coins' group is %w", errAbsent)
	}
	return nil, errors.New("the document of the coins' group is another than those in the file, or not good")
}

func (v *verifier) readDeposit(c *Claim) error {
	if len(v.f.BankReceipt) == 0 {
		return errAbsent
	}
	r, chain, err := coin.VerifyKeptReceipt(v.root, v.f.BankReceipt)
	if err != nil {
		return err
	}
	for _, k := range []*coin.Keyset{v.keyset, v.newer} {
		if k == nil {
			continue
		}
		if r.Bank != k.Bank {
			return fmt.Errorf("%w: receipt of %s, keyset of %s", coin.ErrBank, r.Bank, k.Bank)
		}
		if err := k.CheckSigner(chain); err != nil {
			return err
		}
	}
	if v.offer != nil && (r.OfferDigest != v.offerDigest || r.Amount != v.offer.Amount || r.Currency != v.offer.Currency ||
		r.Payee != v.offer.Payee || r.Bank != v.offer.Acquirer) {
		return fmt.Errorf("%w: it is about another offer", coin.ErrReceipt)
	}
	if err := v.readSpend(); err == nil {
		if err := r.Covers(v.spend, r.Payee); err != nil {
			return err
		}
	} else if !errors.Is(err, errAbsent) {
		return fmt.Errorf("the payment that it is about does not read: %w", err)
	}
	v.deposit = r
	c.By, c.At = "bank "+r.Bank, r.At
	c.Says = fmt.Sprintf("credited %s to the payee of the offer %x…", v.money(r.Amount, r.Currency), r.OfferDigest[:6])
	return nil
}

func (v *verifier) readReceipt(c *Claim) error {
	if len(v.f.MerchantReceipt) == 0 {
		return errAbsent
	}
	doc, err := trust.VerifyKeyed(v.f.MerchantReceipt, coin.TypHolderReceipt)
	if err != nil {
		return err
	}
	if len(v.f.Offer) > 0 && doc.KeyID != v.merchant {
		return fmt.Errorf("%w: signed by another merchant than the offer", coin.ErrReceipt)
	}
	r, err := coin.VerifyHolderReceipt(v.f.MerchantReceipt, doc.KeyID)
	if err != nil {
		return err
	}
	if v.offer != nil && (r.OfferDigest != v.offerDigest || r.Amount != v.offer.Amount || r.Currency != v.offer.Currency) {
		return fmt.Errorf("%w: it is about another offer", coin.ErrReceipt)
	}
	if err := v.readSpend(); err == nil {
		if err := r.Covers(v.spend); err != nil {
			return err
		}
	} else if !errors.Is(err, errAbsent) {
		return fmt.Errorf("the payment that it is about does not read: %w", err)
	}
	c.By, c.At = "merchant "+doc.KeyID, r.At
	c.Says = fmt.Sprintf("was paid %s for the offer %x…", v.money(r.Amount, r.Currency), r.OfferDigest[:6])
	return nil
}

// money is an amount for people; without a keyset, in minor units.
func (v *verifier) money(a coin.Amount, currency string) string {
	if v.keyset == nil || v.keyset.Currency != currency {
		return fmt.Sprintf("%d minor units of %s", a, currency)
	}
	return a.Format(v.keyset.Exponent) + " " + currency
}
