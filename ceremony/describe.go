package ceremony

import (
	"fmt"
	"strings"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

func (p *rootPlan) describe(t *Table) {
	t.certificate(trust.Name{Role: trust.RoleRoot}, p.Valid, "itself; everybody pins it")
}

func (p *issuerPlan) describe(t *Table) {
	t.authority("root", &p.Root)
	t.certificate(trust.Name{Role: trust.RoleBank, ID: p.Bank}, p.Valid, "the root; it certifies the bank's signing keys and signs its keysets")
}

func (p *signingPlan) describe(t *Table) {
	t.authority("master", &p.Master)
	t.certificate(trust.Name{Role: trust.RoleSigning, ID: p.Bank}, p.Valid, "the bank's master key; it signs receipts")
}

func (p *certifyPlan) describe(t *Table) {
	t.authority("root", &p.Root)
	t.certificate(trust.Name{Role: trust.RoleSupervisor, ID: p.Supervisor}, p.Valid, "the root, for the key in "+p.Request)
}

func (p *groupPlan) describe(t *Table) {
	t.authority("root", &p.Root)
	t.certificate(trust.Name{Role: trust.RoleGroup, ID: p.Group}, p.Valid, "the root; it signs the group's documents")
	t.row("secret", "issuing key and form key of "+p.Group, "drawn in this process", "leave it only sealed under "+keyName(p.Seal.Token, p.Seal.Object))
}

func (p *mintPlan) describe(t *Table) {
	t.authority("master", &p.Master)
	t.keyset(p.Bank, p.Sequence, p.Previous)
	for i := range p.Series {
		s := &p.Series[i]
		least, most := s.Values[0], s.Values[0]
		for _, v := range s.Values {
			least, most = min(least, v), max(most, v)
		}
		value := fmt.Sprintf("%d %s keys of %d bits, %s to %s %s", len(s.Values), s.Kind, s.Bits,
			coin.Amount(least).Format(p.Exponent), coin.Amount(most).Format(p.Exponent), p.Currency)
		t.row("series", s.Key, value, fmt.Sprintf("issued %s to %s, spent until %s, owed until %s", s.IssueFrom, s.IssueUntil, s.SpendUntil, s.LegalUntil))
		t.instants(s.Key, s)
	}
}

func (p *rotatePlan) describe(t *Table) {
	p.mintPlan.describe(t)
	if p.Signing != nil {
		t.certificate(trust.Name{Role: trust.RoleSigning, ID: p.Bank}, p.Signing.Valid, "the bank's master key; it signs receipts")
	}
}

func (p *revokePlan) describe(t *Table) {
	if p.Member != nil {
		t.authority("manager", p.Manager)
		m := p.Member
		t.row("order", "member "+m.Member+" of "+m.Group, fmt.Sprintf("case %s: %s", m.Case, m.Reason), fmt.Sprintf("orders that this member's payments be traced, until %s", m.Until))
		t.warn("the supervisors can then trace every payment that this member ever made")
		return
	}
	t.authority("master", p.Master)
	t.keyset(p.Bank, p.Sequence, p.Previous)
	root, previous := p.consult(t)
	for _, kid := range p.Revoke {
		t.row("revocation", kid, describeDenomination(previous, kid), "nothing is issued or accepted under it any more; holders are repaid by proof of withdrawal")
	}
	for _, kid := range p.Lost {
		t.row("loss", kid, describeDenomination(previous, kid), "nothing is issued under it any more; its coins stay good")
	}
	for i, path := range p.RevokeSigners {
		t.row("revocation", path, p.describeSigner(t, root, i), "no receipt under it is believed any more, whatever its date")
	}
	t.warn("what is revoked or lost stays so: no later keyset takes it back")
	if previous != nil {
		p.foresee(t, previous)
	}
}

// consult reads root and previous keyset for the table; nil, and a warning,
// for what can't be read. That an input is not there was said already.
func (p *revokePlan) consult(t *Table) (*trust.Root, *coin.Keyset) {
	if t.desk == nil {
		return nil, nil
	}
	root, err := t.desk.root("root")
	if err != nil {
		t.warn("%v", err)
		return nil, nil
	}
	jws, err := t.desk.read("previous")
	if err != nil {
		t.warn("%v", err)
		return root, nil
	}
	previous, err := parseKeyset(t.desk, "previous", jws, root)
	if err != nil {
		t.warn("%v", err)
		return root, nil
	}
	return root, previous
}

// describeDenomination says what a key id stands for.
func describeDenomination(set *coin.Keyset, text string) string {
	const unknown = "denomination key"
	kid, err := coin.ParseKeyID(text)
	if err != nil || set == nil {
		return unknown
	}
	d, err := set.Find(kid)
	if err != nil {
		return unknown // foresee says so
	}
	return fmt.Sprintf("%s key of %s %s, spent until %s", d.Kind, d.Value.Format(set.Exponent), set.Currency, d.SpendUntil.Format(instantLayout))
}

// foresee warns of what the keyset would be like.
func (p *revokePlan) foresee(t *Table, previous *coin.Keyset) {
	n := &succession{bank: p.Bank, currency: previous.Currency, exponent: previous.Exponent, sequence: p.Sequence, previous: previous}
	after := n.draft(t.at)
	if err := p.change(after, nil); err != nil {
		t.warn("%v", err)
		return
	}
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		if len(previous.ForIssue(kind, t.at)) > 0 && len(after.ForIssue(kind, t.at)) == 0 {
			t.warn("no %s key issues after this: nobody withdraws %s coins until a later keyset has keys that do", kind, kind)
		}
	}
}

// describeSigner says whose certificate is to be revoked.
func (p *revokePlan) describeSigner(t *Table, root *trust.Root, i int) string {
	const unknown = "online signing key"
	if root == nil {
		return unknown
	}
	data, err := t.desk.read(revokedSigner(i))
	if err != nil {
		t.warn("%v", err)
		return unknown
	}
	cert, err := readSigner(root, p.Bank, data)
	if err != nil {
		t.warn("%s: %v", revokedSigner(i), err)
		return unknown
	}
	return fmt.Sprintf("%s, key %x, valid from %s to %s", trust.Name{Role: trust.RoleSigning, ID: p.Bank}, coin.SignerKey(cert),
		cert.NotBefore.Format(instantLayout), cert.NotAfter.Format(instantLayout))
}

func (p *restorePlan) describe(t *Table) {
	t.authority("master", &p.Master)
	missing := "every key that these ceremonies made must be there"
	if len(p.Missing) > 0 {
		missing = "every key but " + strings.Join(p.Missing, ", ")
		t.warn("keys that are missing are to be declared lost in a ceremony of their own")
	}
	t.row("inspection", p.Token.Token, strings.Join(p.MadeBy, ", "), missing+"; audited, tried and compared; nothing is made")
}

func (p *destroyPlan) describe(t *Table) {
	t.authority("master", &p.Master)
	t.row("destruction", p.Token.Token, "all keys and objects in it", "erased for good; refused while a key of "+p.Keyset+" is still needed")
	t.pin(p.Token.Token+": security officer", p.SOPIN)
	for _, label := range p.Also {
		t.row("destruction", keyName(p.Token.Token, label), "not in the keyset", "goes too")
	}
	t.warn("what is destroyed can't be brought back, except from a backup that its maker's tool made: destroy that too")
}

// authority describes a key that signs.
func (t *Table) authority(field string, a *authority) {
	t.row("authority", field, keyName(a.Key.Token, a.Key.Object), "signs; must be the key of "+a.Certificate+"; closes the transcript")
}

func (t *Table) keyset(bank string, sequence uint64, previous string) {
	effect := "the first"
	if previous != "" {
		effect = "follows " + previous + " and keeps its keys"
	}
	t.row("keyset", fmt.Sprintf("%s, number %d", bank, sequence), "", effect)
}
