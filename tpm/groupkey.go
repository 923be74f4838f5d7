package tpm

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/speciecash/specie/group/fp256bn"
)

// maxArea bounds each part of a Blob and a template, in bytes.
const maxArea = 1024

// Blob is a group key at rest: of use in one TPM only, and there only with its
// authorisation value. It is no secret, but losing it loses the key.
type Blob struct {
	// Public is the TPMT_PUBLIC.
	Public []byte
	// Private is the contents of the TPM2B_PRIVATE, encrypted by the TPM's storage
	// key.
	Private []byte
}

// CreateGroupKey makes a key in the TPM under its ECC P-256 storage key. The
// template is a TPMT_PUBLIC; auth is needed for each use of the key.
//
// Errors: ErrInput, ErrUnsupported where the TPM refuses the template's curve or
// scheme, ErrHierarchy if the owner hierarchy has a password.
func (d *Device) CreateGroupKey(ctx context.Context, template []byte, auth Auth) (Blob, error) {
	if err := auth.check(); err != nil {
		return Blob{}, fmt.Errorf("create group key: %w", err)
	}
	if len(template) == 0 || len(template) > maxArea {
		return Blob{}, fmt.Errorf("create group key: %w: template of %d bytes", ErrInput, len(template))
	}
	var blob Blob
	err := d.use(ctx, "create group key", func(s *sequence) error {
		srk, err := s.storageKey()
		if err != nil {
			return err
		}
		defer s.flush(srk.Handle)
		rsp, err := tpm2.Create{
			ParentHandle: srk,
			InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
				UserAuth: tpm2.TPM2BAuth{Buffer: auth},
			}},
			InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](template),
		}.Execute(s)
		if isRC(err, tpm2.TPMRCCurve, tpm2.TPMRCScheme) {
			return fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
		if err != nil {
			return err
		}
		blob = Blob{Public: rsp.OutPublic.Bytes(), Private: rsp.OutPrivate.Buffer}
		return nil
	})
	return blob, err
}

// GroupKey is a group key loaded into the TPM. It occupies one of the TPM's
// slots until Close. It implements the Key of package group.
type GroupKey struct {
	device *Device
	blob   Blob
	auth   Auth
	rule   *rule // nil for a key without a policy
	name   []byte
	point  fp256bn.G1

	closing sync.Once
	failed  error

	// What follows belongs to whoever has the device's turn.
	handle tpm2.TPMHandle
	parent tpm2.TPMTPublic // the template of the storage key that wraps it
	closed bool
	// open are the commitments that have not been signed with: the TPM's number of
	// each, by one of our own. The TPM begins anew at a reset, and counts for all
	// its keys.
	open map[uint16]uint16
	last uint16
}

// LoadGroupKey loads a key that CreateGroupKey made in this TPM. The
// authorisation value is not checked before its first use, nor are the approved
// platforms that a key with a policy needs (WithPlatform).
//
// Errors: ErrInput if the blob is malformed or lacks its platforms, ErrWrongTPM if it belongs to
// another TPM, ErrUnsupported, ErrNoSlot.
func (d *Device) LoadGroupKey(ctx context.Context, blob Blob, auth Auth, opts ...KeyOption) (*GroupKey, error) {
	if err := auth.check(); err != nil {
		return nil, fmt.Errorf("load group key: %w", err)
	}
	name, point, err := parsePublic(blob.Public)
	if err != nil {
		return nil, fmt.Errorf("load group key: %w", err)
	}
	if len(blob.Private) == 0 || len(blob.Private) > maxArea {
		return nil, fmt.Errorf("load group key: %w: private part of %d bytes", ErrInput, len(blob.Private))
	}
	g := &GroupKey{device: d, blob: blob, auth: auth, name: name, point: point, open: make(map[uint16]uint16)}
	for _, opt := range opts {
		opt(g)
	}
	if err := g.bindPolicy(); err != nil {
		return nil, fmt.Errorf("load group key: %w", err)
	}
	if err := d.use(ctx, "load group key", g.load); err != nil {
		return nil, err
	}
	return g, nil
}

// load puts the key into a slot of the TPM. Keys from before there were key files
// are wrapped by the storage key of go-tpm's template.
func (g *GroupKey) load(s *sequence) error {
	err := g.loadUnder(s, storageTemplate())
	if errors.Is(err, ErrWrongTPM) && g.loadUnder(s, tpm2.ECCSRKTemplate) == nil {
		return nil
	}
	return err
}

func (g *GroupKey) loadUnder(s *sequence, template tpm2.TPMTPublic) error {
	srk, err := s.primaryKey(template)
	if err != nil {
		return err
	}
	defer s.flush(srk.Handle)
	rsp, err := tpm2.Load{
		ParentHandle: srk,
		InPrivate:    tpm2.TPM2BPrivate{Buffer: g.blob.Private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](g.blob.Public),
	}.Execute(s)
	switch {
	case isRC(err, tpm2.TPMRCIntegrity):
		return fmt.Errorf("%w: %w", ErrWrongTPM, err)
	case isRC(err, tpm2.TPMRCCurve, tpm2.TPMRCScheme):
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	case isRC(err, tpm2.TPMRCSize, tpm2.TPMRCInsufficient):
		return fmt.Errorf("%w: blob: %w", ErrInput, err)
	case err != nil:
		return err
	}
	g.handle, g.parent = rsp.ObjectHandle, template
	s.device.held[g.handle] = g
	clear(g.open) // a reset of the TPM has voided them
	return nil
}

// storageTemplate is that of the TCG's provisioning guidance with nothing in
// unique, as the key file's format has it: go-tpm's has zeros there, which makes
// another key.
func storageTemplate() tpm2.TPMTPublic {
	t := tpm2.ECCSRKTemplate
	t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return t
}

// storageKey makes the primary key that new group keys are wrapped by. The TPM
// derives the same one each time; the caller flushes it.
func (s *sequence) storageKey() (tpm2.AuthHandle, error) { return s.primaryKey(storageTemplate()) }

func (s *sequence) primaryKey(template tpm2.TPMTPublic) (tpm2.AuthHandle, error) {
	rsp, err := s.primary(template)
	if err != nil {
		return tpm2.AuthHandle{}, err
	}
	return tpm2.AuthHandle{Handle: rsp.ObjectHandle, Name: rsp.Name, Auth: tpm2.PasswordAuth(nil)}, nil
}

func (s *sequence) primary(template tpm2.TPMTPublic) (*tpm2.CreatePrimaryResponse, error) {
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(template),
	}.Execute(s)
	if isRC(err, tpm2.TPMRCAuthFail, tpm2.TPMRCBadAuth) {
		return nil, fmt.Errorf("%w: the owner's; who set it can take it away (tpm2_changeauth -c owner -p PASSWORD): %w", ErrHierarchy, err)
	}
	if err != nil {
		return nil, fmt.Errorf("make the storage key: %w", err)
	}
	return rsp, nil
}

// parsePublic returns the Name and the point of a group key's TPMT_PUBLIC.
func parsePublic(public []byte) (name []byte, q fp256bn.G1, err error) {
	if len(public) == 0 || len(public) > maxArea {
		return nil, q, fmt.Errorf("%w: public area of %d bytes", ErrInput, len(public))
	}
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](public)
	if err != nil {
		return nil, q, fmt.Errorf("%w: public area: %w", ErrInput, err)
	}
	n, err := tpm2.ObjectName(area)
	if err != nil {
		return nil, q, fmt.Errorf("%w: public area: %w", ErrInput, err)
	}
	unique, err := area.Unique.ECC()
	if err != nil {
		return nil, q, fmt.Errorf("%w: public area: %w", ErrInput, err)
	}
	if q, err = fp256bn.G1FromXY(unique.X.Buffer, unique.Y.Buffer); err != nil {
		return nil, q, fmt.Errorf("%w: public area: %w", ErrInput, err)
	}
	return n.Buffer, q, nil
}

// Name returns the TPM's Name of the key: the algorithm's number, 2 bytes, and
// the digest of the public area.
func (g *GroupKey) Name() []byte { return append([]byte(nil), g.name...) }

// Public returns the TPMT_PUBLIC of the key.
func (g *GroupKey) Public() []byte { return append([]byte(nil), g.blob.Public...) }

// Point returns Q = [f]G, the key's public point.
func (g *GroupKey) Point() fp256bn.G1 { return g.point }

// Close frees the key's slot in the TPM. If that can't be done now, the device
// does it later. Everything called afterwards fails with ErrClosed.
func (g *GroupKey) Close() error {
	g.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeBudget)
		defer cancel()
		g.failed = g.device.use(ctx, "close group key", func(s *sequence) error {
			g.closed = true
			if s.device.held[g.handle] == g {
				s.flush(g.handle)
			}
			return nil
		})
		if g.device.closed.Load() {
			g.failed = nil // the device has flushed it already
		}
	})
	return g.failed
}
