package main

import (
	"crypto/sha256"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// approve makes the group manager approve the state that a TPM is in now: its
// name, the TPM's variable, and the registers.
func approve(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3)
	s := sceneOf(ts)
	if s.approver == nil {
		s.approver = s.NewApprover(s.t)
	}
	var pcrs []int
	for _, text := range args[2:] {
		pcrs = append(pcrs, register(ts, text))
	}
	s.approver.Approve(s.t, args[0], ts.Getenv(args[1]), pcrs...)
}

// extend changes a register of a TPM, as an update does at the next start.
func extend(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	s := sceneOf(ts)
	if s.tpms[args[0]] == nil {
		ts.Fatalf("no TPM %q was made here", args[0])
	}
	ts.Check(s.tpms[args[0]].ExtendPCR(s.t.Context(), register(ts, args[1]), sha256.Sum256([]byte("an update"))))
}

func register(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}
