package ceremony

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/speciecash/specie/ceremony/order"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

func bankName(id string) trust.Name { return trust.Name{Role: trust.RoleBank, ID: id} }

func (p *rootPlan) answers() []trust.Name    { return []trust.Name{{Role: trust.RoleRoot}} }
func (p *issuerPlan) answers() []trust.Name  { return []trust.Name{{Role: trust.RoleRoot}} }
func (p *groupPlan) answers() []trust.Name   { return []trust.Name{{Role: trust.RoleRoot}} }
func (p *certifyPlan) answers() []trust.Name { return []trust.Name{{Role: trust.RoleRoot}} }
func (p *signingPlan) answers() []trust.Name { return []trust.Name{bankName(p.Bank)} }
func (p *mintPlan) answers() []trust.Name    { return []trust.Name{bankName(p.Bank)} }
func (p *restorePlan) answers() []trust.Name { return []trust.Name{bankName(p.Bank)} }
func (p *destroyPlan) answers() []trust.Name { return []trust.Name{bankName(p.Bank)} }

func (p *revokePlan) answers() []trust.Name {
	if p.Member != nil {
		return []trust.Name{{Role: trust.RoleGroup, ID: p.Member.Group}}
	}
	return []trust.Name{bankName(p.Bank)}
}

func (p *rootPlan) verify(c *check) {
	c.hardware()
	c.look("certificate", "the root certificate is the one that is pinned, of the planned key and time", func(data []byte) (string, error) {
		root, err := trust.ParseRoot(data)
		if err != nil {
			return "", err
		}
		cert := root.Certificate()
		if !cert.Equal(c.Root.Certificate()) {
			return "", fmt.Errorf("%w: not the root that is pinned", trust.ErrChain)
		}
		return describeCert(cert), first(c.ofKey(cert, p.Key.URI), p.Valid.is(cert))
	})
}

func (p *issuerPlan) verify(c *check) {
	c.hardware()
	c.certificate(newCertificate{name: bankName(p.Bank), isCA: true, key: p.Key, valid: p.Valid, output: "certificate"})
}

func (p *signingPlan) verify(c *check) {
	c.hardware()
	c.certificate(newCertificate{name: trust.Name{Role: trust.RoleSigning, ID: p.Bank}, key: p.Key, valid: p.Valid, output: "chain"})
}

func (p *groupPlan) verify(c *check) {
	c.hardware()
	c.certificate(newCertificate{name: trust.Name{Role: trust.RoleGroup, ID: p.Group}, key: p.Key, valid: p.Valid, output: "certificate"})
	c.look("sealed", "the sealed secrets are this group's, and W is proven", func(data []byte) (string, error) {
		return "", readSealed(data, p.Group)
	})
}

func (p *certifyPlan) verify(c *check) {
	c.hardware()
	name := trust.Name{Role: trust.RoleSupervisor, ID: p.Supervisor}
	c.certificate(newCertificate{name: name, valid: p.Valid, output: "certificate"})
	c.look("certificate", "the certified key is the one that the supervisor asked for", func(data []byte) (string, error) {
		text, err := c.input("request")
		if err != nil {
			return "", err
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return "", fmt.Errorf("%w: request", ErrInput)
		}
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("%w: request: %w", ErrInput, err)
		}
		chain, err := readChain(data)
		if err != nil {
			return "", err
		}
		if !bytes.Equal(request.RawSubjectPublicKeyInfo, chain[0].RawSubjectPublicKeyInfo) {
			return "", fmt.Errorf("%w: another key than the request's", ErrKey)
		}
		return "", nil
	})
}

func (p *revokePlan) verify(c *check) {
	c.hardware()
	if p.Member == nil {
		p.verifyKeys(c)
		return
	}
	c.look("order", "the order orders what the plan says, in its officers' name", func(data []byte) (string, error) {
		w, err := order.Parse(c.Root, data, c.began)
		if err != nil {
			return "", err
		}
		if w.Terms != p.Member.terms() || !w.IssuedAt.Equal(c.began) || string(w.Plan) != string(c.opened.Plan) ||
			transcript.PlanDigest(w.Plan, w.Inputs) != c.opened.Digest {
			return "", fmt.Errorf("%w: another order, or of another plan", order.ErrOrder)
		}
		return fmt.Sprintf("case %s, until %s", w.Case, w.Until.Format(instantLayout)), nil
	})
}

func (p *restorePlan) verify(c *check) {
	c.hardware()
	c.claim("every key that was made in the token is there, but for those named as missing", func() (string, error) {
		list := &stocklist{}
		for i := range p.MadeBy {
			data, err := c.input(madeBy(i))
			if err != nil {
				return "", err
			}
			t, err := transcript.Read(data)
			if err != nil {
				return "", err
			}
			if err := word(c.Root, t); err != nil && !errors.Is(err, transcript.ErrAbandoned) {
				return "", err
			}
			if err := list.add(t, p.Token.Token); err != nil {
				return "", fmt.Errorf("%w: %w", ErrInput, err)
			}
		}
		detail := fmt.Sprintf("%d keys, %d missing", len(list.keys), len(p.Missing))
		if len(list.unsigned) > 0 {
			detail += "; on nobody's word, after an abandoned ceremony: " + strings.Join(list.unsigned, ", ")
		}
		return detail, p.stock(c, list)
	})
}

// stock compares the keys that were found with those that were made.
func (p *restorePlan) stock(c *check, list *stocklist) error {
	found, err := transcript.All[transcript.Key](c.t, transcript.EventKey)
	if err != nil {
		return err
	}
	seen := make(map[string]transcript.Key)
	for _, k := range found {
		if err := checkKey(k); err != nil {
			return fmt.Errorf("%s: %w", keyName(k.Token, k.Label), err)
		}
		seen[k.Label] = k
	}
	for _, made := range list.keys {
		k, there := seen[made.Label]
		delete(seen, made.Label)
		switch {
		case slices.Contains(p.Missing, made.Label) == there:
			return fmt.Errorf("%w: %s is there or not, against the plan", ErrKey, keyName(made.Token, made.Label))
		case there && (k.Token != made.Token || k.Kind != made.Kind || k.ID != made.ID || k.CKAID != made.CKAID):
			return fmt.Errorf("%w: %s is another key", ErrKey, keyName(made.Token, made.Label))
		}
	}
	for label := range seen {
		return fmt.Errorf("%w: no ceremony made %s", ErrKey, keyName(p.Token.Token, label))
	}
	return nil
}

func (p *destroyPlan) verify(c *check) {
	c.hardware()
	c.claim("the token of the plan was erased, and no other", func() (string, error) {
		destroyed, err := transcript.All[transcript.Destroyed](c.t, transcript.EventDestroyed)
		if err != nil {
			return "", err
		}
		if len(destroyed) != 1 || destroyed[0].Token != p.Token.Token || p.Token.Serial != "" && destroyed[0].Serial != p.Token.Serial {
			return "", fmt.Errorf("%w: not token %q, once", ErrKey, p.Token.Token)
		}
		begun, err := transcript.All[transcript.Destroyed](c.t, transcript.EventErasing)
		if err != nil {
			return "", err
		}
		if len(begun) != 1 || begun[0].Serial != destroyed[0].Serial || len(begun[0].Keys) == 0 || !slices.Equal(begun[0].Keys, destroyed[0].Keys) {
			return "", fmt.Errorf("%w: what was erased is not what was judged before, with its keys", ErrKey)
		}
		return fmt.Sprintf("%s, serial %s, %d keys", destroyed[0].Token, destroyed[0].Serial, len(destroyed[0].Keys)), nil
	})
	c.claim("no key went that was still needed", func() (string, error) {
		destroyed, err := transcript.All[transcript.Destroyed](c.t, transcript.EventDestroyed)
		if err != nil {
			return "", err
		}
		data, err := c.input("keyset")
		if err != nil {
			return "", err
		}
		set, err := coin.ParseKeyset(c.Root, bytes.TrimSpace(data), c.began)
		if err != nil {
			return "", err
		}
		var gone []string
		for _, d := range destroyed {
			gone = append(gone, d.Keys...)
		}
		return fmt.Sprintf("against keyset %d", set.Seq), p.needed(c, set, gone)
	})
}

// needed goes through the ids of what was destroyed: a denomination key was
// given up, and what the keyset does not know was listed in the plan.
func (p *destroyPlan) needed(c *check, set *coin.Keyset, gone []string) error {
	listed := len(p.Also)
	for _, id := range gone {
		// Signing keys stand there by the hex SHA-256 of their public key.
		if slices.ContainsFunc(set.RevokedSigners, func(signer [32]byte) bool { return hex.EncodeToString(signer[:]) == id }) {
			continue
		}
		if kid, err := coin.ParseKeyID(id); err == nil {
			if d, err := set.Find(kid); err == nil {
				if !d.Revoked && !d.Lost && c.began.Before(d.SpendUntil) {
					return fmt.Errorf("%w: %s", ErrNeeded, kid)
				}
				continue
			}
		}
		if listed--; listed < 0 {
			return fmt.Errorf("%w: %s, which the plan does not name", ErrStranger, id)
		}
	}
	return nil
}

// look claims something about an output that is the file that was made. If it
// is not, that was said.
func (c *check) look(field, what string, look func(data []byte) (string, error)) {
	data, ok := c.outputs[field]
	if !ok {
		look = func([]byte) (string, error) {
			return "", fmt.Errorf("%w: output %s as it was made", errNotAtHand, field)
		}
	}
	c.claim(what, func() (string, error) { return look(data) })
}

// certificate claims that an output is the planned certificate. n.key is nil
// inside for a key that was not made here.
func (c *check) certificate(n newCertificate) {
	c.look(n.output, fmt.Sprintf("%s holds the certificate of %s, of the planned key and time", n.output, n.name), func(data []byte) (string, error) {
		chain, err := readChain(data)
		if err != nil {
			return "", err
		}
		name, err := c.Root.CheckChain(chain, n.valid.From.Time)
		if err != nil {
			return "", err
		}
		if name != n.name {
			return "", fmt.Errorf("%w: it is the certificate of %s", trust.ErrRole, name)
		}
		if chain[0].IsCA != n.isCA {
			return "", fmt.Errorf("%w: it certifies other keys, or should", trust.ErrRole)
		}
		if err := n.valid.is(chain[0]); err != nil {
			return "", err
		}
		if err := c.issuedBy(chain[1:]); err != nil {
			return "", err
		}
		if n.key.URI == nil {
			return describeCert(chain[0]), nil
		}
		return describeCert(chain[0]), c.ofKey(chain[0], n.key.URI)
	})
}

// issuedBy: what stands above a certificate is what closed the transcript.
func (c *check) issuedBy(above []*x509.Certificate) error {
	if !slices.EqualFunc(above, c.chain, func(cert *x509.Certificate, der []byte) bool { return bytes.Equal(cert.Raw, der) }) {
		return fmt.Errorf("%w: issued under another certificate than the one that closed the ceremony", trust.ErrChain)
	}
	return nil
}

// ofKey: the certificate is of the key that was made under that label.
func (c *check) ofKey(cert *x509.Certificate, u *hsm.URI) error {
	k, err := c.key(u.Token, u.Object)
	if err != nil {
		return err
	}
	if !bytes.Equal(cert.RawSubjectPublicKeyInfo, k.SPKI) {
		return fmt.Errorf("%w: the certificate is of another key than %s", ErrKey, keyName(u.Token, u.Object))
	}
	return nil
}

// is says whether a certificate is valid as planned.
func (v validity) is(cert *x509.Certificate) error {
	if !cert.NotBefore.Equal(v.From.Time) || !cert.NotAfter.Equal(v.Until.Time) {
		return fmt.Errorf("%w: valid from %s to %s, against the plan", trust.ErrExpired,
			cert.NotBefore.Format(instantLayout), cert.NotAfter.Format(instantLayout))
	}
	return nil
}

func describeCert(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return fmt.Sprintf("key %x …, valid from %s to %s", sum[:8], cert.NotBefore.Format(instantLayout), cert.NotAfter.Format(instantLayout))
}

// readChain reads PEM certificates, leaf first.
func readChain(data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for len(data) > 0 && len(out) < 3 {
		block, rest := pem.Decode(data)
		if block == nil || block.Type != typeCert {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", trust.ErrMalformed, err)
		}
		out, data = append(out, cert), rest
	}
	if len(data) > 0 || len(out) == 0 {
		return nil, fmt.Errorf("%w: not PEM certificates and nothing else", trust.ErrMalformed)
	}
	return out, nil
}

// readSealed checks what stands in clear in a file of sealed secrets: whose
// they are, and that the manager knew γ when he made W.
func readSealed(data []byte, groupID string) error {
	var j sealedJSON
	if err := strictjson.Unmarshal(data, MaxSealed, &j); err != nil || j.Version != 1 || len(j.Box) == 0 {
		return fmt.Errorf("%w: not a file of version 1", ErrSealed)
	}
	if j.Group != groupID || len(j.WProof) != len(group.IssuerKeyProof{}) {
		return fmt.Errorf("%w: the secrets of %q", ErrSealed, j.Group)
	}
	w, err := fp256bn.ParseG2(j.W)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSealed, err)
	}
	if err := group.VerifyIssuerKey(groupID, w, group.IssuerKeyProof(j.WProof)); err != nil {
		return fmt.Errorf("%w: %w", ErrSealed, err)
	}
	if _, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(j.Form); err != nil {
		return fmt.Errorf("%w: form key", ErrSealed)
	}
	return nil
}
