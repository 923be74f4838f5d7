package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
)

// planView shows what a plan would do, and what its officers approve.
type planView struct {
	*ceremony.Table
	Digest  string   `json:"digest"`
	Words   []string `json:"words"`
	Outputs []string `json:"outputs"`
}

func newPlanView(plan *ceremony.Plan, at time.Time) (*planView, error) {
	digest, err := plan.Digest()
	if err != nil {
		return nil, err
	}
	return &planView{
		Table: plan.Table(at), Digest: hexDigest(digest), Words: approval.Words(digest),
		Outputs: append(plan.Outputs(), plan.TranscriptPath()),
	}, nil
}

func (v *planView) text(w io.Writer) {
	fmt.Fprintf(w, "plan for ceremony %s; nothing is done yet\n", v.Ceremony)
	last := ""
	for _, r := range v.Rows {
		part := r.Part
		if part == last {
			part = ""
		}
		last = r.Part
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", part, clean(r.Name), clean(r.Value), clean(r.Effect))
	}
	for _, text := range v.Warnings {
		fmt.Fprintf(w, "  look at this: %s\n", clean(text))
	}
	fmt.Fprintf(w, "digest, as hex and as words to read aloud:\n  %s\n", groups(v.Digest))
	for i := 0; i < len(v.Words); i += 8 {
		fmt.Fprintf(w, "  %s\n", strings.Join(v.Words[i:i+8], " "))
	}
}
