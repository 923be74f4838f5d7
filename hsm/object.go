package hsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

const (
	idSize   = 16 // bytes of a CKA_ID, random
	maxLabel = 64 // bytes of a key label
)

// An object is one key on the token, known by what survives a lost session:
// its class, CKA_ID and label. The handle does not survive and is found again
// when the token's epoch changes; to find it again is to load the key, so it
// is audited again.
type object struct {
	tok   *Token
	class uint
	label string
	id    []byte
	rules []rule
	// same compares what the key is with what it was when it was first
	// loaded; nil where nothing public tells.
	same func(pkcs11.SessionHandle, pkcs11.ObjectHandle) error

	mu  sync.Mutex
	ref atomic.Pointer[reference]
}

// A reference is what is known of the object in one epoch: its handle, or why
// there is none. That a key is gone is believed for a moment only, until.
type reference struct {
	epoch  uint64
	handle pkcs11.ObjectHandle
	err    error
	until  time.Time
}

func (r *reference) good(epoch uint64) bool {
	return r != nil && r.epoch == epoch && (r.until.IsZero() || time.Now().Before(r.until))
}

// handle returns the handle that is good in this epoch.
func (o *object) handle(s pkcs11.SessionHandle) (pkcs11.ObjectHandle, error) {
	if ref := o.ref.Load(); ref.good(o.tok.epoch.Load()) {
		return ref.handle, ref.err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	epoch := o.tok.epoch.Load()
	if ref := o.ref.Load(); ref.good(epoch) {
		return ref.handle, ref.err
	}
	h, err := o.load(s)
	if isClass(err, ClassRetry) || isClass(err, ClassReopen) {
		return 0, err // not an answer about the key
	}
	ref := &reference{epoch: epoch, handle: h, err: err}
	if errors.Is(err, ErrKeyNotFound) {
		ref.err = fmt.Errorf("%w: the key is gone: %w", ErrUnavailable, err)
		ref.until = time.Now().Add(healPause)
	}
	o.ref.Store(ref)
	return ref.handle, ref.err
}

// load finds the object by class, CKA_ID and label and audits it.
func (o *object) load(s pkcs11.SessionHandle) (pkcs11.ObjectHandle, error) {
	found, err := o.tok.find(s, attr(pkcs11.CKA_CLASS, o.class), attr(pkcs11.CKA_ID, o.id), attr(pkcs11.CKA_LABEL, o.label))
	if err != nil {
		return 0, err
	}
	switch {
	case len(found) == 0:
		return 0, fmt.Errorf("%w: %q", ErrKeyNotFound, o.label)
	case len(found) > 1:
		return 0, fmt.Errorf("%w: %d keys are labelled %q and share a CKA_ID", ErrDuplicateLabel, len(found), o.label)
	}
	if err := o.audit(s, found[0]); err != nil {
		return 0, err
	}
	return found[0], nil
}

// audit reads every attribute that the rules fix and refuses the first that
// differs.
func (o *object) audit(s pkcs11.SessionHandle, h pkcs11.ObjectHandle) error {
	if err := o.tok.audit(s, h, o.label, o.rules); err != nil {
		return err
	}
	if o.same != nil {
		return o.same(s, h)
	}
	return nil
}

// Audit reads the key's attributes from the token again and compares each
// with what its kind must have. It is a real operation on the token, good for
// a health check. A difference is ErrAudit and names the attribute.
func (o *object) Audit(ctx context.Context) error {
	return o.tok.do(ctx, func(s pkcs11.SessionHandle) error {
		h, err := o.handle(s)
		if err != nil {
			return err
		}
		return o.audit(s, h)
	})
}

// Label returns the key's label, unique among the keys of the token.
func (o *object) Label() string { return o.label }

// ID returns the key's CKA_ID, 16 random bytes.
func (o *object) ID() []byte { return bytes.Clone(o.id) }

// find returns the handles of all objects that match.
func (t *Token) find(s pkcs11.SessionHandle, match ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := t.api.FindObjectsInit(s, match); err != nil {
		return nil, called("C_FindObjectsInit", err)
	}
	const batch = 64
	var all []pkcs11.ObjectHandle
	for {
		some, _, err := t.api.FindObjects(s, batch)
		if err != nil {
			return nil, errors.Join(called("C_FindObjects", err), called("C_FindObjectsFinal", t.api.FindObjectsFinal(s)))
		}
		if len(some) == 0 {
			break
		}
		all = append(all, some...)
	}
	return all, called("C_FindObjectsFinal", t.api.FindObjectsFinal(s))
}

// read returns the values of the attributes, in that order. One that the
// object does not have is nil.
func (t *Token) read(s pkcs11.SessionHandle, h pkcs11.ObjectHandle, types ...uint) ([][]byte, error) {
	ask := make([]*pkcs11.Attribute, len(types))
	for i, typ := range types {
		ask[i] = pkcs11.NewAttribute(typ, nil)
	}
	got, err := t.api.GetAttributeValue(s, h, ask)
	if err := called("C_GetAttributeValue", err); err != nil {
		if !hasCode(err, ckrAttributeTypeInvalid) {
			return nil, err
		}
		if len(types) == 1 {
			return [][]byte{nil}, nil
		}
		return t.readEach(s, h, types)
	}
	values := make([][]byte, len(types))
	for i := range got {
		values[i] = got[i].Value
	}
	return values, nil
}

// readEach asks one by one: a module refuses the whole list for one attribute
// that it does not know.
func (t *Token) readEach(s pkcs11.SessionHandle, h pkcs11.ObjectHandle, types []uint) ([][]byte, error) {
	values := make([][]byte, len(types))
	for i, typ := range types {
		one, err := t.read(s, h, typ)
		if err != nil {
			return nil, err
		}
		values[i] = one[0]
	}
	return values, nil
}

// unused refuses a label that any object of the token bears.
func (t *Token) unused(ctx context.Context, label string) error {
	return t.do(ctx, func(s pkcs11.SessionHandle) error {
		found, err := t.search(s, attr(pkcs11.CKA_LABEL, label))
		if err != nil {
			return err
		}
		if len(found) != 0 {
			return fmt.Errorf("%w: %q is taken", ErrDuplicateLabel, label)
		}
		return nil
	})
}

// single returns the id of the one object of that class and key type under
// label.
func (t *Token) single(ctx context.Context, class, keyType uint, label string) ([]byte, error) {
	if err := checkKeyLabel(label); err != nil {
		return nil, err
	}
	var id []byte
	err := t.do(ctx, func(s pkcs11.SessionHandle) error {
		found, err := t.find(s, attr(pkcs11.CKA_CLASS, class), attr(pkcs11.CKA_KEY_TYPE, keyType), attr(pkcs11.CKA_LABEL, label))
		switch {
		case err != nil:
			return err
		case len(found) == 0:
			return fmt.Errorf("%w: %q", ErrKeyNotFound, label)
		case len(found) > 1:
			return fmt.Errorf("%w: %d keys are labelled %q", ErrDuplicateLabel, len(found), label)
		}
		values, err := t.read(s, found[0], pkcs11.CKA_ID)
		if err != nil {
			return err
		}
		id = values[0]
		return checkID(label, id)
	})
	return id, err
}

func checkID(label string, id []byte) error {
	if len(id) != idSize {
		return fmt.Errorf("%w: key %q: CKA_ID has %d bytes, not %d", ErrAudit, label, len(id), idSize)
	}
	return nil
}

func checkKeyLabel(label string) error {
	if len(label) == 0 || len(label) > maxLabel || !printable(label) {
		return fmt.Errorf("%w: a key label has 1 to %d printable ASCII bytes", ErrInput, maxLabel)
	}
	return nil
}

func attr(typ uint, value any) *pkcs11.Attribute { return pkcs11.NewAttribute(typ, value) }
