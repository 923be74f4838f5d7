package ceremony

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
)

func (p *platformPlan) describe(t *Table) {
	t.authority("manager", &p.Manager)
	key := keyName(p.Key.Token, p.Key.Object)
	if p.Previous != "" {
		t.row("authority", "policy key", key, "signs; must be the key of "+p.Previous)
	} else {
		t.warn("with its first platform file a group begins: members who enrolled without one have keys of another make")
	}
	blank := make(map[[32]byte]bool)
	for n := 1; n <= 24; n++ {
		blank[sha256.Sum256(make([]byte, 32*n))] = true
	}
	for i := range p.Policies {
		s := &p.Policies[i]
		t.row("state", s.Name, fmt.Sprintf("PCRs %s, digest %s", numbers(s.PCRs), s.Digest), "members' TPMs sign in this state, for as long as the policy key counts")
		if policy, err := s.policy(); err == nil && blank[policy.Digest] {
			t.warn("state %q: no register was ever extended: a machine that measures nothing would be in it", s.Name)
		}
		if slices.Contains(s.PCRs, 16) || slices.Contains(s.PCRs, 23) {
			t.warn("state %q: any program can reset PCRs 16 and 23: they say nothing", s.Name)
		}
		if !slices.Contains(s.PCRs, 7) {
			t.warn("state %q: without PCR 7 it says nothing of Secure Boot", s.Name)
		}
	}
	for _, name := range p.Withdraw {
		t.row("state", name, "in "+p.Previous, "not published any more")
	}
	if len(p.Withdraw) > 0 {
		t.warn("who kept the file with a state that is withdrawn can go on using it: a TPM forgets no signature. Only a new policy key ends it, and with it everybody enrols anew")
	}
	p.foresee(t)
}

// foresee says what can't be planned after the previous file.
func (p *platformPlan) foresee(t *Table) {
	if p.Previous == "" || t.desk == nil {
		return
	}
	previous, err := p.before(t.desk.read)
	if err != nil {
		t.warn("%v", err)
		return
	}
	states, err := p.planned(previous)
	if err != nil {
		t.warn("%v", err)
		return
	}
	for _, s := range states {
		if s.Signature != nil {
			t.row("state", s.Name, fmt.Sprintf("PCRs %s, digest %x", numbers(s.PCRs), s.Digest), "stays, from "+p.Previous)
		}
	}
	if len(states) == 0 {
		t.warn("no state is left: nobody in the group can sign")
	}
}

func numbers(list []int) string { return strings.Trim(fmt.Sprint(list), "[]") }

func (p *platformPlan) verify(c *check) {
	c.hardware()
	var got *groupdoc.Platform
	c.look("platform", "every state in platform was signed by the policy key", func(data []byte) (string, error) {
		read, err := readPlatform(data)
		if err != nil {
			return "", err
		}
		got = read
		return fmt.Sprintf("%d states", len(read.Policies)), nil
	})
	c.look("platform", "the policy key is the one of the plan", func([]byte) (string, error) {
		if got == nil {
			return "", fmt.Errorf("%w: policy key", ErrKey)
		}
		return p.verifyKey(c, got)
	})
	c.look("platform", "the states are those before and those of the plan", func([]byte) (string, error) {
		if got == nil {
			return "", fmt.Errorf("%w: states", ErrInput)
		}
		return "", p.verifyStates(c, got)
	})
}

// verifyKey: the key is the one that was made, or that of the previous file.
func (p *platformPlan) verifyKey(c *check, got *groupdoc.Platform) (string, error) {
	pub, err := attest.ParsePolicyKey(got.Key)
	if err != nil {
		return "", err
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("%w: policy key: %w", ErrKey, err)
	}
	sum := sha256.Sum256(spki)
	detail := fmt.Sprintf("key %x …", sum[:8])
	if p.Previous == "" {
		made, err := c.key(p.Key.Token, p.Key.Object)
		if err != nil {
			return "", err
		}
		if string(made.SPKI) != string(spki) {
			return "", fmt.Errorf("%w: another policy key than %s", ErrKey, keyName(p.Key.Token, p.Key.Object))
		}
		return detail, nil
	}
	previous, err := p.before(c.input)
	if err != nil {
		return "", err
	}
	if string(previous.Key) != string(got.Key) {
		return "", fmt.Errorf("%w: another policy key than that of %s", ErrKey, p.Previous)
	}
	return detail, nil
}

func (p *platformPlan) verifyStates(c *check, got *groupdoc.Platform) error {
	previous, err := p.before(c.input)
	if err != nil {
		return err
	}
	want, err := p.planned(previous)
	if err != nil {
		return err
	}
	same := slices.EqualFunc(want, got.Policies, func(a, b groupdoc.PlatformPolicy) bool {
		kept := a.Signature == nil || string(a.Signature) == string(b.Signature)
		return a.Name == b.Name && a.Digest == b.Digest && slices.Equal(a.PCRs, b.PCRs) && slices.Equal(a.Values, b.Values) && kept
	})
	if !same {
		return fmt.Errorf("%w: other states than the plan's", ErrInput)
	}
	return nil
}
