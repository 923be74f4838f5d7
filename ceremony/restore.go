package ceremony

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/ceremony/transcript"
)

// restorePlan looks at a token that was put back from its maker's backup:
// every key that the ceremonies made in it must be there, with the right
// attributes, and be that key. Nothing is made.
type restorePlan struct {
	common `yaml:",inline"`
	Bank   string `yaml:"bank"`
	Token  uri    `yaml:"token"`
	// MadeBy are the transcripts of the ceremonies that made keys in the
	// token; one that was abandoned too, if it left keys.
	MadeBy []string `yaml:"made_by"`
	// Missing are the labels of exactly those keys that are not there.
	Missing []string  `yaml:"missing,omitempty"`
	Root    string    `yaml:"root"`
	Master  authority `yaml:"master"`
	Output  struct {
		record `yaml:",inline"`
	} `yaml:"output"`
}

func (p *restorePlan) validate() error {
	if err := first(checkID("bank", p.Bank), p.Token.checkToken("token"), p.Master.validate("master")); err != nil {
		return err
	}
	if len(p.MadeBy) == 0 {
		return fmt.Errorf("%w: made_by: no transcript says which keys were in the token", ErrPlan)
	}
	for i, label := range p.Missing {
		if err := checkLabel("missing", label); err != nil {
			return err
		}
		if slices.Contains(p.Missing[:i], label) {
			return fmt.Errorf("%w: missing: %s stands twice", ErrPlan, label)
		}
	}
	return nil
}

func (p *restorePlan) transcript() string { return p.Output.Transcript }

func (p *restorePlan) inputs() []input {
	in := []input{{"root", p.Root, maxCertificate}, p.Master.input("master")}
	for i, path := range p.MadeBy {
		in = append(in, input{madeBy(i), path, transcript.MaxSize})
	}
	return in
}

func madeBy(i int) string { return fmt.Sprintf("made_by.%d", i+1) }

func (p *restorePlan) outputs() []product { return nil }
func (p *restorePlan) made() []newKey     { return nil }
func (p *restorePlan) tokens() []named {
	return []named{p.Master.named("master"), {"token", p.Token}}
}

// stocklist is what should be on a token.
type stocklist struct {
	keys    []transcript.Key
	missing []string // labels of those that are known not to be there
	// unsigned are the labels of keys that only the transcript of an abandoned
	// ceremony speaks of: nobody signed it.
	unsigned []string
}

func (p *restorePlan) prepare(d *desk) (act, error) {
	master, err := p.Master.asMaster(d, p.Bank)
	if err != nil {
		return nil, err
	}
	list := &stocklist{missing: p.Missing}
	for i := range p.MadeBy {
		t, err := d.record(madeBy(i), master.root)
		if err != nil && !errors.Is(err, transcript.ErrAbandoned) {
			return nil, err
		}
		if err := list.add(t, p.Token.Token); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInput, madeBy(i), err)
		}
	}
	if len(list.keys) == 0 {
		return nil, fmt.Errorf("%w: made_by: none of them made a key in token %q", ErrInput, p.Token.Token)
	}
	for _, label := range p.Missing {
		if !slices.ContainsFunc(list.keys, func(k transcript.Key) bool { return k.Label == label }) {
			return nil, fmt.Errorf("%w: missing: no ceremony made %s", ErrPlan, keyName(p.Token.Token, label))
		}
	}
	return func(ctx context.Context, b *bench) (*signatory, error) {
		s, err := b.signatory(ctx, master)
		if err != nil {
			return nil, err
		}
		return s, b.inspect(ctx, p.Token.URI, list)
	}, nil
}

// add takes the keys that a ceremony made in a token.
func (l *stocklist) add(t *transcript.Transcript, token string) error {
	keys, err := transcript.All[transcript.Key](t, transcript.EventKey)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Token != token || !k.Made {
			continue
		}
		if slices.ContainsFunc(l.keys, func(o transcript.Key) bool { return o.Label == k.Label }) {
			return fmt.Errorf("two transcripts made %s", keyName(token, k.Label))
		}
		l.keys = append(l.keys, k)
		if last := t.Entries[len(t.Entries)-1]; last.Event != transcript.EventClosed {
			l.unsigned = append(l.unsigned, k.Label)
		}
	}
	slices.SortFunc(l.keys, func(a, b transcript.Key) int { return cmp.Compare(a.Label, b.Label) })
	return nil
}
