package wallet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/groupclient"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/tpm"
)

// activate answers the challenge and opens the credential. What was begun earlier
// is given up for a new join where the manager has dropped the session; and where
// he refuses it for good, and another name or code is said this time. A key that
// has been a member's is given up for a new one, where there is a code. Each once.
func (c *candidate) activate(ctx context.Context) (id enrol.ID, cred group.Credential, err error) {
	// A session may also have ended while somebody thought of a PIN.
	resumed, other, renewed := c.state.Session != "" || c.opened != nil, c.state.Challenge != nil && c.saysElse(), false
	for {
		id, cred, err = c.answer(ctx)
		dropped := resumed && (isCode(err, "session-expired") || isCode(err, "not-found"))
		used := !renewed && (!c.Code.IsZero() && isCode(err, "tag-registered") || other && isCode(err, "revoked"))
		switch {
		case used:
			renewed = true
			if err := c.newKey(ctx); err != nil {
				return id, cred, err
			}
		case dropped, other && refusedForGood(err):
			c.begin()
		default:
			return id, cred, err
		}
		resumed, other = false, false
	}
}

// refusedForGood says that the manager will never finish an enrolment, by who or
// which TPM it is.
func refusedForGood(err error) bool {
	return slices.ContainsFunc([]string{"revoked", "readmission", "readmission-used", "ek-registered", "tag-registered", "identity"},
		func(code string) bool { return isCode(err, code) })
}

// saysElse says that the join under way has another name, or another code.
func (c *candidate) saysElse() bool {
	return c.state.Name != c.Name || !bytes.Equal(c.state.Code, codeDigest(c.Code))
}

// begin forgets the session and keeps the key.
func (c *candidate) begin() { c.state = enrolling{keyRef: c.state.keyRef, EKID: c.state.EKID} }

func (c *candidate) answer(ctx context.Context) (id enrol.ID, cred group.Credential, err error) {
	if c.state.Challenge == nil && c.saysElse() {
		c.begin() // something else is said this time
	}
	if c.state.Session == "" {
		if err := c.newJoin(ctx); err != nil {
			return id, cred, err
		}
	}
	if id, err = enrol.ParseID(c.state.Session); err != nil {
		return id, cred, err
	}
	if c.state.Challenge == nil {
		if c.state.Challenge, err = c.manager.join(ctx, id, c.state.Join); err != nil {
			return id, cred, c.refused(ctx, err)
		}
		if err := c.save(ctx); err != nil {
			return id, cred, err
		}
	}
	c.step(3)
	released, err := release(ctx, c.key, c.state.EKKind, *c.state.Challenge)
	if err != nil {
		return id, cred, err
	}
	mac, err := released.MAC(id)
	if err != nil {
		return id, cred, err
	}
	sealed, err := c.manager.activate(ctx, id, mac)
	if err != nil {
		return id, cred, err
	}
	if err := c.succeeds(sealed.successions); err != nil {
		return id, cred, err
	}
	cred, err = released.OpenCredential(id, sealed.epoch, sealed.sealed)
	return id, cred, err
}

// refused forgets a join that the manager will never take, so that the next go
// can say something else: another name, or another code.
func (c *candidate) refused(ctx context.Context, err error) error {
	var p *client.Problem
	if !errors.As(err, &p) || !p.Final() {
		return err
	}
	c.begin()
	return errors.Join(err, c.save(ctx))
}

// succeeds checks the manager's words for whose successor this one is. They may
// begin before this wallet's membership, and have others in between: of those the
// answers were lost.
func (c *candidate) succeeds(jws [][]byte) error {
	if len(jws) == 0 {
		if len(c.state.Code) == 0 {
			return nil
		}
		return fmt.Errorf("%w: the manager took the code and gave no succession for it", ErrAnswer)
	}
	l, err := c.w.readLine(c.doc.ID, jws, c.state.Tag)
	if err != nil {
		return err
	}
	if old := c.w.enrolled; old != nil {
		first := l.from(old.Tag)
		if first < 0 {
			return fmt.Errorf("%w: it continues another membership than the one in this purse", ErrAnswer)
		}
		if err := c.notPutOff(old, l.read[first].GoodUntil); err != nil {
			return err
		}
	}
	c.line = l
	return nil
}

// codeDigest is how a code is remembered; of none, nothing is.
func codeDigest(code enrol.Code) []byte {
	if code.IsZero() {
		return nil
	}
	d := code.Digest()
	return d[:]
}

// session is what the manager opened for one of the TPM's endorsement keys.
type session struct {
	ek    *tpm.EK
	id    enrol.ID
	nonce [32]byte
}

// newJoin makes the join, in the session that is open or in a new one, and writes
// it down.
func (c *candidate) newJoin(ctx context.Context) error {
	if err := c.open(ctx); err != nil {
		return err
	}
	s := c.opened
	c.opened = nil
	return c.join(ctx, s.ek, s.id, s.nonce)
}

// open opens a session, unless there is one. A manager takes one kind of
// endorsement key from each manufacturer: the refusal of one leads to the next.
func (c *candidate) open(ctx context.Context) error {
	if c.opened != nil {
		return nil
	}
	eks, err := c.endorsementKeys(ctx)
	if err != nil {
		return err
	}
	var first error
	for i := range eks {
		chain, err := c.chainOf(ctx, &eks[i])
		if err == nil {
			s := &session{ek: &eks[i]}
			if s.id, s.nonce, err = c.manager.begin(ctx, chain, s.ek.Public); err == nil {
				c.opened = s
				return nil
			}
		}
		if !noCertificate(err) && !refusesEK(err) {
			return err
		}
		// That a certificate is another key's says nothing where one was shown.
		if first == nil || errors.Is(first, ErrOtherCertificate) {
			first = err
		}
	}
	return first
}

// refusesEK says whether a manager means the endorsement key that he was shown,
// and not the TPM.
func refusesEK(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && strings.HasPrefix(p.Code, "ek-") && p.Code != "ek-registered"
}

func (c *candidate) join(ctx context.Context, ek *tpm.EK, id enrol.ID, nonce [32]byte) error {
	recipient, err := c.doc.FormRecipient()
	if err != nil {
		return err
	}
	form, digest, err := enrol.SealForm(recipient, c.doc.ID, nonce, enrol.Form{Name: c.Name, Code: c.Code})
	if err != nil {
		return err
	}
	ekID, err := attest.EKID(ek.Public)
	if err != nil {
		return err
	}
	j, err := group.NewJoin(ctx, c.doc.Parameters(), c.key, c.key.Point(), c.secret,
		group.JoinContext{Nonce: nonce, KeyName: c.key.Name(), EK: ekID, Form: digest})
	if err != nil {
		return err
	}
	tag := j.F.Bytes()
	request := groupclient.JoinRequest{KeyPublic: c.key.Public(), Join: j.Bytes(), Form: form, FormDigest: digest[:]}
	next := enrolling{
		keyRef: c.state.keyRef, EKID: ekID[:], EKKind: ek.Kind, Tag: tag[:],
		Session: id.String(), Name: c.Name, Code: codeDigest(c.Code),
	}
	if next.Join, err = json.Marshal(request); err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	c.state = next
	return c.save(ctx)
}

// endorsementKeys are those that the group takes, in its order.
func (c *candidate) endorsementKeys(ctx context.Context) (out []tpm.EK, err error) {
	eks, err := c.device.EKs(ctx)
	if err != nil {
		return nil, err
	}
	for _, kind := range c.doc.EKKinds {
		for _, ek := range eks {
			if ek.Kind == kind {
				out = append(out, ek)
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoEK, strings.Join(c.doc.EKKinds, ", "))
	}
	return out, nil
}

// someEK is one of the TPM's endorsement keys, by which it is known again.
func someEK(ctx context.Context, dev *tpm.Device) ([]byte, error) {
	eks, err := dev.EKs(ctx)
	if err != nil {
		return nil, err
	}
	id, err := attest.EKID(eks[0].Public)
	return id[:], err
}
