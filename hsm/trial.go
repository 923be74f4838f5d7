package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/pkcs11"
)

// rateSteps is how often progress shows in the course of one measurement.
const rateSteps = 10

// A trial is a use of Specie's that a token is tried out for.
type trial struct {
	name                 string
	generator, mechanism uint
	purposes             []string            // what the mechanism must be for
	bits                 uint                // of an RSA key
	half                 string              // "private" or "secret"
	rules, public        []rule              // those of real keys; no public ones for a secret key
	more                 []*pkcs11.Attribute // what else the generator is told, in the public template
	work                 func(p *prober, ctx context.Context, u *trial, id []byte, use *Use) error
}

func trials() []*trial {
	var all []*trial
	for _, bits := range []uint{2048, 3072, 4096} {
		all = append(all, &trial{
			name: fmt.Sprintf("denomination keys, RSA-%d", bits), bits: bits, half: "private", work: (*prober).workRSA,
			generator: pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, mechanism: pkcs11.CKM_RSA_X_509, purposes: []string{forSigning},
			rules: rsaRules(), public: publicRules(pkcs11.CKK_RSA),
			more: []*pkcs11.Attribute{attr(pkcs11.CKA_MODULUS_BITS, bits), attr(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})},
		})
	}
	for _, ec := range []struct {
		name  string
		curve elliptic.Curve
	}{{"root and master keys, ECDSA P-384", elliptic.P384()}, {"online signing keys, ECDSA P-256", elliptic.P256()}} {
		params, _ := curveParams(ec.curve) // both are known there
		all = append(all, &trial{
			name: ec.name, half: "private", work: (*prober).workECDSA,
			generator: pkcs11.CKM_EC_KEY_PAIR_GEN, mechanism: pkcs11.CKM_ECDSA, purposes: []string{forSigning},
			rules: ecdsaRules(), public: publicRules(pkcs11.CKK_EC),
			more: []*pkcs11.Attribute{attr(pkcs11.CKA_EC_PARAMS, params)},
		})
	}
	return append(all, &trial{
		name: "the manager's seal, AES-256-GCM", half: "secret", work: (*prober).workAES,
		generator: pkcs11.CKM_AES_KEY_GEN, mechanism: pkcs11.CKM_AES_GCM, purposes: []string{forEncryption, forDecryption},
		rules: secretRules(),
	})
}

func (u *trial) steps() int {
	if u.bits != 0 {
		return 1 + 2*rateSteps
	}
	return 1
}

// An ask is an attribute of one half that a key is asked to have.
type ask struct {
	half string
	typ  uint
}

// asks lists what a real key is asked for, beyond what no key is made
// without. CKA_DESTROYABLE comes last: the trials without it leave nothing.
func (u *trial) asks() []ask {
	var all, last []ask
	add := func(half string, rules []rule) {
		for _, r := range rules {
			switch {
			case r.token, r.typ == pkcs11.CKA_TOKEN, r.typ == pkcs11.CKA_VALUE_LEN:
			case r.typ == pkcs11.CKA_DESTROYABLE:
				last = append(last, ask{half, r.typ})
			default:
				all = append(all, ask{half, r.typ})
			}
		}
	}
	add(u.half, u.rules)
	add("public", u.public)
	return append(all, last...)
}

// try makes a key for one use and uses it. made tells whether there was one.
func (p *prober) try(ctx context.Context, u *trial) (use *Use, made bool, err error) {
	use = &Use{Name: u.name}
	if why := p.unlisted(u); why != "" {
		use.Why = []string{why}
		return use, false, nil
	}
	can := p.settled[u.generator] // the size of a key seldom matters
	if can == nil {
		can = &settlement{asks: u.asks()}
	}
	makeAndUse := func() error {
		id := randomID()
		return p.withKey(u, id, can.asks, func(s pkcs11.SessionHandle, key, public pkcs11.ObjectHandle) error {
			made = true
			return p.examine(ctx, u, id, s, key, public, can.answers, use)
		})
	}
	if err = makeAndUse(); !made && refused(err) {
		if can, err = p.settle(ctx, u); err == nil {
			err = makeAndUse()
		}
	}
	if !made && refused(err) {
		use.Why = []string{fmt.Sprintf("makes no such key, whatever it is asked to be: %v", err)}
		if !p.opts.TokenObjects {
			use.Why = []string{fmt.Sprintf("makes no such key as an object of a session: %v", err)}
		}
		return use, false, nil
	}
	if err == nil {
		err = ctx.Err()
	}
	use.Can = len(use.Why) == 0
	return use, made, err
}

// examine audits the key and puts it to work.
func (p *prober) examine(ctx context.Context, u *trial, id []byte, s pkcs11.SessionHandle, key, public pkcs11.ObjectHandle, answers map[ask]string, use *Use) error {
	p.advance(1)
	if err := p.compare(s, key, u.half, u.rules, answers, use); err != nil {
		return err
	}
	if u.public != nil {
		if err := p.compare(s, public, "public", u.public, answers, use); err != nil {
			return err
		}
	}
	if err := u.work(p, ctx, u, id, use); err != nil {
		use.Why = append(use.Why, err.Error())
	}
	return nil
}

// unlisted says why the token does not even claim to serve a use.
func (p *prober) unlisted(u *trial) string {
	for _, code := range []uint{u.generator, u.mechanism} {
		if _, ok := p.mechs[code]; !ok {
			return mechanismName(code) + " is not among its mechanisms"
		}
	}
	use := p.mechs[u.mechanism]
	for _, purpose := range u.purposes {
		if len(use.For) > 0 && !slices.Contains(use.For, purpose) {
			return fmt.Sprintf("%s is not among its mechanisms to %s, but to %s", use.Name, purpose, strings.Join(use.For, ", "))
		}
	}
	m := p.mechs[u.generator]
	if u.bits != 0 && m.Max != 0 && (u.bits < m.Min || u.bits > m.Max) {
		return fmt.Sprintf("%s makes keys of %d to %d bits", m.Name, m.Min, m.Max)
	}
	return ""
}

// A settlement is what keys of one kind can be asked to have, and what the
// token answered about the rest.
type settlement struct {
	asks    []ask
	answers map[ask]string
}

// settle finds out which attributes a key can be asked to have, when it can't
// be asked to have all. An error that is refused is about a key that is asked
// for nothing.
func (p *prober) settle(ctx context.Context, u *trial) (*settlement, error) {
	if err := p.attempt(u, nil); err != nil {
		return nil, err
	}
	found := &settlement{answers: make(map[ask]string)}
	var err error
	if found.asks, err = p.accept(ctx, u, nil, u.asks(), found.answers); err != nil {
		return nil, err
	}
	p.settled[u.generator] = found
	return found, nil
}

// accept adds to good, which is known to work, as much of list as works.
func (p *prober) accept(ctx context.Context, u *trial, good, list []ask, answers map[ask]string) ([]ask, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	more := append(good[:len(good):len(good)], list...)
	err := p.attempt(u, more)
	switch {
	case err == nil:
		return more, nil
	case !refused(err):
		return nil, err
	case len(list) == 1:
		answers[list[0]] = err.Error()
		return good, nil
	}
	half := len(list) / 2
	good, err = p.accept(ctx, u, good, list[:half], answers)
	if err != nil {
		return nil, err
	}
	return p.accept(ctx, u, good, list[half:], answers)
}

// attempt makes a key and destroys it.
func (p *prober) attempt(u *trial, asks []ask) error {
	return p.withKey(u, randomID(), asks, func(pkcs11.SessionHandle, pkcs11.ObjectHandle, pkcs11.ObjectHandle) error { return nil })
}

// withKey makes a key in a session of its own and runs op before it goes. A
// key that is to last no longer than its session goes with it, whatever its
// attributes; one of the token is destroyed if the token lets that happen.
func (p *prober) withKey(u *trial, id []byte, asks []ask, op func(s pkcs11.SessionHandle, key, public pkcs11.ObjectHandle) error) error {
	ctx := p.t.mod.ctx
	s, err := ctx.OpenSession(p.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return called("C_OpenSession", err)
	}
	defer ctx.CloseSession(s)
	mechanism := []*pkcs11.Mechanism{pkcs11.NewMechanism(u.generator, nil)}
	var key, public pkcs11.ObjectHandle
	if u.public == nil {
		key, err = ctx.GenerateKey(s, mechanism, p.template(u.half, u.rules, id, asks, u.more))
		err = called("C_GenerateKey", err)
	} else {
		public, key, err = ctx.GenerateKeyPair(s, mechanism,
			p.template("public", u.public, id, asks, u.more), p.template(u.half, u.rules, id, asks, nil))
		err = called("C_GenerateKeyPair", err)
	}
	if err != nil {
		return err
	}
	if p.opts.TokenObjects {
		// What it does not let go is counted in the end.
		defer func() {
			_ = ctx.DestroyObject(s, key)
			if u.public != nil {
				_ = ctx.DestroyObject(s, public)
			}
		}()
	}
	return op(s, key, public)
}

func (p *prober) template(half string, rules []rule, id []byte, asks []ask, more []*pkcs11.Attribute) []*pkcs11.Attribute {
	out := []*pkcs11.Attribute{
		attr(pkcs11.CKA_LABEL, p.label), attr(pkcs11.CKA_ID, id), attr(pkcs11.CKA_TOKEN, p.opts.TokenObjects),
	}
	asked := make(map[ask]bool)
	for _, a := range asks {
		asked[a] = true
	}
	for _, r := range rules {
		if asked[ask{half, r.typ}] || r.typ == pkcs11.CKA_VALUE_LEN {
			out = append(out, attr(r.typ, r.value))
		}
	}
	return append(out, more...)
}

// compare is the audit, for every attribute and not up to the first that
// differs.
func (p *prober) compare(s pkcs11.SessionHandle, h pkcs11.ObjectHandle, half string, rules []rule, answers map[ask]string, use *Use) error {
	types := make([]uint, len(rules))
	for i, r := range rules {
		types[i] = r.typ
	}
	values, err := p.t.read(s, h, types...)
	if err != nil {
		return err
	}
	for i, r := range rules {
		if r.typ == pkcs11.CKA_TOKEN && !p.opts.TokenObjects {
			continue
		}
		f := Finding{
			Half: half, Attribute: r.name, Must: show(r.value), Is: show(values[i]),
			Answer: answers[ask{half, r.typ}], Spare: mayLack(r.typ),
		}
		switch {
		case values[i] == nil:
			f.Finding = Absent
		case !bytes.Equal(values[i], r.value):
			f.Finding = Different
		case f.Answer != "":
			f.Finding = Refused
		default:
			continue
		}
		use.Attributes = append(use.Attributes, f)
		if why := f.why(); why != "" {
			use.Why = append(use.Why, why)
		}
	}
	return nil
}

// why is empty for what a bank can do without.
func (f *Finding) why() string {
	switch {
	case f.Finding == Different:
		return fmt.Sprintf("%s of the %s key is %s, must be %s", f.Attribute, f.Half, f.Is, f.Must)
	case f.Spare:
		return ""
	case f.Finding == Absent:
		return fmt.Sprintf("the %s key has no %s", f.Half, f.Attribute)
	}
	return fmt.Sprintf("the %s key can't be asked to have %s %s: %s", f.Half, f.Attribute, f.Must, f.Answer)
}

// workRSA loads the key as a real one is loaded, but for its attributes, and
// has it sign, with one session and with all.
func (p *prober) workRSA(ctx context.Context, u *trial, id []byte, use *Use) error {
	key, err := p.t.loadRSA(ctx, p.label, id, nil)
	if err != nil {
		return err
	}
	if got := uint(key.public.N.BitLen()); got != u.bits {
		return fmt.Errorf("the modulus has %d bits, not %d", got, u.bits)
	}
	for _, n := range []int{1, p.sessions} {
		if n == 1 && len(use.Rates) == 1 {
			break
		}
		rate, err := p.rate(ctx, key, n)
		if err != nil {
			return fmt.Errorf("%d sessions at a time: %w", n, err)
		}
		use.Rates = append(use.Rates, Rate{Sessions: n, PerSecond: rate})
	}
	return nil
}

func (p *prober) workECDSA(ctx context.Context, _ *trial, id []byte, _ *Use) error {
	key, err := p.t.loadECDSA(ctx, p.label, id, nil, nil)
	if err != nil {
		return err
	}
	if hash := crypto.SHA384; hash.Size() <= key.scalarSize() {
		digest := make([]byte, hash.Size())
		rand.Read(digest) // crypto/rand.Read never fails
		_, err = key.SignDigest(ctx, digest, hash)
	}
	return err
}

func (p *prober) workAES(ctx context.Context, _ *trial, id []byte, _ *Use) error {
	key, err := p.t.loadAES(ctx, p.label, id, nil)
	if err != nil {
		return err
	}
	box, err := key.Seal(ctx, []byte("specie"), []byte("probe"))
	if err != nil {
		return err
	}
	box[len(box)-1] ^= 1
	if _, err := key.open(ctx, box, []byte("probe")); err == nil {
		return errors.New("opens a sealed box that was altered")
	}
	return nil
}

// rate measures with n sessions at a time.

func (p *prober) rate(ctx context.Context, key *RSAKey, n int) (float64, error) {
	type result struct {
		rate float64
		err  error
	}
	done := make(chan result, 1)
	go func() {
		rate, err := key.RawSignRate(ctx, n, p.opts.RateTime)
		done <- result{rate, err}
	}()
	tick := time.NewTicker(max(p.opts.RateTime/rateSteps, time.Millisecond))
	defer tick.Stop()
	for shown := 0; ; {
		select {
		case <-tick.C:
			if shown < rateSteps-1 {
				shown++
				p.advance(1)
			}
		case r := <-done:
			p.advance(rateSteps - shown)
			return r.rate, r.err
		}
	}
}
