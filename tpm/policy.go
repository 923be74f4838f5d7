package tpm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/speciecash/specie/groupdoc"
)

// policyTries is how often a use of a key is begun anew when a PCR changes in the
// midst of it: any PCR, for the TPM counts their changes together.
const policyTries = 8

const signatureSize = 64 // bytes, of the policy key

// errSessionLost: the TPM was reset, or somebody flushed our session.
var errSessionLost = errors.New("the policy session is gone")

// KeyOption is something that LoadGroupKey needs to know of some keys.
type KeyOption func(*GroupKey)

// WithPlatform gives the states on which the TPM is to sign with a key of
// attest.PlatformTemplate, as the group's document has them. Keys without a
// policy take no notice.
func WithPlatform(p *groupdoc.Platform) KeyOption {
	return func(g *GroupKey) {
		if p != nil {
			g.rule = &rule{key: p.Key, states: p.Policies, tickets: make(map[int]tpm2.TPMTTKVerified)}
		}
	}
}

// rule is what opens a key with a policy. It belongs to whoever has the
// device's turn.
type rule struct {
	key    []byte // TPMT_PUBLIC of the policy key
	name   []byte
	states []groupdoc.PlatformPolicy

	// met is the state that the TPM was in last, if known, and values what its
	// PCRs were then.
	known  bool
	met    int
	values pcrValues
	// tickets are the TPM's own word that the policy key signed for a state. They
	// hold until the TPM is cleared, as the key does.
	tickets map[int]tpm2.TPMTTKVerified
}

// bindPolicy finds out whether the key has a policy, and that the rule is the
// one that it was made under.
func (g *GroupKey) bindPolicy() error {
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](g.blob.Public)
	if err != nil {
		return fmt.Errorf("%w: public area: %w", ErrInput, err)
	}
	if area.ObjectAttributes.UserWithAuth {
		g.rule = nil // it opens to its authorisation value
		return nil
	}
	if g.rule == nil {
		return fmt.Errorf("%w: the key signs on approved platforms only, and none were given", ErrInput)
	}
	policy, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return err
	}
	if err := g.rule.check(); err != nil {
		return err
	}
	g.rule.name, err = nameOf(g.rule.key)
	if err != nil {
		return fmt.Errorf("%w: policy key: %w", ErrInput, err)
	}
	authorize := tpm2.PolicyAuthorize{KeySign: tpm2.TPM2BName{Buffer: g.rule.name}}
	if err := errors.Join(authorize.Update(policy), tpm2.PolicyAuthValue{}.Update(policy)); err != nil {
		return err
	}
	if !bytes.Equal(policy.Hash().Digest, area.AuthPolicy.Buffer) {
		return fmt.Errorf("%w: the key was made under another policy key", ErrInput)
	}
	return nil
}

// check demands what the commands could not be made of otherwise. Whether the
// rule is a good one, the TPM finds out.
func (r *rule) check() error {
	if len(r.key) > maxArea {
		return fmt.Errorf("%w: policy key of %d bytes", ErrInput, len(r.key))
	}
	for _, p := range r.states {
		if err := checkPCRs(p.PCRs); err != nil || len(p.PCRs) == 0 {
			return fmt.Errorf("%w: state %q: PCRs %v", ErrInput, p.Name, p.PCRs)
		}
		if len(p.Signature) != signatureSize {
			return fmt.Errorf("%w: state %q: signature of %d bytes", ErrInput, p.Name, len(p.Signature))
		}
	}
	return nil
}

func nameOf(public []byte) ([]byte, error) {
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](public)
	if err != nil {
		return nil, err
	}
	n, err := tpm2.ObjectName(area)
	if err != nil {
		return nil, err
	}
	return n.Buffer, nil
}

// withUse is with for the two commands that sign: those that a key's policy is
// about.
func (g *GroupKey) withUse(ctx context.Context, what string, f func(*sequence, tpm2.AuthHandle) error) error {
	return g.with(ctx, what, func(s *sequence, key tpm2.AuthHandle) error {
		if g.rule == nil {
			return f(s, key)
		}
		var err error
		for range policyTries {
			err = g.underPolicy(s, f)
			if !isRC(err, tpm2.TPMRCPCRChanged, tpm2.TPMRCReferenceS0) && !errors.Is(err, errSessionLost) {
				break
			}
		}
		return err
	})
}

// underPolicy runs f, which uses the key once, in a policy session of its own:
// the TPM closes it with the command. What is refused before that command is
// sent does not count towards lock-out.
func (g *GroupKey) underPolicy(s *sequence, f func(*sequence, tpm2.AuthHandle) error) error {
	var made []tpm2.TPMHandle
	key := g.authorised()
	key.Auth = tpm2.Policy(tpm2.TPMAlgSHA256, policyNonce, func(_ transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
		made = append(made, session)
		return g.rule.satisfy(s, session)
	}, tpm2.Auth(g.auth))
	err := f(s, key)
	if err != nil {
		for _, session := range made {
			s.flush(session)
		}
	}
	return err
}

// satisfy brings a session to the key's policy. TPM2_PolicyAuthValue makes of it
// an HMAC session on the authorisation value.
func (r *rule) satisfy(s *sequence, session tpm2.TPMISHPolicy) error {
	if err := r.state(s, session); err != nil {
		return lost(err)
	}
	if err := r.authorize(s, session); err != nil {
		return lost(err)
	}
	_, err := tpm2.PolicyAuthValue{PolicySession: session}.Execute(s)
	return lost(err)
}

// lost tells a session that is gone from a key that is: both are the first
// handle of their command.
func lost(err error) error {
	if isRC(err, tpm2.TPMRCReferenceH0) {
		return fmt.Errorf("%w: %v", errSessionLost, err)
	}
	return err
}

// state extends the session by the PCRs of the approved state that the TPM is
// in, the last one first. The TPM compares them itself.
func (r *rule) state(s *sequence, session tpm2.TPMISHPolicy) error {
	if r.known {
		err := r.extend(s, session)
		if !isRC(err, tpm2.TPMRCValue) {
			return err
		}
	}
	if err := r.find(s); err != nil {
		return err
	}
	err := r.extend(s, session)
	if isRC(err, tpm2.TPMRCValue) {
		return fmt.Errorf("%w: %w", tpm2.TPMRCPCRChanged, err) // between the two commands
	}
	return err
}

func (r *rule) extend(s *sequence, session tpm2.TPMISHPolicy) error {
	cmd := pcrCommand(r.states[r.met])
	cmd.PolicySession = session
	_, err := cmd.Execute(s)
	return err
}

// pcrCommand is the one command of which an approved policy consists.
func pcrCommand(p groupdoc.PlatformPolicy) tpm2.PolicyPCR {
	return tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: p.Digest[:]}, Pcrs: selectPCRs(p.PCRs)}
}

// find reads the PCRs and finds the approved state that they are in.
func (r *rule) find(s *sequence) error {
	var all []int
	for _, p := range r.states {
		all = append(all, p.PCRs...)
	}
	slices.Sort(all)
	now, err := s.readPCRs(slices.Compact(all))
	if err != nil {
		return err
	}
	for i, p := range r.states {
		if now.digest(p.PCRs) == p.Digest {
			r.known, r.met, r.values = true, i, now
			return nil
		}
	}
	return r.refusal(now)
}

// refusal says which approved state is nearest: the one that differs in the
// fewest PCRs, the newest of those. Which PCRs differ is known of states that come
// with their values, and of the one that the TPM was in before; of others it might
// be all.
func (r *rule) refusal(now pcrValues) error {
	e := &PlatformError{}
	for i, p := range r.states {
		differ := p.PCRs
		if then := r.then(i); then != nil {
			differ = slices.DeleteFunc(slices.Clone(p.PCRs), func(n int) bool { return now[n] == then[n] })
		}
		if e.PCRs == nil || len(differ) <= len(e.PCRs) {
			e.State, e.PCRs = p.Name, differ
		}
	}
	return e
}

// then is what the PCRs hold in an approved state, nil if that is not known.
func (r *rule) then(i int) pcrValues {
	p := r.states[i]
	if r.known && i == r.met {
		return r.values
	}
	if len(p.Values) != len(p.PCRs) {
		return nil
	}
	values := make(pcrValues)
	for j, n := range p.PCRs {
		values[n] = p.Values[j]
	}
	return values
}

// authorize replaces the PCRs in the session by the policy key's approval of
// them.
func (r *rule) authorize(s *sequence, session tpm2.TPMISHPolicy) error {
	policy, err := r.approved()
	if err != nil {
		return err
	}
	ticket, ok := r.tickets[r.met]
	if !ok {
		if ticket, err = r.verify(s, policy); err != nil {
			return err
		}
		r.tickets[r.met] = ticket
	}
	_, err = tpm2.PolicyAuthorize{
		PolicySession: session, ApprovedPolicy: tpm2.TPM2BDigest{Buffer: policy},
		KeySign: tpm2.TPM2BName{Buffer: r.name}, CheckTicket: ticket,
	}.Execute(s)
	return err
}

// approved is the digest of the policy that is met.
func (r *rule) approved() ([]byte, error) {
	policy, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, err
	}
	if err := pcrCommand(r.states[r.met]).Update(policy); err != nil {
		return nil, err
	}
	return policy.Hash().Digest, nil
}

// verify lets the TPM verify the policy key's signature. The ticket that it
// gives is good in its owner hierarchy, where the group key lives too.
func (r *rule) verify(s *sequence, policy []byte) (none tpm2.TPMTTKVerified, err error) {
	p := r.states[r.met]
	key, err := tpm2.LoadExternal{InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](r.key), Hierarchy: tpm2.TPMRHOwner}.Execute(s)
	if err != nil {
		return none, fmt.Errorf("policy key: %w", err)
	}
	defer s.flush(key.ObjectHandle)
	const half = signatureSize / 2
	digest := sha256.Sum256(policy) // and the policyRef, which is empty
	rsp, err := tpm2.VerifySignature{
		KeyHandle: key.ObjectHandle, Digest: tpm2.TPM2BDigest{Buffer: digest[:]},
		Signature: tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
			Hash:       tpm2.TPMAlgSHA256,
			SignatureR: tpm2.TPM2BECCParameter{Buffer: p.Signature[:half]}, SignatureS: tpm2.TPM2BECCParameter{Buffer: p.Signature[half:]},
		})},
	}.Execute(s)
	if isRC(err, tpm2.TPMRCSignature) {
		return none, fmt.Errorf("%w: state %q was not signed by the policy key: %w", ErrInput, p.Name, err)
	}
	if err != nil {
		return none, fmt.Errorf("approval of %q: %w", p.Name, err)
	}
	return rsp.Validation, nil
}
