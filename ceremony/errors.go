package ceremony

import "errors"

// The refusals of this package.
var (
	// ErrPlan: the plan is not YAML of the accepted form, has an unknown or
	// missing field, or contradicts itself.
	ErrPlan = errors.New("ceremony: plan refused")
	// ErrWeak: a key too small for as long as it is planned to be used.
	ErrWeak = errors.New("ceremony: key too weak for this plan")
	// ErrInput: a file that the plan names is not what the plan needs.
	ErrInput = errors.New("ceremony: input refused")
	// ErrClock: the machine's clock stands before something that has already
	// happened: a certificate, a keyset, the ceremony before, an approval.
	ErrClock = errors.New("ceremony: the clock is wrong")
	// ErrRehearsal: the plan did not go through on throw-away tokens; the real
	// ones were not touched. It wraps the reason.
	ErrRehearsal = errors.New("ceremony: rehearsal failed, nothing was touched")
	// ErrInterrupted: the transcript is that of another plan's ceremony, which
	// was neither finished nor abandoned.
	ErrInterrupted = errors.New("ceremony: another ceremony is unfinished")
	// ErrKey: the token's key is not the one that the certificate or the
	// transcript names.
	ErrKey = errors.New("ceremony: another key than the one on paper")
	// ErrStranger: something lies on a token that nothing on paper explains.
	ErrStranger = errors.New("ceremony: unexplained object on the token")
	// ErrNeeded: a key that is to be destroyed is still needed.
	ErrNeeded = errors.New("ceremony: key still needed")
	// ErrSealed: a sealed file that does not belong to this group or does
	// not hold what it says.
	ErrSealed = errors.New("ceremony: sealed secrets refused")
	// ErrUnrehearsed: the transcript shows no rehearsal that went well before
	// tokens were touched.
	ErrUnrehearsed = errors.New("ceremony: not rehearsed")
	// ErrClaim: something that a ceremony says of itself does not hold. It
	// wraps the reason.
	ErrClaim = errors.New("ceremony: a claim does not hold")
)
