package signer

import (
	"errors"
	"fmt"

	"github.com/speciecash/specie/coin"
)

var (
	// ErrUnavailable: signer or token can't answer now. The same call may be
	// made again later.
	ErrUnavailable = errors.New("signer: unavailable")
	// ErrBusy: as much waits already as may wait. It matches ErrUnavailable.
	ErrBusy = fmt.Errorf("%w: too many requests are waiting", ErrUnavailable)
	// ErrClosed: the Client is closed. It matches ErrUnavailable.
	ErrClosed = fmt.Errorf("%w: closed", ErrUnavailable)
	// ErrInput: the request was refused before a token saw it.
	ErrInput = errors.New("signer: input refused")
	// ErrUnknownKey: no token of the signer has the key. It matches
	// coin.ErrUnknownKey.
	ErrUnknownKey = fmt.Errorf("signer: %w", coin.ErrUnknownKey)
	// ErrSealed: a sealed box does not open.
	ErrSealed = errors.New("signer: sealed box does not open")
	// ErrFailed: the token failed in a way that repeating does not mend: a key
	// that its audit refused, a wrong signature, a refused login. The signer's
	// log says more.
	ErrFailed = errors.New("signer: token failed")
	// ErrForbidden: the signer does not serve this process's user.
	ErrForbidden = errors.New("signer: not allowed for this user")
	// ErrImpostor: the socket is served by a user whom the client does not
	// trust. Nothing was sent to him.
	ErrImpostor = errors.New("signer: served by another user")
	// ErrProtocol: the other side does not speak this protocol.
	ErrProtocol = errors.New("signer: protocol violated")
	// ErrSocket: the socket can't be made at that path.
	ErrSocket = errors.New("signer: socket refused")
)

// A status is how a request ended.
type status byte

const (
	statusOK status = iota
	statusInput
	statusUnknownKey
	statusSealed
	statusBusy
	statusUnavailable
	statusFailed
	statuses // how many there are
)

// sentinels are the errors behind the statuses, in their order.
func sentinels() [statuses]error {
	return [statuses]error{nil, ErrInput, ErrUnknownKey, ErrSealed, ErrBusy, ErrUnavailable, ErrFailed}
}

// String names the status in metrics.
func (s status) String() string {
	return [statuses]string{"ok", "input", "unknown_key", "sealed", "busy", "unavailable", "failed"}[s]
}

// statusOf is the status of an error of this package. One that none stands
// for is a failure.
func statusOf(err error) status {
	if err == nil {
		return statusOK
	}
	for s, sentinel := range sentinels() {
		if sentinel != nil && errors.Is(err, sentinel) {
			return status(s)
		}
	}
	return statusFailed
}

// failure is the error that an answer stands for.
func (s status) failure(text string) error {
	return fmt.Errorf("%w: %s", sentinels()[s], text)
}
