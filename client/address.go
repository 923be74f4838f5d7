package client

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
)

// ErrAddress: an address that nothing is sent to. Access tokens and bearer
// coins travel in the body, so it is https, or http on this machine.
var ErrAddress = errors.New("an address is an https URL, or http on this machine")

const maxAddress = 1024

// CheckAddress returns ErrAddress unless address is the base of a REST
// interface: an https URL, or an http one of this machine, without user,
// query or fragment.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxAddress || u.Hostname() == "" || u.Opaque != "" ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return fmt.Errorf("%w: %q", ErrAddress, printable(address))
	}
	if u.Scheme == "https" || (u.Scheme == "http" && isLocal(u.Hostname())) {
		return nil
	}
	return fmt.Errorf("%w: %q", ErrAddress, printable(address))
}

func isLocal(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && addr.IsLoopback())
}
