package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/paper"
)

type approveCmd struct {
	Plan      string `arg:"" help:"Plan file (YAML)." type:"existingfile"`
	As        string `required:"" placeholder:"NAME" help:"The officer's name on the roster."`
	Key       string `placeholder:"FILE" type:"existingfile" xor:"how" help:"The officer's private key (OpenSSH or PKCS #8, mode 0600)."`
	Message   string `placeholder:"FILE" type:"path" xor:"how" help:"Write what is to be signed to FILE, or with --signature read it from there."`
	Signature string `placeholder:"FILE" type:"existingfile" help:"What ssh-keygen made of the message."`
	Out       string `placeholder:"FILE" type:"path" help:"Where the approval goes; PLAN.NAME.approval by default."`
	Yes       bool   `help:"Don't ask: the digest was compared before."`
}

// Help is shown below the flags.
func (approveCmd) Help() string {
	return `Shows what the plan would do and its digest, and asks. Compare the words with
the other officers': the same words are the same plan with the same inputs.

Examples:
  specie-ceremony approve 01-root.yaml --as ADAMS --key adams.key

With a key that OpenSSH keeps, in hardware for instance:
  specie-ceremony approve 01-root.yaml --as ADAMS --message adams.txt
  ssh-keygen -Y sign -n specie-ceremony -f ~/.ssh/id_ed25519_sk adams.txt
  specie-ceremony approve 01-root.yaml --as ADAMS --message adams.txt --signature adams.txt.sig`
}

// Run implements the command.
func (c *approveCmd) Run(a *app) error {
	if (c.Key == "") == (c.Message == "") {
		return fmt.Errorf("give either --key or --message")
	}
	plan, err := ceremony.ReadPlan(c.Plan)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	if err := plan.Check(now); err != nil {
		return err
	}
	digest, err := plan.Digest()
	if err != nil {
		return err
	}
	if c.Out == "" {
		c.Out = approvalFile(c.Plan, c.As)
	}
	if c.Message != "" && c.Signature == "" {
		return c.writeMessage(a, approval.Message(string(plan.Kind), digest, c.As, now), digest)
	}
	if err := paper.Free(c.Out); err != nil {
		return err
	}
	if err := c.ask(a, plan, now); err != nil {
		return err
	}
	signed, err := c.sign(a, approval.Message(string(plan.Kind), digest, c.As, now))
	if err != nil {
		return err
	}
	if err := c.try(plan, signed, digest); err != nil {
		return err
	}
	if err := paper.Write(c.Out, signed, paper.Public); err != nil {
		return err
	}
	return a.print(&files{Done: c.As + " approves ceremony " + string(plan.Kind), Written: []string{c.Out}, Digest: hexDigest(digest)})
}

// try refuses an approval that run would refuse: of another plan, not by this
// officer's key, or by somebody who is on no roster, not even on the one before.
func (c *approveCmd) try(plan *ceremony.Plan, signed []byte, digest [32]byte) error {
	rosters, err := plan.Rosters()
	if err != nil {
		return err
	}
	var refused error
	for _, roster := range rosters {
		one := &approval.Roster{Threshold: 1, Officers: roster.Officers}
		approved, err := one.Verify([][]byte{signed}, string(plan.Kind), digest)
		if err == nil && approved[0].Officer != c.As {
			return fmt.Errorf("%w: the message was signed for %s, not for %s", approval.ErrApproval, approved[0].Officer, c.As)
		}
		if err == nil {
			return nil
		}
		// Of two refusals, the one by a roster that knows the officer counts.
		if refused == nil || errors.Is(refused, approval.ErrUnknownOfficer) {
			refused = err
		}
	}
	return refused
}

func (c *approveCmd) writeMessage(a *app, message []byte, digest [32]byte) error {
	if err := paper.Write(c.Message, message, paper.Public); err != nil {
		return err
	}
	return a.print(&files{
		Done: "sign with: ssh-keygen -Y sign -n " + approval.Namespace + " -f KEY " + c.Message, Written: []string{c.Message},
		Digest: hexDigest(digest),
	})
}

// ask lets the officer see what he approves.
func (c *approveCmd) ask(a *app, plan *ceremony.Plan, now time.Time) error {
	if c.Yes {
		return nil
	}
	view, err := newPlanView(plan, now)
	if err != nil {
		return err
	}
	if err := (&app{ctx: a.ctx, out: a.out.Beside()}).print(view); err != nil {
		return err
	}
	yes, err := a.out.Confirm(c.As + ": do you approve this?")
	if err != nil {
		return err
	}
	if !yes {
		return fmt.Errorf("not approved")
	}
	return nil
}

func (c *approveCmd) sign(a *app, message []byte) ([]byte, error) {
	if c.Message != "" {
		message, err := paper.Read(c.Message, approval.MaxApproval)
		if err != nil {
			return nil, err
		}
		signature, err := paper.Read(c.Signature, approval.MaxApproval)
		if err != nil {
			return nil, err
		}
		return approval.Join(message, signature)
	}
	signer, err := approval.ReadKey(c.Key, func() ([]byte, error) { return a.out.AskSecret("passphrase of " + c.Key) })
	if err != nil {
		return nil, err
	}
	return approval.Sign(message, signer)
}
