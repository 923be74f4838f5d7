package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/order"
	"github.com/speciecash/specie/ceremony/transcript"
)

// transcriptView shows a transcript, a line for each entry.
type transcriptView struct {
	Head     string           `json:"head"`
	Verified string           `json:"closed_by,omitempty"` // who closed it, if a root was given
	Entries  []transcriptLine `json:"entries"`
}

type transcriptLine struct {
	Seq   uint64           `json:"seq"`
	At    time.Time        `json:"at"`
	Event transcript.Event `json:"event"`
	Text  string           `json:"text"`
	Data  json.RawMessage  `json:"data"`
}

func newTranscriptView(t *transcript.Transcript) (*transcriptView, error) {
	v := &transcriptView{Head: t.Head().String()}
	for i := range t.Entries {
		e := &t.Entries[i]
		text, err := entryText(e)
		if err != nil {
			return nil, err
		}
		v.Entries = append(v.Entries, transcriptLine{e.Seq, e.At, e.Event, text, e.Data})
	}
	return v, nil
}

func (v *transcriptView) text(w io.Writer) {
	for _, e := range v.Entries {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", e.Seq, when(e.At), e.Event, clean(e.Text))
	}
	switch {
	case v.Verified != "":
		fmt.Fprintf(w, "closed and signed by %s\n", v.Verified)
	case v.Entries[len(v.Entries)-1].Event == transcript.EventClosed:
		fmt.Fprintf(w, "not verified\tno --root given; see: specie-ceremony verify\n")
	default:
		fmt.Fprintf(w, "not closed\tnothing of it counts\n")
	}
}

// describe decodes an entry and tells it in one line.
func describe[T any](e *transcript.Entry, tell func(*T) string) (string, error) {
	var data T
	if err := e.Decode(&data); err != nil {
		return "", err
	}
	return tell(&data), nil
}

func entryText(e *transcript.Entry) (string, error) {
	switch e.Event {
	case transcript.EventOpened:
		return describe(e, openedText)
	case transcript.EventRehearsed:
		return describe(e, func(d *transcript.Rehearsed) string {
			return fmt.Sprintf("the whole plan, with %d keys on a throw-away token", d.Keys)
		})
	case transcript.EventToken:
		return describe(e, func(d *transcript.Token) string {
			return fmt.Sprintf("%s, serial %s, %s %s, firmware %s", d.Label, d.Serial, d.Manufacturer, d.Model, d.Firmware)
		})
	case transcript.EventGenerating:
		return describe(e, func(d *transcript.Generating) string { return fmt.Sprintf("%s/%s, %s", d.Token, d.Label, d.Kind) })
	case transcript.EventKey:
		return describe(e, keyText)
	case transcript.EventOutput:
		return describe(e, func(d *transcript.Output) string { return fmt.Sprintf("%s, sha256 %s", d.Path, d.SHA256) })
	case transcript.EventErasing, transcript.EventDestroyed:
		return describe(e, func(d *transcript.Destroyed) string {
			return fmt.Sprintf("%s, serial %s, with %d keys", d.Token, d.Serial, len(d.Keys))
		})
	case transcript.EventResumed:
		return describe(e, func(d *transcript.Resumed) string { return fmt.Sprintf("after entry %d", d.Seq) })
	case transcript.EventAbandoned:
		return describe(e, func(d *transcript.Abandoned) string {
			return strings.TrimSuffix(d.Reason+"; labels taken: "+strings.Join(d.Keys, ", "), "; labels taken: ")
		})
	case transcript.EventClosed:
		return describe(e, func(d *transcript.Closed) string { return "by " + d.By })
	}
	return "", nil
}

func openedText(d *transcript.Opened) string {
	var who []string
	for _, text := range d.Approvals {
		if a, err := approval.Parse([]byte(text)); err == nil {
			who = append(who, a.Officer)
		}
	}
	return fmt.Sprintf("ceremony %s, plan %s, approved by %s", d.Ceremony, d.Digest.String()[:16]+"…", strings.Join(who, ", "))
}

func keyText(d *transcript.Key) string {
	out := fmt.Sprintf("%s/%s, %s", d.Token, d.Label, d.Kind)
	if d.ID != "" {
		out += ", " + d.ID
	}
	if d.Audited && d.SelfTest {
		out += ", audited and tried"
	}
	return out
}

// approvalView shows an officer's approval.
type approvalView approval.Approval

func showApproval(b []byte) (result, error) {
	a, err := approval.Parse(b)
	return (*approvalView)(a), err
}

// MarshalJSON implements json.Marshaler.
func (v *approvalView) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"ceremony": v.Kind, "digest": hexDigest(v.Digest), "officer": v.Officer, "at": v.At,
		"key": (*approval.Approval)(v).Fingerprint(),
	})
}

func (v *approvalView) text(w io.Writer) {
	fmt.Fprintf(w, "%s approves a plan for ceremony %s, %s\n", v.Officer, v.Kind, when(v.At))
	fmt.Fprintf(w, "  digest\t%s\n", approval.Hex(v.Digest))
	fmt.Fprintf(w, "  signed by\t%s; whose key that is, a roster says\n", (*approval.Approval)(v).Fingerprint())
}

// orderView shows an order to trace a member.
type orderView order.Order

// MarshalJSON implements json.Marshaler.
func (v *orderView) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"group": v.Group, "member": v.Member, "case": v.Case, "reason": v.Reason,
		"issued_at": v.IssuedAt, "until": v.Until, "approved_by": v.officers(),
	})
}

func (v *orderView) officers() []string {
	var out []string
	for _, text := range v.Approvals {
		if a, err := approval.Parse(text); err == nil {
			out = append(out, a.Officer)
		}
	}
	return out
}

func (v *orderView) text(w io.Writer) {
	fmt.Fprintf(w, "order to trace member %s of group %s\n", v.Member, v.Group)
	fmt.Fprintf(w, "  case\t%s\n  reason\t%s\n", clean(v.Case), clean(v.Reason))
	fmt.Fprintf(w, "  in force\t%s to %s\n", when(v.IssuedAt), when(v.Until))
	fmt.Fprintf(w, "  approved by\t%s\n", strings.Join(v.officers(), ", "))
}
