package ceremony_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// The digests of the plans below are those of nothing.
const (
	digestA = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
	digestB = "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"
	digestC = "c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3"

	platformText = `
ceremony: platform
group: TESTGROUP
key: KEY(manager/platform)
policies:
  - {name: Debian 12, pcrs: [0, 2, 4, 7], digest: ` + digestA + `}
  - {name: Windows 11, pcrs: [7], digest: ` + digestB + `}
root: root.pem
manager: {key: KEY(manager/documents), certificate: group.pem}
output: {platform: platform-1.json, transcript: platform-1.log}
`
	updateText = `
ceremony: platform
group: TESTGROUP
key: KEY(manager/platform)
previous: platform-1.json
policies:
  - {name: Debian 13, pcrs: [0, 2, 4, 7], digest: ` + digestC + `}
withdraw: [Windows 11]
root: root.pem
manager: {key: KEY(manager/documents), certificate: group.pem}
output: {platform: platform-2.json, transcript: platform-2.log}
`
)

func (w *town) platform(t *testing.T, name string) *groupdoc.Platform {
	t.Helper()
	p := must(groupdoc.ParsePlatform(w.file(t, name)))(t)
	if err := attest.CheckPlatform(p); err != nil {
		t.Fatal(err)
	}
	return p
}

func states(p *groupdoc.Platform) string {
	var out []string
	for _, s := range p.Policies {
		out = append(out, fmt.Sprintf("%s %v %.2x", s.Name, s.PCRs, s.Digest))
	}
	return strings.Join(out, "; ")
}

func TestPlatformsAreApproved(t *testing.T) {
	w := newTown(t, "root", "manager", "other")
	w.mustRun(t, rootText)
	w.mustRun(t, groupText)
	edit := func(text string, pairs ...string) string { return change(t, text, pairs...) }
	w.refuse(t, []edited{
		{"for another group than the manager's", edit(platformText, "TESTGROUP", "OTHERGROUP"), trust.ErrRole},
		{"under the bank's certificate", edit(platformText, "certificate: group.pem", "certificate: root.pem"), trust.ErrRole},
		{"under a label that is taken", edit(platformText, "KEY(manager/platform)", "KEY(manager/seal)"), hsm.ErrDuplicateLabel},
	})

	r := w.mustRun(t, platformText)
	first := w.platform(t, "platform-1.json")
	if got, want := states(first), "Debian 12 [0 2 4 7] a1a1; Windows 11 [7] b2b2"; got != want {
		t.Fatalf("states %s, want %s", got, want)
	}
	if len(r.Keys) != 1 || r.Keys[0].Kind != "EC P-256" || r.Keys[0].Label != "platform" {
		t.Errorf("keys %+v", r.Keys)
	}
	if by := must(w.log(t, "platform-1.log").VerifyClose(w.root(t)))(t); by != (trust.Name{Role: trust.RoleGroup, ID: "TESTGROUP"}) {
		t.Errorf("closed by %s", by)
	}

	w.write(t, "strange.json", strings.Replace(string(w.file(t, "platform-1.json")), "Debian 12", "Debian 11", 1))
	altered := must(groupdoc.ParsePlatform(w.file(t, "platform-1.json")))(t)
	altered.Policies[0].PCRs = []int{7}
	w.write(t, "altered.json", string(must(altered.Marshal())(t)))
	w.withToken(t, "other", func(tok *hsm.Token) { must(tok.GenerateECDSA(t.Context(), "platform", elliptic.P256()))(t) })
	w.refuse(t, []edited{
		{"a state that was not signed as it stands", edit(updateText, "platform-1.json", "altered.json"), attest.ErrPlatform},
		{"no file of states", edit(updateText, "previous: platform-1.json", "previous: officers.yaml"), groupdoc.ErrMalformed},
		{"withdrawn what is not there", edit(updateText, "[Windows 11]", "[Windows 10]"), ceremony.ErrInput},
		{"withdrawn twice", edit(updateText, "[Windows 11]", "[Windows 11, Windows 11]"), ceremony.ErrInput},
		{"a name that is taken", edit(updateText, "Debian 13", "Debian 12"), ceremony.ErrPlan},
		{"a state that is approved already", edit(updateText, digestC, digestA), ceremony.ErrPlan},
		{"a policy key that is not the previous one's", edit(updateText, "KEY(manager/platform)", "KEY(other/platform)"), ceremony.ErrKey},
		{"a policy key that is not there", edit(updateText, "KEY(manager/platform)", "KEY(manager/none)"), hsm.ErrKeyNotFound},
		{"the policy key by another id", edit(updateText, "KEY(manager/platform)", "KEY(manager/platform;id=%00%01%02%03%04%05%06%07%08%09%0a%0b%0c%0d%0e%0f)"), ceremony.ErrKey},
	})

	r = w.mustRun(t, updateText)
	second := w.platform(t, "platform-2.json")
	if got, want := states(second), "Debian 12 [0 2 4 7] a1a1; Debian 13 [0 2 4 7] c3c3"; got != want {
		t.Fatalf("states %s, want %s", got, want)
	}
	if !slices.Equal(second.Key, first.Key) || !slices.Equal(second.Policies[0].Signature, first.Policies[0].Signature) || len(r.Keys) != 0 {
		t.Error("the key, or what it signed before, has changed")
	}
	// What the room left is verified by anybody.
	v := &ceremony.Verifier{Root: w.root(t), Dir: w.dir}
	for _, name := range []string{"platform-1.log", "platform-2.log"} {
		report, err := v.Verify(w.file(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		held := slices.ContainsFunc(report.Claims, func(c ceremony.Claim) bool {
			return c.Claim == "the states are those before and those of the plan" && c.Standing == ceremony.Holds
		})
		if !held {
			t.Errorf("%s: %+v", name, report.Claims)
		}
	}
	// With nothing left and nothing new, a file says that nobody signs.
	w.mustRun(t, edit(updateText, "policies:\n  - {name: Debian 13, pcrs: [0, 2, 4, 7], digest: "+digestC+"}\n", "",
		"platform-1.json", "platform-2.json", "platform: platform-2.json", "platform: platform-3.json", "platform-2.log", "platform-3.log", "[Windows 11]", "[Debian 12, Debian 13]"))
	if p := w.platform(t, "platform-3.json"); len(p.Policies) != 0 {
		t.Errorf("states %s", states(p))
	}
}

func TestAnApprovalThatIsInterruptedIsTakenUp(t *testing.T) {
	w := newTown(t, "root", "manager")
	w.mustRun(t, rootText)
	w.mustRun(t, groupText)
	for _, c := range []struct{ text, output string }{{platformText, "platform-1.json"}, {updateText, "platform-2.json"}} {
		for _, step := range []string{"opened", "staged platform", "placed"} {
			w.runner.Interrupt(func(at string) error {
				if at == step {
					return errCrash
				}
				return nil
			})
			if _, err := w.run(t.Context(), c.text); !errors.Is(err, errCrash) {
				t.Fatalf("%s: %v", step, err)
			}
		}
		w.runner.Interrupt(nil)
		w.mustRun(t, c.text)
		w.platform(t, c.output)
	}
}

func platformRefusals(t testing.TB) []planRefusal {
	edit := func(text string, pairs ...string) string { return change(t, text, pairs...) }
	const one = "  - {name: Windows 11, pcrs: [7], digest: " + digestB + "}\n"
	return []planRefusal{
		{"platforms, as it is", platformText, nil},
		{"an update, as it is", updateText, nil},
		{"nothing but a withdrawal", edit(updateText, "policies:\n  - {name: Debian 13, pcrs: [0, 2, 4, 7], digest: "+digestC+"}\n", ""), nil},
		{"no group", edit(platformText, "group: TESTGROUP\n", ""), ceremony.ErrPlan},
		{"no policy key", edit(platformText, "key: KEY(manager/platform)\n", ""), ceremony.ErrPlan},
		{"the id of a policy key that is not made yet", edit(platformText, "KEY(manager/platform)", "KEY(manager/platform;id=%00)"), ceremony.ErrPlan},
		{"a policy key without a label", edit(updateText, "KEY(manager/platform)", "TOKEN(manager)"), ceremony.ErrPlan},
		{"the manager's key as the policy key", edit(platformText, "KEY(manager/platform)", "KEY(manager/documents)"), ceremony.ErrPlan},
		{"no manager", edit(platformText, "manager: {key: KEY(manager/documents), certificate: group.pem}\n", ""), ceremony.ErrPlan},
		{"no root", edit(platformText, "root: root.pem\n", ""), ceremony.ErrPlan},
		{"no platform file", edit(platformText, "platform: platform-1.json, ", ""), ceremony.ErrPlan},
		{"the new file in the old one's place", edit(updateText, "platform-2.json", "platform-1.json"), ceremony.ErrPlan},
		{"nothing to approve", edit(platformText, one, "", "policies:\n  - {name: Debian 12, pcrs: [0, 2, 4, 7], digest: "+digestA+"}\n", ""), ceremony.ErrPlan},
		{"a withdrawal from nothing", platformText + "withdraw: [Debian 12]\n", ceremony.ErrPlan},
		{"a state without a name", edit(platformText, "name: Debian 12, ", ""), ceremony.ErrPlan},
		{"a name that does not print", edit(platformText, "name: Debian 12", `name: "Debian\e[2J"`), ceremony.ErrPlan},
		{"a name that is too long", edit(platformText, "Debian 12", strings.Repeat("x", 65)), ceremony.ErrPlan},
		{"a name twice", edit(platformText, "Windows 11", "Debian 12"), ceremony.ErrPlan},
		{"a state twice", edit(platformText, one, "  - {name: again, pcrs: [0, 2, 4, 7], digest: "+digestA+"}\n"), ceremony.ErrPlan},
		{"a state without PCRs", edit(platformText, "pcrs: [7]", "pcrs: []"), ceremony.ErrPlan},
		{"PCRs out of order", edit(platformText, "[0, 2, 4, 7]", "[7, 0]"), ceremony.ErrPlan},
		{"a PCR twice", edit(platformText, "[0, 2, 4, 7]", "[7, 7]"), ceremony.ErrPlan},
		{"a PCR that no TPM has", edit(platformText, "[7]", "[24]"), ceremony.ErrPlan},
		{"a PCR below zero", edit(platformText, "[7]", "[-1]"), ceremony.ErrPlan},
		{"no digest", edit(platformText, ", digest: "+digestB, ""), ceremony.ErrPlan},
		{"a short digest", edit(platformText, digestB, digestB[2:]), ceremony.ErrPlan},
		{"a digest that is not hex", edit(platformText, digestB, strings.Repeat("z", 64)), ceremony.ErrPlan},
		{"a signature that was brought along", edit(platformText, digestB+"}", digestB+", signature: AAAA}"), ceremony.ErrPlan},
		{"values as the digest has them", valued(t, blankValue), nil},
		{"values that are not the digest's", valued(t, strings.Repeat("1", 64)), ceremony.ErrPlan},
		{"a value that is not hex", valued(t, strings.Repeat("z", 64)), ceremony.ErrPlan},
		{"a value too many", valued(t, blankValue+", "+blankValue), ceremony.ErrPlan},
		{"65 states", manyStates(t, 65), ceremony.ErrPlan},
		{"64 states", manyStates(t, 64), nil},
	}
}

// SHA-256 over one register of zeros, and that register.
const (
	blank      = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
	blankValue = "0000000000000000000000000000000000000000000000000000000000000000"
)

// valued is a plan that gives the registers of one state.
func valued(t testing.TB, values string) string {
	return change(t, platformText, "digest: "+digestB, "digest: "+blank+", values: ["+values+"]")
}

func manyStates(t testing.TB, n int) string {
	text := ""
	for i := range n {
		text += fmt.Sprintf("  - {name: state %d, pcrs: [7], digest: %064x}\n", i, i+1)
	}
	const old = "  - {name: Debian 12, pcrs: [0, 2, 4, 7], digest: " + digestA + "}\n  - {name: Windows 11, pcrs: [7], digest: " + digestB + "}\n"
	return change(t, platformText, old, text)
}

func TestATableSaysWhatIsApproved(t *testing.T) {
	w := newTown(t, "root", "manager")
	w.mustRun(t, rootText)
	w.mustRun(t, groupText)
	table := must(w.parse(platformText))(t).Table(now)
	if r := find(t, table, "state", "Debian 12"); r.Value != "PCRs 0 2 4 7, digest "+digestA {
		t.Errorf("%+v", r)
	}
	if r := find(t, table, "key", "manager/platform"); r.Value != "EC P-256" {
		t.Errorf("%+v", r)
	}
	if !warned(table, "members who enrolled without one") || warned(table, "PCR 7") || warned(table, "measures nothing") {
		t.Errorf("%q", table.Warnings)
	}
	table = must(w.parse(change(t, platformText, digestB, blank, "[0, 2, 4, 7]", "[0, 2, 4]")))(t).Table(now)
	if !warned(table, `"Windows 11": no register was ever extended`) || !warned(table, `"Debian 12": without PCR 7`) {
		t.Errorf("%q", table.Warnings)
	}
	table = must(w.parse(change(t, platformText, "[7]", "[7, 23]")))(t).Table(now)
	if !warned(table, `"Windows 11": any program can reset PCRs 16 and 23`) || warned(table, `"Debian 12": any`) {
		t.Errorf("%q", table.Warnings)
	}
	w.mustRun(t, platformText)
	table = must(w.parse(updateText))(t).Table(now)
	if r := find(t, table, "state", "Debian 12"); r.Effect != "stays, from platform-1.json" {
		t.Errorf("%+v", r)
	}
	if r := find(t, table, "state", "Windows 11"); r.Effect != "not published any more" || !warned(table, "a TPM forgets no signature") {
		t.Errorf("%+v %q", r, table.Warnings)
	}
	if table = must(w.parse(change(t, updateText, "[Windows 11]", "[Windows 10]")))(t).Table(now); !warned(table, `"Windows 10" is not in the previous file`) {
		t.Errorf("%q", table.Warnings)
	}
	w.write(t, "platform-1.json", "{}")
	if table = must(w.parse(updateText))(t).Table(now); !warned(table, "previous: ") {
		t.Errorf("%q", table.Warnings)
	}
}

// platformOf is what a policy key in software makes of states.
func platformOf(t *testing.T, key *ecdsa.PrivateKey, list ...groupdoc.PlatformPolicy) *groupdoc.Platform {
	t.Helper()
	out := &groupdoc.Platform{Key: must(attest.PolicyKey(&key.PublicKey))(t)}
	for _, s := range list {
		policy := must(attest.PCRPolicyDigest(s.PCRs, s.Digest))(t)
		approved := attest.ApprovedHash(policy)
		r, x, err := ecdsa.Sign(rand.Reader, key, approved[:])
		if err != nil {
			t.Fatal(err)
		}
		s.Signature = make([]byte, 64)
		r.FillBytes(s.Signature[:32])
		x.FillBytes(s.Signature[32:])
		out.Policies = append(out.Policies, s)
	}
	return out
}

func digest(b byte) (d [32]byte) {
	for i := range d {
		d[i] = b
	}
	return d
}

func TestLiesAboutPlatforms(t *testing.T) {
	a := newArchive(t)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	debian := groupdoc.PlatformPolicy{Name: "Debian 12", PCRs: []int{0, 2, 4, 7}, Digest: digest(0xa1)}
	windows := groupdoc.PlatformPolicy{Name: "Windows 11", PCRs: []int{7}, Digest: digest(0xb2)}
	next := groupdoc.PlatformPolicy{Name: "Debian 13", PCRs: []int{0, 2, 4, 7}, Digest: digest(0xc3)}
	text := func(p *groupdoc.Platform) []byte { return must(p.Marshal())(t) }
	before := platformOf(t, key, debian, windows)
	a.write(t, "platform-1.json", string(text(before)))

	first := func(t *testing.T) *story {
		return a.tell(platformText, a.manager, "root", "root.pem", "manager.certificate", "group.pem").key(t, "manager", "platform", key.Public()).
			output("platform-1.json", text(before))
	}
	replace := func(p *groupdoc.Platform) func(*testing.T, *story) {
		return func(_ *testing.T, s *story) { s.replace(s.outputs[0].Path, text(p)) }
	}
	swapped := platformOf(t, key, debian, windows)
	swapped.Policies[0].Signature, swapped.Policies[1].Signature = swapped.Policies[1].Signature, swapped.Policies[0].Signature
	renamed := windows
	renamed.Name = "Windows 10"
	fewer := debian
	fewer.PCRs = []int{7}
	a.expect(t, first, []lie{
		{"another policy key", replace(platformOf(t, a.receipts, debian, windows)), ceremony.ErrKey},
		{"a policy key that was not made", func(_ *testing.T, s *story) { s.keys = nil }, ceremony.ErrKey},
		{"signatures under each other's states", replace(swapped), attest.ErrPlatform},
		{"a state fewer", replace(platformOf(t, key, debian)), ceremony.ErrInput},
		{"a state more", replace(platformOf(t, key, debian, windows, next)), ceremony.ErrInput},
		{"another order", replace(platformOf(t, key, windows, debian)), ceremony.ErrInput},
		{"another name", replace(platformOf(t, key, debian, renamed)), ceremony.ErrInput},
		{"other PCRs", replace(platformOf(t, key, fewer, windows)), ceremony.ErrInput},
		{"another digest", replace(platformOf(t, key, groupdoc.PlatformPolicy{Name: debian.Name, PCRs: debian.PCRs, Digest: digest(1)}, windows)), ceremony.ErrInput},
		{"no platform file", func(_ *testing.T, s *story) { s.replace("platform-1.json", []byte("{}")) }, groupdoc.ErrMalformed},
		{"closed by the root", func(_ *testing.T, s *story) { s.by = a.root }, trust.ErrRole},
	})

	zero := groupdoc.PlatformPolicy{Name: windows.Name, PCRs: windows.PCRs, Digest: sha256.Sum256(make([]byte, 32)), Values: make([][32]byte, 1)}
	withValues := func(t *testing.T) *story {
		return a.tell(valued(t, blankValue), a.manager, "root", "root.pem", "manager.certificate", "group.pem").key(t, "manager", "platform", key.Public()).
			output("platform-1.json", text(platformOf(t, key, debian, zero)))
	}
	bare := zero
	bare.Values = nil
	a.expect(t, withValues, []lie{{"a state without the values that were approved", replace(platformOf(t, key, debian, bare)), ceremony.ErrInput}})

	a.write(t, "platform-1.json", string(text(before)))
	kept := platformOf(t, key, debian, next)
	kept.Policies[0] = before.Policies[0]
	update := func(t *testing.T) *story {
		return a.tell(updateText, a.manager, "root", "root.pem", "manager.certificate", "group.pem", "previous", "platform-1.json").
			output("platform-2.json", text(kept))
	}
	back := platformOf(t, key, debian, windows, next)
	copy(back.Policies, before.Policies)
	a.expect(t, update, []lie{
		{"another policy key than before", replace(platformOf(t, a.receipts, debian, next)), ceremony.ErrKey},
		{"what was withdrawn", replace(back), ceremony.ErrInput},
		{"an old state signed anew", replace(platformOf(t, key, debian, next)), ceremony.ErrInput},
		{"a key made on the way", func(t *testing.T, s *story) { s.key(t, "manager", "platform", key.Public()) }, ceremony.ErrKey},
	})
}
