package ceremony

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

// closedBy: the closing signature, and that it is of the party whose ceremony
// this is. Nobody else's word would do, though the root knows him.
func (c *check) closedBy() (string, error) {
	by, err := c.t.VerifyClose(c.Root)
	if err != nil {
		return "", err
	}
	closed, err := transcript.All[transcript.Closed](c.t, transcript.EventClosed)
	if err != nil {
		return "", err
	}
	c.by, c.chain, c.report.By = by, closed[0].Chain, by.URN()
	if want := c.plan.body.answers(); !slices.Contains(want, by) {
		return "", fmt.Errorf("%w: closed by %s, not by %s", trust.ErrRole, by, want[0])
	}
	return fmt.Sprintf("%s, %s", by, c.report.Closed.Format(instantLayout)), nil
}

// digest: what was approved is this plan, and these inputs are all that it
// names.
func (c *check) digest() (string, error) {
	if string(c.plan.Kind) != c.opened.Ceremony {
		return "", fmt.Errorf("%w: opened as %q, and the plan is for %q", ErrPlan, c.opened.Ceremony, c.plan.Kind)
	}
	want := inputsOf(c.plan.body)
	same := slices.EqualFunc(want, c.opened.Inputs, func(a input, b transcript.Input) bool { return a.field == b.Field && a.path == b.Path })
	if !same {
		return "", fmt.Errorf("%w: the inputs are not those that the plan names", ErrPlan)
	}
	if transcript.PlanDigest([]byte(c.opened.Plan), c.opened.Inputs) != c.opened.Digest {
		return "", fmt.Errorf("%w: another plan or other inputs", ErrPlan)
	}
	return approval.Hex(c.opened.Digest), nil
}

// roster reads the roster in the transcript, which must be the file that the
// plan names.
func (c *check) roster() (*approval.Roster, error) {
	sum := transcript.Hash(sha256.Sum256([]byte(c.opened.Roster)))
	if in := c.opened.Inputs; len(in) == 0 || in[0].Field != "officers" || in[0].SHA256 != sum {
		return nil, fmt.Errorf("%w: the roster is not the plan's", approval.ErrRoster)
	}
	return approval.ParseRoster([]byte(c.opened.Roster))
}

// approvals: the quorum of the plan's roster, and where officers changed with
// this ceremony, that of the roster before.
func (c *check) approvals() (string, error) {
	own, err := c.roster()
	if err != nil {
		return "", err
	}
	rosters := []*approval.Roster{own}
	if c.opened.Former != "" {
		former, err := approval.ParseRoster([]byte(c.opened.Former))
		if err != nil {
			return "", fmt.Errorf("the officers before: %w", err)
		}
		rosters = append(rosters, former)
	}
	var files [][]byte
	for _, text := range c.opened.Approvals {
		files = append(files, []byte(text))
	}
	c.report.Approved, err = approval.Verify(rosters, files, c.opened.Ceremony, c.opened.Digest)
	if err != nil {
		return "", err
	}
	if err := first(timely(files, c.began), recent(files, c.began)); err != nil {
		return "", err
	}
	var names []string
	for _, a := range c.report.Approved {
		names = append(names, a.Officer)
	}
	return fmt.Sprintf("%s; %d of %d needed", strings.Join(names, ", "), own.Threshold, len(own.Officers)), nil
}

// pinned: the transcript's roster is the reader's. Without this, whoever ran
// the ceremony chose the officers.
func (c *check) pinned() (string, error) {
	if c.Roster == nil {
		return "", fmt.Errorf("no roster from elsewhere is %w: the one in the transcript was believed", errNotAtHand)
	}
	own, err := c.roster()
	if err != nil {
		return "", err
	}
	if own.Digest() != c.Roster.Digest() {
		return "", fmt.Errorf("%w: another roster than the one that is pinned", approval.ErrRoster)
	}
	return approval.Hex(own.Digest())[:19] + " …", nil
}

// root: what the plan was approved under is the root that the reader pins. It
// is the same if it is the same file, or another file with that certificate.
func (c *check) root() (string, error) {
	i := slices.IndexFunc(c.opened.Inputs, func(in transcript.Input) bool { return in.Field == "root" || in.Field == "root.certificate" })
	if i < 0 {
		return "", fmt.Errorf("%w: no root is an input", ErrInput)
	}
	pinned := c.Root.Certificate()
	if in := c.opened.Inputs[i]; transcript.Hash(sha256.Sum256(encodePEM(pinned.Raw))) != in.SHA256 {
		data, err := c.input(in.Field)
		if err != nil {
			return "", err
		}
		root, err := trust.ParseRoot(data)
		if err != nil {
			return "", err
		}
		if !root.Certificate().Equal(pinned) {
			return "", fmt.Errorf("%w: not the root that is pinned", trust.ErrChain)
		}
	}
	return describeCert(pinned), nil
}

// follows: the transcript before is the one that is named, was closed before
// this one was opened, and the officers changed with the old ones' consent.
func (c *check) follows() (string, error) {
	if c.plan.body.base().Follows == "" {
		return "", fmt.Errorf("the ceremony before is %w: the plan names none, and only the officers that it names itself approved", errNotAtHand)
	}
	if c.opened.Follows == nil {
		return "", fmt.Errorf("%w: it does not say which", ErrInput)
	}
	data, err := c.input("follows")
	if err != nil {
		return "", err
	}
	t, err := transcript.Read(data)
	if err != nil {
		return "", err
	}
	before, err := t.Opened()
	if err != nil {
		return "", err
	}
	if t.Head() != *c.opened.Follows {
		return "", fmt.Errorf("%w: it names another transcript", ErrInput)
	}
	if err := word(c.Root, t); err != nil {
		return "", err
	}
	if ended := t.Entries[len(t.Entries)-1].At; ended.After(c.began) {
		return "", fmt.Errorf("%w: that one ended at %s", ErrClock, ended.Format(instantLayout))
	}
	return before.Ceremony + ", " + approval.Hex(t.Head())[:9] + " …", c.succeeds(before.Roster)
}

// succeeds demands that a roster that is not the one before was approved by
// that one too.
func (c *check) succeeds(before transcript.Text) error {
	own, err := c.roster()
	if err != nil {
		return err
	}
	old, err := approval.ParseRoster([]byte(before))
	if err != nil {
		return err
	}
	if own.Digest() == old.Digest() {
		return nil
	}
	if c.opened.Former == "" {
		return fmt.Errorf("%w: the officers changed, and those before were not asked", approval.ErrQuorum)
	}
	former, err := approval.ParseRoster([]byte(c.opened.Former))
	if err != nil {
		return err
	}
	if former.Digest() != old.Digest() {
		return fmt.Errorf("%w: those who were asked are not the officers before", approval.ErrRoster)
	}
	return nil
}

// hardware goes through the claims of every ceremony that touches tokens.
func (c *check) hardware() {
	c.claim("it was rehearsed before it was done", c.rehearsed)
	c.claim("the tokens are those of the plan", c.tokens)
	c.claim("the keys that were made are those of the plan", c.made)
	for _, p := range c.plan.body.outputs() {
		c.claim(fmt.Sprintf("output %s is the file that was made", p.field), func() (string, error) { return c.output(p) })
	}
	c.claim("nothing else came out", c.nothingElse)
}

// rehearsed: a rehearsal that went well stands before anything that can't be
// taken back.
func (c *check) rehearsed() (string, error) {
	for i := range c.t.Entries {
		e := &c.t.Entries[i]
		switch e.Event {
		case transcript.EventRehearsed:
			var r transcript.Rehearsed
			if err := e.Decode(&r); err != nil {
				return "", err
			}
			if !r.OK {
				return "", fmt.Errorf("%w: it went wrong", ErrUnrehearsed)
			}
			return fmt.Sprintf("%d keys", r.Keys), nil
		case transcript.EventGenerating, transcript.EventKey, transcript.EventOutput, transcript.EventErasing, transcript.EventDestroyed:
			return "", fmt.Errorf("%w: entry %d (%s) comes before it", ErrUnrehearsed, e.Seq, e.Event)
		}
	}
	return "", fmt.Errorf("%w: there was none", ErrUnrehearsed)
}

// tokens: every token of the plan was opened, no other, and each time it was
// the one of the planned serial number, maker and model, where the plan names
// them.
func (c *check) tokens() (string, error) {
	opened, err := transcript.All[transcript.Token](c.t, transcript.EventToken)
	if err != nil {
		return "", err
	}
	var seen []string
	for _, n := range c.plan.body.tokens() {
		if !slices.ContainsFunc(opened, func(t transcript.Token) bool { return t.Label == n.uri.Token }) {
			return "", fmt.Errorf("%w: token %q was never opened", ErrKey, n.uri.Token)
		}
		other := func(planned, found string) bool { return planned != "" && planned != found }
		for _, t := range opened {
			if t.Label == n.uri.Token && (other(n.uri.Serial, t.Serial) || other(n.uri.Manufacturer, t.Manufacturer) || other(n.uri.Model, t.Model)) {
				return "", fmt.Errorf("%w: token %q is %s %s, serial %s, against the plan", ErrKey, t.Label, t.Manufacturer, t.Model, t.Serial)
			}
		}
	}
	for _, t := range opened {
		if !slices.ContainsFunc(c.plan.body.tokens(), func(n named) bool { return n.uri.Token == t.Label }) {
			return "", fmt.Errorf("%w: token %q is not in the plan", ErrKey, t.Label)
		}
		text := strings.TrimSpace(fmt.Sprintf("%s (%s %s, serial %s, firmware %s)", t.Label, t.Manufacturer, t.Model, t.Serial, t.Firmware))
		if !slices.Contains(seen, text) {
			seen = append(seen, text)
		}
	}
	return strings.Join(seen, "; "), nil
}

// made: every planned key was made once, audited and tried, and is the kind
// of key that was planned; no other was made.
func (c *check) made() (string, error) {
	missing, err := c.planned()
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%w: %s was not made", ErrKey, keyName(missing[0].uri.Token, missing[0].uri.Object))
	}
	return fmt.Sprintf("%d keys, each audited and tried", len(c.keys)), err
}

// planned takes in the keys that were made, each of which was planned, and
// returns those that were planned and not made.
func (c *check) planned() ([]newKey, error) {
	all, err := transcript.All[transcript.Key](c.t, transcript.EventKey)
	if err != nil {
		return nil, err
	}
	planned := slices.Clone(c.plan.body.made())
	for _, k := range all {
		if !k.Made {
			continue
		}
		if err := checkKey(k); err != nil {
			return nil, fmt.Errorf("%s: %w", keyName(k.Token, k.Label), err)
		}
		i := slices.IndexFunc(planned, func(p newKey) bool { return p.uri.Token == k.Token && p.uri.Object == k.Label && p.kind == k.Kind })
		if i < 0 {
			return nil, fmt.Errorf("%w: %s, %s, is not in the plan", ErrKey, keyName(k.Token, k.Label), k.Kind)
		}
		planned = slices.Delete(planned, i, i+1)
		c.keys = append(c.keys, k)
	}
	return planned, nil
}

// checkKey demands that an entry about a key agrees with itself.
func checkKey(k transcript.Key) error {
	if !k.Audited || !k.SelfTest {
		return fmt.Errorf("%w: not audited, or not tried", ErrKey)
	}
	id, kind := "", ""
	switch {
	case strings.HasPrefix(k.Kind, "RSA "):
		pub, err := coin.ParseKey(k.SPKI)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrKey, err)
		}
		kid, err := coin.NewKeyID(pub)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrKey, err)
		}
		id, kind = kid.String(), rsaKind(pub.N.BitLen())
	case strings.HasPrefix(k.Kind, "EC "):
		pub, err := x509.ParsePKIXPublicKey(k.SPKI)
		ec, ok := pub.(*ecdsa.PublicKey)
		if err != nil || !ok {
			return fmt.Errorf("%w: not the public key of a signing key", ErrKey)
		}
		sum := sha256.Sum256(k.SPKI)
		id, kind = hex.EncodeToString(sum[:]), "EC "+ec.Curve.Params().Name
	case len(k.SPKI) == 0:
		kind = kindAES
	}
	if id != k.ID || kind != k.Kind {
		return fmt.Errorf("%w: its id or kind is not that of its public key", ErrKey)
	}
	return nil
}

// key is the entry about a key that was made.
func (c *check) key(token, label string) (*transcript.Key, error) {
	for i := range c.keys {
		if k := &c.keys[i]; k.Token == token && k.Label == label {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%w: %s was not made", ErrKey, keyName(token, label))
}

// output: a planned output stands in the transcript once, and the file is
// that one. A secret file may have stayed where it was made.
func (c *check) output(p product) (string, error) {
	all, err := transcript.All[transcript.Output](c.t, transcript.EventOutput)
	if err != nil {
		return "", err
	}
	all = slices.DeleteFunc(all, func(o transcript.Output) bool { return o.Path != p.path })
	if len(all) != 1 || all[0].Secret != p.secret {
		return "", fmt.Errorf("%w: output %s does not stand in the transcript once, as planned", ErrInput, p.field)
	}
	data, err := c.file(p.path, all[0].SHA256, maxOutput)
	if errors.Is(err, errNotAtHand) && !p.secret {
		return "", fmt.Errorf("%w: %s is missing", ErrInput, p.path)
	}
	if err != nil {
		return "", err
	}
	c.outputs[p.field] = data
	return fmt.Sprintf("%s, SHA-256 %s …", p.path, approval.Hex(all[0].SHA256)[:19]), nil
}

// nothingElse: no output stands in the transcript that the plan does not name.
func (c *check) nothingElse() (string, error) {
	all, err := transcript.All[transcript.Output](c.t, transcript.EventOutput)
	if err != nil {
		return "", err
	}
	for _, o := range all {
		if !slices.ContainsFunc(c.plan.body.outputs(), func(p product) bool { return p.path == o.Path }) {
			return "", fmt.Errorf("%w: %s is not in the plan", ErrInput, o.Path)
		}
	}
	return "", nil
}
