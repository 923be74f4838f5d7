package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
)

// platformView shows the states of machines that a policy key has signed for.
type platformView groupdoc.Platform

// showPlatform shows a file of states, all of whose signatures verify.
func showPlatform(b []byte) (result, error) {
	p, err := groupdoc.ParsePlatform(b)
	if err != nil {
		return nil, err
	}
	if err := attest.CheckPlatform(p); err != nil {
		return nil, err
	}
	return (*platformView)(p), nil
}

type stateView struct {
	Name   string `json:"name"`
	PCRs   []int  `json:"pcrs"`
	Digest string `json:"digest"`
}

func stateViews(p *groupdoc.Platform) []stateView {
	out := []stateView{}
	for _, s := range p.Policies {
		out = append(out, stateView{Name: s.Name, PCRs: s.PCRs, Digest: hex.EncodeToString(s.Digest[:])})
	}
	return out
}

// MarshalJSON implements json.Marshaler.
func (v *platformView) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"policy_key": hexDigest(sha256.Sum256(v.Key)), "policies": stateViews((*groupdoc.Platform)(v))})
}

func (v *platformView) text(w io.Writer) {
	fmt.Fprintf(w, "states that a policy key has signed for: %d\n", len(v.Policies))
	fmt.Fprintf(w, "  policy key\t%s\n", groups(hexDigest(sha256.Sum256(v.Key))))
	for _, s := range stateViews((*groupdoc.Platform)(v)) {
		fmt.Fprintf(w, "  %s\tPCRs %s\t%s\n", clean(s.Name), strings.Trim(fmt.Sprint(s.PCRs), "[]"), s.Digest)
	}
}
