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
	// ErrKey: the token's key is not the one that the certificate names.
	ErrKey = errors.New("ceremony: another key than the certificate's")
	// ErrSealed: a sealed file that does not belong to this group or does
	// not hold what it says.
	ErrSealed = errors.New("ceremony: sealed secrets refused")
)
