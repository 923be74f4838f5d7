package ceremony

import (
	"slices"

	"github.com/speciecash/specie/ceremony/transcript"
)

// memory is what the transcript said when the run began.
type memory struct {
	rehearsals []transcript.Rehearsed
	keys       map[string]recollection
	inspected  map[string]bool                 // keys by name
	outputs    map[string]transcript.Hash      // by path in the plan
	erasing    map[string]transcript.Destroyed // tokens by label
	destroyed  map[string]bool
}

// remember reads a transcript.
func remember(t *transcript.Transcript) (memory, error) {
	m := memory{
		keys: make(map[string]recollection), inspected: make(map[string]bool),
		outputs: make(map[string]transcript.Hash), erasing: make(map[string]transcript.Destroyed), destroyed: make(map[string]bool),
	}
	for i := range t.Entries {
		if err := m.take(&t.Entries[i]); err != nil {
			return m, err
		}
	}
	return m, nil
}

// wasRehearsed says whether the whole plan went well, with all its keys.
func (m *memory) wasRehearsed(p *Plan) bool {
	whole := transcript.Rehearsed{Keys: len(p.body.made()), OK: true}
	return slices.Contains(m.rehearsals, whole)
}

func (m *memory) take(e *transcript.Entry) error {
	switch e.Event {
	case transcript.EventRehearsed:
		var r transcript.Rehearsed
		if err := e.Decode(&r); err != nil {
			return err
		}
		m.rehearsals = append(m.rehearsals, r)
	case transcript.EventGenerating:
		var g transcript.Generating
		if err := e.Decode(&g); err != nil {
			return err
		}
		m.keys[keyName(g.Token, g.Label)] = recollection{begun: true}
	case transcript.EventKey:
		var k transcript.Key
		if err := e.Decode(&k); err != nil {
			return err
		}
		if name := keyName(k.Token, k.Label); k.Made {
			m.keys[name] = recollection{begun: true, made: &k}
		} else {
			m.inspected[name] = true
		}
	case transcript.EventOutput:
		var o transcript.Output
		if err := e.Decode(&o); err != nil {
			return err
		}
		m.outputs[o.Path] = o.SHA256
	case transcript.EventErasing, transcript.EventDestroyed:
		var d transcript.Destroyed
		if err := e.Decode(&d); err != nil {
			return err
		}
		m.erasing[d.Token] = d
		m.destroyed[d.Token] = e.Event == transcript.EventDestroyed
	}
	return nil
}
