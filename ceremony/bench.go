package ceremony

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// bench is where an act happens. An act asks it for tokens, signatories, new
// keys and outputs, in an order that is the same every time, and never knows
// whether it is rehearsed, done, or taken up again after an interruption: that
// is the stage's business.
type bench struct {
	stage
	// at is the time of the ceremony: that of its beginning, also when it is
	// taken up later, so that what is signed then says the same.
	at       time.Time
	log      *slog.Logger
	progress func(done, total int)

	planned  []newKey
	agreed   *agreement
	reserved bool // the labels of planned were found to be free
	keys     []Key
}

// stage is what a bench stands on: real tokens and a transcript (live), or
// throw-away tokens and nothing (rehearsal).
type stage interface {
	// token opens the token that a URI names, once.
	token(ctx context.Context, u *hsm.URI) (*hsm.Token, error)
	// signatory finds the key of a certificate, audits and tries it.
	signatory(ctx context.Context, c *certified) (*signatory, error)
	// existing finds a key that has no certificate, by its public key.
	existing(ctx context.Context, u *hsm.URI, pub *ecdsa.PublicKey) (*hsm.ECDSAKey, error)
	// inspect audits and tries the keys on a token that should be there.
	inspect(ctx context.Context, u *hsm.URI, l *stocklist) error
	// erase destroys a token, once judge has seen what is on it.
	erase(ctx context.Context, e *erasure) error
	// recall says what is known of a key from before an interruption.
	recall(token, label string) recollection
	// record notes what is about to happen, or what happened.
	record(event transcript.Event, data any) error
	// step is called after what record doesn't see.
	step(name string) error
	// output leaves a file. create is not called if the file was made before
	// an interruption; the bytes are those of the file in any case. They may
	// depend on keys and on the plan, and on nothing else.
	output(field string, create func() ([]byte, error)) ([]byte, error)
}

// recollection is what a transcript says of a key.
type recollection struct {
	begun bool            // it was about to be made
	made  *transcript.Key // it was made
}

// signatory is a key that signs in this ceremony, and whose it is.
type signatory struct {
	name  trust.Name
	root  *trust.Root
	chain []*x509.Certificate // leaf first; none for the root itself
	key   *hsm.ECDSAKey
}

// certificate is what the signatory certifies with.
func (s *signatory) certificate() *x509.Certificate {
	if len(s.chain) > 0 {
		return s.chain[0]
	}
	return s.root.Certificate()
}

// certify certifies pub and verifies the new certificate as a stranger would.
// The result is PEM, leaf first; the root is never part of it.
func (s *signatory) certify(name trust.Name, pub any, v validity, isCA bool) ([]byte, error) {
	der, err := trust.Issue(s.certificate(), s.key, name, pub, v.From.Time, v.Until.Time, isCA)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ceremony: the new certificate: %w", err)
	}
	chain := append([]*x509.Certificate{cert}, s.chain...)
	if _, err := s.root.CheckChain(chain, v.From.Time); err != nil {
		return nil, fmt.Errorf("ceremony: the new certificate: %w", err)
	}
	var out []byte
	for _, link := range chain {
		out = append(out, encodePEM(link.Raw)...)
	}
	return out, nil
}

// sign signs a document and verifies it as a stranger would.
func (s *signatory) sign(typ string, payload []byte, at time.Time) ([]byte, error) {
	jws, err := trust.Sign(typ, payload, s.key, s.chain)
	if err != nil {
		return nil, err
	}
	if _, err := s.root.Verify(jws, typ, s.name.Role, at); err != nil {
		return nil, fmt.Errorf("ceremony: the new document: %w", err)
	}
	return jws, nil
}

func (b *bench) newEC(ctx context.Context, u *hsm.URI, curve elliptic.Curve) (*hsm.ECDSAKey, error) {
	return produce[*hsm.ECDSAKey](ctx, b, newKey{u, "EC " + curve.Params().Name})
}

func (b *bench) newRSA(ctx context.Context, u *hsm.URI, bits int) (*hsm.RSAKey, error) {
	return produce[*hsm.RSAKey](ctx, b, newKey{u, rsaKind(bits)})
}

func (b *bench) newAES(ctx context.Context, u *hsm.URI) (*hsm.AESKey, error) {
	return produce[*hsm.AESKey](ctx, b, newKey{u, kindAES})
}

// produce makes a key, or finds the one that was made before an interruption.
func produce[K tokenKey](ctx context.Context, b *bench, k newKey) (none K, err error) {
	if err := b.reserve(ctx); err != nil {
		return none, err
	}
	t, err := b.token(ctx, k.uri)
	if err != nil {
		return none, err
	}
	known := b.recall(k.uri.Token, k.uri.Object)
	var key tokenKey
	if known.begun {
		key, err = find(ctx, t, k)
	}
	// Known not to be there: it was not begun, or stopped before it was made.
	if !known.begun || known.made == nil && errors.Is(err, hsm.ErrKeyNotFound) {
		key, err = b.generate(ctx, t, k, known.begun)
	}
	if err != nil {
		return none, fmt.Errorf("key %s: %w", keyName(k.uri.Token, k.uri.Object), err)
	}
	return key.(K), b.made(k, key, known.made)
}

func (b *bench) generate(ctx context.Context, t *hsm.Token, k newKey, noted bool) (tokenKey, error) {
	if !noted {
		err := b.record(transcript.EventGenerating, transcript.Generating{Token: k.uri.Token, Label: k.uri.Object, Kind: k.kind})
		if err != nil {
			return nil, err
		}
	}
	key, err := generate(ctx, t, k)
	if err != nil {
		return nil, err
	}
	return key, b.step("generated")
}

// made notes a key; one that was noted before must be the same key.
func (b *bench) made(k newKey, key tokenKey, before *transcript.Key) error {
	now, err := describeKey(k, key)
	if err != nil {
		return err
	}
	switch {
	case before == nil:
		if err := b.record(transcript.EventKey, now); err != nil {
			return err
		}
	case before.CKAID != now.CKAID || before.ID != now.ID || before.Kind != now.Kind:
		return fmt.Errorf("%w: %s is not the key that the transcript names", ErrKey, keyName(now.Token, now.Label))
	}
	b.keys = append(b.keys, Key{Token: now.Token, Label: now.Label, Kind: now.Kind, ID: now.ID})
	b.log.Info("key audited and tried", "token", now.Token, "label", now.Label, "kind", now.Kind, "id", now.ID)
	if b.progress != nil {
		b.progress(len(b.keys), len(b.planned))
	}
	return nil
}

// reserve demands, before the first key is made, that every label is free
// (half a row of keys helps nobody), and that no key that is there already
// was loosened: such a token is not one to make more keys in.
func (b *bench) reserve(ctx context.Context) error {
	if b.reserved {
		return nil
	}
	audited := make(map[string]bool)
	for _, k := range b.planned {
		t, err := b.token(ctx, k.uri)
		if err != nil {
			return err
		}
		if !audited[k.uri.Token] {
			_, errRSA := t.RSAKeys(ctx)
			_, errEC := t.ECDSAKeys(ctx)
			if err := first(errRSA, errEC); err != nil {
				return fmt.Errorf("token %q: %w", k.uri.Token, err)
			}
			audited[k.uri.Token] = true
		}
		if b.recall(k.uri.Token, k.uri.Object).begun {
			continue
		}
		if err := t.Unused(ctx, k.uri.Object); err != nil {
			return err
		}
	}
	b.reserved = true
	return nil
}
