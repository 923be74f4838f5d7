package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
)

// approved is one state that a policy key has signed for.
func approved(t *testing.T) *groupdoc.Platform {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	state := groupdoc.PlatformPolicy{Name: "Debian 12", PCRs: []int{0, 7}, Digest: [32]byte{0xab}, Signature: make([]byte, 64)}
	hash := attest.ApprovedHash(must(attest.PCRPolicyDigest(state.PCRs, state.Digest))(t))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	r.FillBytes(state.Signature[:32])
	s.FillBytes(state.Signature[32:])
	return &groupdoc.Platform{Key: must(attest.PolicyKey(&key.PublicKey))(t), Policies: []groupdoc.PlatformPolicy{state}}
}

func TestPlatformsAreShownOnceVerified(t *testing.T) {
	p := approved(t)
	g := groupdoctest.New(t, showAt, attest.PlatformTemplate(p.Key), [32]byte{})
	g.Contents.Platform = p
	for name, doc := range map[string][]byte{"a platform file": must(p.Marshal())(t), "a group document": g.Sign(t)} {
		r, err := show(g.Root, doc, "", showAt)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var text, out bytes.Buffer
		if r.text(&text); !strings.Contains(text.String(), "Debian 12") {
			t.Errorf("%s is shown as %s", name, text.String())
		}
		a := &app{out: &cli.Out{JSON: true, Stdout: &out}}
		if err := a.print(r); err != nil || !json.Valid(out.Bytes()) || !strings.Contains(out.String(), `"ab00`) {
			t.Errorf("%s as JSON: %s %v", name, out.String(), err)
		}
	}
	p.Policies[0].PCRs = []int{7}
	if _, err := show(nil, must(p.Marshal())(t), "", showAt); !errors.Is(err, attest.ErrPlatform) {
		t.Errorf("a state that was altered: got %v, want ErrPlatform", err)
	}
	if _, err := show(nil, []byte("{\n  \"key\": 1}"), "", showAt); !errors.Is(err, groupdoc.ErrMalformed) {
		t.Errorf("no platform file: got %v, want ErrMalformed", err)
	}
}
