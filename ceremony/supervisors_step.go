package ceremony

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
)

// Turn is what a supervisor could do, and what he waits for.
type Turn struct {
	Supervisor string `json:"supervisor"`
	Done       bool   `json:"done"`
	// Missing are the supervisors whose file of kind For is not in the exchange
	// directory yet: "card" or "dealing".
	For     string   `json:"for,omitempty"`
	Missing []string `json:"missing,omitempty"`
	// Written are the files that this step left, for the others too.
	Written    []string `json:"written,omitempty"`
	Document   string   `json:"document,omitempty"`   // path, once signed
	Keys       string   `json:"keys,omitempty"`       // hex SHA-256 of what he signed: the same for all
	Transcript string   `json:"transcript,omitempty"` // path, once begun
}

// sitting is one supervisor at his own machine.
type sitting struct {
	*live
	p    *supervisorsPlan
	o    *officer.Officer
	root *trust.Root
	at   time.Time
	turn *Turn

	resumed bool
}

// Step does what this supervisor can do next in a plan of kind supervisors,
// on his own machine, and says what he waits for: give the plan again when the
// others' files are there. His transcript is closed with his own key; once it
// is, nothing more is done. An interrupted step is taken up by the next.
//
// Errors: those of Run that do not speak of tokens, and those of package
// officer.
func (r *Runner) Step(_ context.Context, p *Plan, o *officer.Officer) (*Turn, error) {
	own, err := p.As(o.ID)
	if err != nil {
		return nil, err
	}
	s := &sitting{p: own.body.(*supervisorsPlan), o: o, at: r.clock()(), turn: &Turn{Supervisor: o.ID}}
	d := &desk{plan: own, at: s.at}
	if _, err := own.prepare(d); err != nil {
		return nil, err
	}
	if s.root, err = d.root("root"); err != nil {
		return nil, err
	}
	over, err := s.over(own)
	if err != nil || over {
		return s.turn, err
	}
	earlier, err := own.earlier(s.at)
	if err != nil {
		return nil, err
	}
	agreed, err := r.agree(d, earlier)
	if err != nil {
		return nil, err
	}
	if s.live, err = r.live(own, agreed, earlier); err != nil {
		return nil, err
	}
	return s.turn, errors.Join(s.proceed(), s.close())
}

// over says whether this supervisor has done his part. The files for the
// others are put out again: they may have been lost on the way.
func (s *sitting) over(own *Plan) (bool, error) {
	t, err := transcript.ReadFile(own.TranscriptPath())
	if err != nil || !t.Ended() {
		// Whatever is wrong, an unfinished ceremony is judged by earlier.
		return false, nil
	}
	if own.owns(t) != nil {
		return false, nil // another plan's: earlier says so
	}
	if _, err := t.VerifyClose(s.root); err != nil {
		return false, err
	}
	known, err := remember(t)
	if err != nil {
		return false, err
	}
	s.live = &live{plan: own, memory: known}
	doc, err := s.settled(fieldDocument)
	if err != nil {
		return false, err
	}
	dealing, err := s.settled(fieldDealing)
	if err != nil {
		return false, err
	}
	return true, first(s.done(doc), s.publish("dealing", dealing), s.hand(filepath.Base(own.body.transcript()), own.TranscriptPath()))
}

// proceed goes as far as the files that are there allow.
func (s *sitting) proceed() error {
	card, err := s.o.Card()
	if err != nil {
		return err
	}
	if err := s.publish("card", card); err != nil {
		return err
	}
	_, dealt := s.outputs[s.p.dealing(s.p.me)]
	if !dealt {
		cards, missing, err := s.collect("card", officerCard)
		if err != nil || missing {
			return err
		}
		if err := s.deal(cards); err != nil {
			return err
		}
	}
	dealing, err := s.settled(fieldDealing)
	if err != nil {
		return err
	}
	// A dealing is in its place as soon as it is settled: the others need it.
	if err := paper.Place(s.plan.path(s.p.dealing(s.p.me)), sha256.Sum256(dealing)); err != nil {
		return err
	}
	if err := s.publish("dealing", dealing); err != nil {
		return err
	}
	s.turn.Transcript = s.plan.TranscriptPath()
	dealings, missing, err := s.collect("dealing", s.judgeDealing)
	if err != nil || missing {
		return err
	}
	return s.combine(dealings)
}

// parcel is a file of another supervisor.
type parcel struct {
	from, path string // path as it stands in the plan
	data       []byte
}

// collect reads the files of one kind of all supervisors, in the order of
// their ids, and judges each; or says whose are missing.
func (s *sitting) collect(kind string, judge func(root *trust.Root, id string, data []byte, at time.Time) error) (all []parcel, missing bool, err error) {
	s.turn.For, s.turn.Missing = kind, nil
	for _, id := range slices.Sorted(slices.Values(s.p.Supervisors)) {
		path := s.p.exchanged(kind, id)
		data, err := paper.Read(s.plan.path(path), trust.MaxJWS)
		if errors.Is(err, fs.ErrNotExist) {
			s.turn.Missing = append(s.turn.Missing, id)
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if err := judge(s.root, id, data, s.at); err != nil {
			return nil, false, fmt.Errorf("%w: %s: %w", ErrInput, path, err)
		}
		all = append(all, parcel{id, path, data})
	}
	if len(s.turn.Missing) > 0 {
		return nil, true, nil
	}
	s.turn.For = ""
	return all, false, nil
}

// officerCard demands the card of that supervisor.
func officerCard(root *trust.Root, id string, data []byte, at time.Time) error {
	card, err := officer.ParseCard(root, data, at)
	if err != nil {
		return err
	}
	if card.ID != id {
		return fmt.Errorf("%w: the card of %s", officer.ErrForeign, card.ID)
	}
	return nil
}

func (s *sitting) judgeDealing(root *trust.Root, id string, data []byte, at time.Time) error {
	return s.p.checkDealing(root, id, data, at)
}

// checkDealing demands a dealing by that supervisor, for this group, to the
// planned supervisors with the planned threshold.
func (p *supervisorsPlan) checkDealing(root *trust.Root, id string, data []byte, at time.Time) error {
	info, err := officer.InspectDealing(root, data, at)
	if err != nil {
		return err
	}
	if info.Dealer != id {
		return fmt.Errorf("%w: the dealing of %s", officer.ErrForeign, info.Dealer)
	}
	var to []string
	for _, c := range info.Officers {
		to = append(to, c.ID)
	}
	if info.Group != p.Group || info.Threshold != p.Threshold || !slices.Equal(to, slices.Sorted(slices.Values(p.Supervisors))) {
		return fmt.Errorf("%w: for another group, threshold or supervisors than planned", officer.ErrDealing)
	}
	return nil
}

// takeUp takes up the transcript, once, when there is something to do.
func (s *sitting) takeUp() error {
	if s.resumed {
		return nil
	}
	s.resumed = true
	_, err := s.resume()
	return err
}

// receive notes the others' files. One that was noted before must be the same
// file: what was dealt to, or combined, is not exchanged afterwards.
func (s *sitting) receive(parcels []parcel) error {
	noted := make(map[string]transcript.Hash)
	if s.w != nil {
		before, err := transcript.All[transcript.Received](s.w.Transcript(), transcript.EventReceived)
		if err != nil {
			return err
		}
		for _, r := range before {
			noted[r.Path] = r.SHA256
		}
	}
	for _, f := range parcels {
		sum := transcript.Hash(sha256.Sum256(f.data))
		before, ok := noted[f.path]
		switch {
		case ok && before != sum:
			return fmt.Errorf("%w: %s is another file than the one that was taken in", ErrInput, f.path)
		case ok:
			continue
		}
		if err := s.record(transcript.EventReceived, transcript.Received{From: f.from, Path: f.path, SHA256: sum}); err != nil {
			return err
		}
	}
	return nil
}

// deal makes this supervisor's dealing, to the cards that are noted.
func (s *sitting) deal(cards []parcel) error {
	// A share that is there would stand in the way at the end.
	if _, err := s.o.Share(s.p.Group); !errors.Is(err, fs.ErrNotExist) {
		return cmp.Or(err, fmt.Errorf("%s's share for %s %w", s.o.ID, s.p.Group, paper.ErrExists))
	}
	if err := first(s.takeUp(), s.receive(cards)); err != nil {
		return err
	}
	var files [][]byte
	for _, c := range cards {
		files = append(files, c.data)
	}
	_, err := s.output(fieldDealing, func() ([]byte, error) {
		return s.o.Deal(s.root, s.p.Group, s.p.Threshold, files, s.at)
	})
	return err
}

// combine makes the share, signs what all dealings come to, and closes the
// transcript.
func (s *sitting) combine(dealings []parcel) error {
	if err := first(s.takeUp(), s.receive(dealings)); err != nil {
		return err
	}
	var files [][]byte
	for _, d := range dealings {
		files = append(files, d.data)
	}
	keys, err := s.keys(files)
	if err != nil {
		return err
	}
	payload, err := keys.Marshal()
	if err != nil {
		return err
	}
	if err := s.step("combined"); err != nil {
		return err
	}
	doc, err := s.output(fieldDocument, func() ([]byte, error) { return s.o.Sign(s.root, payload, s.at) })
	if err != nil {
		return err
	}
	if err := s.signed(doc, payload); err != nil {
		return err
	}
	if err := paper.Place(s.plan.path(s.p.document(s.p.me)), sha256.Sum256(doc)); err != nil {
		return err
	}
	if err := s.step("placed"); err != nil {
		return err
	}
	if err := s.o.Close(s.root, s.w, s.at); err != nil {
		return err
	}
	return first(s.step("closed"), s.done(doc), s.hand(filepath.Base(s.p.transcript()), s.plan.TranscriptPath()))
}

// signed demands that a document is this supervisor's, of these keys: one that
// was left before an interruption may be anybody's.
func (s *sitting) signed(doc, payload []byte) error {
	read, err := s.root.Verify(doc, trust.TypSupervision, trust.RoleSupervisor, s.at)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrClaim, fieldDocument, err)
	}
	if read.Signer.ID != s.p.me || !bytes.Equal(read.Payload, payload) {
		return fmt.Errorf("%w: %s: by %s, or of other keys than the dealings come to", ErrClaim, fieldDocument, read.Signer)
	}
	return nil
}

// keys combines the dealings. After an interruption the share may be there
// already; Sign then holds it against these dealings.
func (s *sitting) keys(dealings [][]byte) (*groupdoc.Supervision, error) {
	_, err := s.o.Share(s.p.Group)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.o.Combine(s.root, s.p.Group, dealings, s.at)
	case err != nil:
		return nil, err
	}
	return officer.Outcome(s.root, s.p.Group, dealings, s.at)
}

func (s *sitting) settled(field string) ([]byte, error) {
	path := s.plan.product(field).path
	return settled(s.plan.path(path), s.outputs[path])
}

// done tells of the document, and puts it out for the others.
func (s *sitting) done(doc []byte) error {
	signed, err := s.root.Verify(doc, trust.TypSupervision, trust.RoleSupervisor, s.at)
	if err != nil {
		return err
	}
	s.turn.Done, s.turn.For = true, ""
	s.turn.Document, s.turn.Transcript = s.plan.path(s.p.document(s.p.me)), s.plan.TranscriptPath()
	s.turn.Keys = fmt.Sprintf("%x", signed.Digest)
	return s.put(filepath.Join(s.p.Exchange, filepath.Base(s.p.document(s.p.me))), doc)
}

// publish puts a file of this supervisor out for the others.
func (s *sitting) publish(kind string, data []byte) error {
	return s.put(s.p.exchanged(kind, s.p.me), data)
}

// hand puts a copy of a file out.
func (s *sitting) hand(name, from string) error {
	data, err := paper.Read(from, transcript.MaxSize)
	if err != nil {
		return err
	}
	return s.put(filepath.Join(s.p.Exchange, name), data)
}

// put writes a file for the others, unless it is there. One in its place that
// this supervisor did not make is ErrInput: somebody else may have been given
// that one.
func (s *sitting) put(path string, data []byte) error {
	there, err := paper.Read(s.plan.path(path), transcript.MaxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.turn.Written = append(s.turn.Written, s.plan.path(path))
		return paper.Write(s.plan.path(path), data, paper.Public)
	case err != nil:
		return err
	case !bytes.Equal(there, data):
		return fmt.Errorf("%w: %s is not what %s made", ErrInput, path, s.p.me)
	}
	return nil
}
