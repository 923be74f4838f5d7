package main

import (
	"strings"
	"testing"

	"github.com/speciecash/specie/hsm"
)

// A token that lacks this and that: what an operator reads about it.
func TestProbeTellsAnOperatorWhatToDo(t *testing.T) {
	limit := uint64(16)
	lacks := hsm.Finding{Half: "private", Attribute: "CKA_COPYABLE", Finding: hsm.Absent, Must: "false", Is: "absent", Spare: true}
	wrong := hsm.Finding{Half: "private", Attribute: "CKA_LOCAL", Finding: hsm.Different, Must: "true", Is: "false"}
	r := &hsm.Report{
		Token:  hsm.TokenInfo{Label: "new\x1b[1m", Serial: "1"},
		Limits: hsm.Limits{Sessions: &limit, Opened: 8},
		Mechanisms: []hsm.Mechanism{
			{Code: 3, Name: "CKM_RSA_X_509", Min: 1024, Max: 4096, Hardware: true, For: []string{"sign"}},
			{Code: 1, Name: "0x1"},
		},
		Uses: []hsm.Use{
			{Name: "this", Can: true, Attributes: []hsm.Finding{lacks}, Rates: []hsm.Rate{{Sessions: 1, PerSecond: 12.4}, {Sessions: 8, PerSecond: 99.6}}},
			{Name: "that", Why: []string{"it is so"}, Attributes: []hsm.Finding{lacks, wrong}},
		},
		Absent: []string{"CKA_COPYABLE", "CKA_DESTROYABLE"}, Left: 2, Label: "specie-probe-00000000",
	}
	show := func() string {
		var b strings.Builder
		(*probeView)(r).text(&b)
		return strings.Join(strings.Fields(b.String()), " ")
	}
	text := show()
	for _, want := range []string{
		"token new?[1m, serial 1",
		"sessions at most 16; 8 were open at a time",
		"mechanisms 2 in all",
		"CKM_RSA_X_509 1024 to 4096 hardware sign",
		"this yes 12/s by 1 100/s by 8",
		"that no",
		"no that: it is so",
		"CKA_COPYABLE private absent absent a bank can do without",
		"CKA_LOCAL private different false must be true",
		"plans and configurations for this token need: absent: [CKA_COPYABLE, CKA_DESTROYABLE]",
		"left on the token: 2 objects labelled specie-probe-00000000; erase it",
		"probe the token while it is empty with --token-objects",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if strings.Count(text, "CKA_COPYABLE private") != 1 {
		t.Errorf("%q tells one thing twice", text)
	}
	r.SessionObjects, r.Left, r.Absent = true, 0, nil
	if text := show(); strings.Contains(text, "absent: [") || strings.Contains(text, "left on the token") || strings.Contains(text, "--token-objects") {
		t.Errorf("%q gives advice where none is needed", text)
	}
}
