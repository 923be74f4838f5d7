package ceremony

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/softhsm"
	"github.com/speciecash/specie/trust"
)

// rehearsal is the stage of throw-away tokens: SoftHSM in a directory that
// goes with it. Keys and certificates that exist already have stand-ins of the
// same kind, name and validity. Nothing is noted and nothing left.
type rehearsal struct {
	plan   *Plan
	dir    string
	soft   *softhsm.Provisioned
	module *hsm.Module
	before environment

	tokens      map[string]*hsm.Token // by label
	soPINs      map[string]hsm.PIN
	signatories map[string]*signatory
}

// environment is SoftHSM's variable as it was.
type environment struct {
	name, value string
	set         bool
}

func (e environment) restore() error {
	if e.set {
		return os.Setenv(e.name, e.value)
	}
	return os.Unsetenv(e.name)
}

// newRehearsal opens SoftHSM, at module or where packages put it.
func newRehearsal(p *Plan, module string) (r *rehearsal, err error) {
	r = &rehearsal{
		plan: p, tokens: make(map[string]*hsm.Token), soPINs: make(map[string]hsm.PIN), signatories: make(map[string]*signatory),
	}
	r.before.name = softhsm.ConfigVariable
	r.before.value, r.before.set = os.LookupEnv(r.before.name)
	if r.dir, err = os.MkdirTemp("", "specie-rehearsal-*"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if module == "" {
		if module, err = softhsm.FindModule(); err != nil {
			return nil, err
		}
	}
	if r.soft, err = softhsm.ProvisionModule(module, filepath.Join(r.dir, "hsm")); err != nil {
		return nil, err
	}
	r.module, err = r.soft.Open()
	return r, err
}

// close unloads SoftHSM, so that the real tokens' library may be loaded, and
// takes the directory away.
func (r *rehearsal) close() error {
	var errs []error
	if r.module != nil {
		errs = append(errs, r.module.Close())
	}
	return errors.Join(append(errs, r.before.restore(), os.RemoveAll(r.dir))...)
}

func (r *rehearsal) token(ctx context.Context, u *hsm.URI) (*hsm.Token, error) {
	if t := r.tokens[u.Token]; t != nil {
		return t, nil
	}
	pin, soPIN := hsm.RandomPIN(), hsm.RandomPIN()
	cfg, err := r.soft.InitToken(ctx, r.module, u.Token, soPIN, pin)
	if err != nil {
		return nil, err
	}
	cfg.Sessions = 1
	t, err := r.module.Token(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r.tokens[u.Token], r.soPINs[u.Token] = t, soPIN
	return t, nil
}

// signatory makes a stand-in for the key and its certificate, and for the
// root above it, which nothing is asked of.
func (r *rehearsal) signatory(ctx context.Context, c *certified) (*signatory, error) {
	name := keyName(c.key.Token, c.key.Object)
	if s := r.signatories[name]; s != nil {
		return s, nil
	}
	t, err := r.token(ctx, c.key.URI)
	if err != nil {
		return nil, err
	}
	pub, ok := c.cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: the certificate of %s is not of an ECDSA key", ErrInput, c.name)
	}
	key, err := t.GenerateECDSA(ctx, c.key.Object, pub.Curve)
	if err != nil {
		return nil, err
	}
	s, err := standIn(c, key)
	if err != nil {
		return nil, err
	}
	r.signatories[name] = s
	return s, nil
}

func standIn(c *certified, key *hsm.ECDSAKey) (*signatory, error) {
	under := c.root.Certificate()
	if c.name.Role == trust.RoleRoot {
		root, err := selfSigned(func() ([]byte, error) { return trust.CreateRoot(key, under.NotBefore, under.NotAfter) })
		return &signatory{name: c.name, root: root, key: key}, err
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root, err := selfSigned(func() ([]byte, error) { return trust.CreateRoot(rootKey, under.NotBefore, under.NotAfter) })
	if err != nil {
		return nil, err
	}
	der, err := trust.Issue(root.Certificate(), rootKey, c.name, key.Public(), c.cert.NotBefore, c.cert.NotAfter, c.cert.IsCA)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &signatory{name: c.name, root: root, chain: []*x509.Certificate{cert}, key: key}, err
}

func selfSigned(create func() ([]byte, error)) (*trust.Root, error) {
	der, err := create()
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return trust.NewRoot(cert)
}

// inspect makes a stand-in of each kind and inspects those.
func (r *rehearsal) inspect(ctx context.Context, u *hsm.URI, list *stocklist) error {
	t, err := r.token(ctx, u)
	if err != nil {
		return err
	}
	made := &stocklist{}
	kinds := make(map[string]bool)
	for _, k := range list.keys {
		if kinds[k.Kind] {
			continue
		}
		kinds[k.Kind] = true
		stand := newKey{u.WithObject(k.Label), k.Kind}
		key, err := generate(ctx, t, stand)
		if err != nil {
			return err
		}
		described, err := describeKey(stand, key)
		if err != nil {
			return err
		}
		made.keys = append(made.keys, *described)
	}
	return inspect(ctx, t, made, func(transcript.Key) error { return nil })
}

func (r *rehearsal) erase(ctx context.Context, e *erasure) error {
	t, err := r.token(ctx, e.uri)
	if err != nil {
		return err
	}
	if _, err := t.GenerateECDSA(ctx, "stand-in", elliptic.P256()); err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	delete(r.tokens, e.uri.Token)
	return r.module.EraseToken(ctx, e.uri.Token, "", r.soPINs[e.uri.Token])
}

func (r *rehearsal) recall(string, string) recollection { return recollection{} }

func (r *rehearsal) record(transcript.Event, any) error { return nil }

func (r *rehearsal) step(string) error { return nil }

func (r *rehearsal) output(_ string, create func() ([]byte, error)) ([]byte, error) { return create() }

// finish closes a transcript that nobody keeps: the signatory must be able to.
func (r *rehearsal) finish(s *signatory, at time.Time) error {
	w, err := transcript.Create(filepath.Join(r.dir, "transcript"), func() time.Time { return at })
	if err != nil {
		return err
	}
	if err := w.Append(transcript.EventOpened, transcript.Opened{}); err != nil {
		return errors.Join(err, w.Release())
	}
	return errors.Join(w.Close(s.name, s.chain, s.key), w.Release())
}
