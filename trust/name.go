package trust

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
)

// Role is what a certificate may speak as.
type Role string

// The roles. RoleRoot has no ID, all others name one party.
const (
	RoleRoot       Role = "root"       // central bank, the pinned certificate
	RoleBank       Role = "bank"       // a bank's master key: keysets, certificates of its signing keys
	RoleSigning    Role = "signing"    // a bank's online key: receipts, listings
	RoleGroup      Role = "group"      // a group manager
	RoleSupervisor Role = "supervisor" // an officer who holds a share of the opening secrets
)

const urnPrefix = "urn:specie:"

// Name says who a certificate speaks for.
type Name struct {
	Role Role
	ID   string // [A-Z0-9]{4,20}; empty for RoleRoot
}

// URN returns the name as it stands in the certificate, such as
// "urn:specie:bank:DEMOBANK".
func (n Name) URN() string {
	if n.Role == RoleRoot {
		return urnPrefix + string(n.Role)
	}
	return urnPrefix + string(n.Role) + ":" + n.ID
}

// String returns the URN.
func (n Name) String() string { return n.URN() }

// Check returns ErrMalformed unless the name is one that ParseName returns.
func (n Name) Check() error {
	switch n.Role {
	case RoleRoot:
		if n.ID != "" {
			return fmt.Errorf("%w: the root has no id", ErrMalformed)
		}
		return nil
	case RoleBank, RoleSigning, RoleGroup, RoleSupervisor:
		return CheckID(n.ID)
	}
	return fmt.Errorf("%w: unknown role", ErrMalformed)
}

// CheckID returns ErrMalformed unless id is 4 to 20 characters of [A-Z0-9].
func CheckID(id string) error {
	if len(id) < 4 || len(id) > 20 {
		return fmt.Errorf("%w: an id has 4 to 20 characters", ErrMalformed)
	}
	for i := 0; i < len(id); i++ {
		if c := id[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return fmt.Errorf("%w: an id has characters A-Z and 0-9 only", ErrMalformed)
		}
	}
	return nil
}

// ParseName reads a URN. It returns ErrMalformed for anything but the exact
// form that URN writes.
func ParseName(urn string) (Name, error) {
	rest, ok := strings.CutPrefix(urn, urnPrefix)
	if !ok {
		return Name{}, fmt.Errorf("%w: not a name under %s", ErrMalformed, urnPrefix)
	}
	role, id, _ := strings.Cut(rest, ":")
	n := Name{Role: Role(role), ID: id}
	if err := n.Check(); err != nil {
		return Name{}, err
	}
	if n.URN() != urn {
		return Name{}, fmt.Errorf("%w: name with trailing characters", ErrMalformed)
	}
	return n, nil
}

// NameOf returns the one name that a certificate carries. A certificate with
// none, with two, or with names of other kinds beside it gives ErrRole: who
// certifies a key must not be able to hide a second role in it.
func NameOf(cert *x509.Certificate) (Name, error) {
	if len(cert.URIs) != 1 || len(cert.DNSNames)+len(cert.EmailAddresses)+len(cert.IPAddresses) != 0 {
		return Name{}, fmt.Errorf("%w: the certificate does not carry exactly one name", ErrRole)
	}
	n, err := ParseName(cert.URIs[0].String())
	if err != nil {
		return Name{}, fmt.Errorf("%w: %v", ErrRole, err)
	}
	return n, nil
}

func (n Name) uri() *url.URL {
	return &url.URL{Scheme: "urn", Opaque: strings.TrimPrefix(n.URN(), "urn:")}
}
