package ceremony

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
)

func (p *supervisorsPlan) answers() []trust.Name {
	var out []trust.Name
	for _, id := range p.Supervisors {
		out = append(out, trust.Name{Role: trust.RoleSupervisor, ID: id})
	}
	return out
}

// verify checks one supervisor's part, and with the others' documents the
// whole.
func (p *supervisorsPlan) verify(c *check) {
	own, err := c.plan.As(c.by.ID)
	if err != nil {
		return // that it was not closed by a supervisor is a claim that failed
	}
	c.plan = own
	p = own.body.(*supervisorsPlan)
	for _, out := range p.outputs() {
		c.claim(fmt.Sprintf("output %s is the file that was made", out.field), func() (string, error) { return c.output(out) })
	}
	c.claim("nothing else came out", c.nothingElse)
	c.claim("one card and one dealing of every supervisor were taken in", func() (string, error) { return p.received(c) })
	c.look(fieldDealing, "his dealing is to all supervisors, with the planned threshold", func(data []byte) (string, error) {
		return fmt.Sprintf("%d of %d", p.Threshold, len(p.Supervisors)), p.checkDealing(c.Root, p.me, data, c.report.Closed)
	})
	c.look(fieldDocument, "he signed keys for the planned group, supervisors and threshold", func(data []byte) (string, error) {
		return p.checkDocument(c, data)
	})
	c.look(fieldDocument, "the keys are what all dealings come to", func(data []byte) (string, error) { return p.outcome(c, data) })
	c.look(fieldDocument, "every supervisor signed the same keys", func(data []byte) (string, error) { return p.together(c, data) })
}

// parcels are the entries about others' files, by kind and supervisor.
func (p *supervisorsPlan) parcels(c *check, kind string) ([]transcript.Received, error) {
	all, err := transcript.All[transcript.Received](c.t, transcript.EventReceived)
	if err != nil {
		return nil, err
	}
	var out []transcript.Received
	for _, id := range slices.Sorted(slices.Values(p.Supervisors)) {
		i := slices.IndexFunc(all, func(r transcript.Received) bool { return r.From == id && r.Path == p.exchanged(kind, id) })
		if i < 0 {
			return nil, fmt.Errorf("%w: no %s of %s", ErrInput, kind, id)
		}
		out = append(out, all[i])
	}
	return out, nil
}

func (p *supervisorsPlan) received(c *check) (string, error) {
	all, err := transcript.All[transcript.Received](c.t, transcript.EventReceived)
	if err != nil {
		return "", err
	}
	cards, err := p.parcels(c, "card")
	if err != nil {
		return "", err
	}
	dealings, err := p.parcels(c, "dealing")
	if err != nil {
		return "", err
	}
	if len(all) != len(cards)+len(dealings) {
		return "", fmt.Errorf("%w: %d files were taken in", ErrInput, len(all))
	}
	return fmt.Sprintf("%d files", len(all)), nil
}

// checkDocument: the document is his, under the certificate that closed the
// transcript, and says what was planned.
func (p *supervisorsPlan) checkDocument(c *check, data []byte) (string, error) {
	doc, err := c.Root.Verify(data, trust.TypSupervision, trust.RoleSupervisor, c.report.Closed)
	if err != nil {
		return "", err
	}
	if err := c.issuedBy(doc.Chain); err != nil {
		return "", err
	}
	s, err := groupdoc.ReadSupervision(doc.Payload)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, v := range s.Supervisors {
		ids = append(ids, v.ID)
	}
	if s.Group != p.Group || s.Key.K != p.Threshold || !slices.Equal(ids, slices.Sorted(slices.Values(p.Supervisors))) {
		return "", fmt.Errorf("%w: not the planned group, supervisors and threshold", groupdoc.ErrSupervision)
	}
	return fmt.Sprintf("keys %x …", doc.Digest[:8]), nil
}

// outcome computes the keys again from the dealings that were taken in. It
// opens no share: that each fitted, its receiver found when he combined them.
func (p *supervisorsPlan) outcome(c *check, data []byte) (string, error) {
	entries, err := p.parcels(c, "dealing")
	if err != nil {
		return "", err
	}
	var dealings [][]byte
	for _, e := range entries {
		dealing, err := c.file(e.Path, e.SHA256, trust.MaxJWS)
		if err != nil {
			return "", err
		}
		if err := p.checkDealing(c.Root, e.From, dealing, c.report.Closed); err != nil {
			return "", err
		}
		dealings = append(dealings, dealing)
	}
	s, err := officer.Outcome(c.Root, p.Group, dealings, c.report.Closed)
	if err != nil {
		return "", err
	}
	payload, err := s.Marshal()
	if err != nil {
		return "", err
	}
	doc, err := c.Root.Verify(data, trust.TypSupervision, trust.RoleSupervisor, c.report.Closed)
	if err != nil {
		return "", err
	}
	if doc.Digest != sha256.Sum256(payload) {
		return "", fmt.Errorf("%w: the dealings come to other keys", groupdoc.ErrSupervision)
	}
	return fmt.Sprintf("%d dealings", len(dealings)), nil
}

// together: the documents of all supervisors are over the same payload.
func (p *supervisorsPlan) together(c *check, data []byte) (string, error) {
	all := [][]byte{data}
	for _, id := range p.Supervisors {
		if id == p.me {
			continue
		}
		doc, err := c.anywhere(p.document(id), p.Exchange)
		if err != nil {
			return "", err
		}
		all = append(all, bytes.TrimSpace(doc))
	}
	s, err := groupdoc.ParseSupervision(c.Root, all, c.report.Closed)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d signatures", s.Key.N), nil
}

// anywhere reads a file that the transcript does not fix: where the plan has
// it, where it was carried, or beside the others.
func (c *check) anywhere(path, exchange string) ([]byte, error) {
	for _, name := range []string{path, filepath.Join(exchange, filepath.Base(path)), filepath.Base(path)} {
		data, err := paper.Read(inDir(c.Dir, name), trust.MaxJWS)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return nil, fmt.Errorf("%w: %s", errNotAtHand, path)
}
