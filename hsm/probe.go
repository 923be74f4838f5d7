package hsm

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/pkcs11"
)

// ProbeOptions say how a token is tried out.
type ProbeOptions struct {
	// TokenObjects makes the trial keys as objects of the token, as real keys
	// are. Some tokens make no others, some treat others differently. The keys
	// are destroyed afterwards where the token lets that happen; where it does
	// not, they stay until it is initialised again (EraseToken).
	TokenObjects bool
	// RateTime is how long each rate is measured; 0 is a second.
	RateTime time.Duration
	// Progress is called by one goroutine at a time with the steps done and
	// their number; nil is not called.
	Progress func(done, total int)
}

// A Report says what a token is, and what Specie can do with it.
type Report struct {
	Library    LibraryInfo `json:"library"`
	Token      TokenInfo   `json:"token"`
	Limits     Limits      `json:"limits"`
	Mechanisms []Mechanism `json:"mechanisms"` // by code
	// SessionObjects: a key was made that lasts no longer than its session.
	// False where none could be made, or none was asked for.
	SessionObjects bool `json:"session_objects"`
	// TokenObjects was asked for (ProbeOptions).
	TokenObjects bool  `json:"token_objects"`
	Uses         []Use `json:"uses"`
	// Absent is what Config.Absent must name for this token, sorted: the
	// attributes which it lacks or does not let itself be asked for, and which
	// a bank can do without.
	Absent []string `json:"absent"`
	// Left counts the objects that the token did not let the probe destroy,
	// under the label Label. It is 0 unless TokenObjects was asked for.
	Left  int    `json:"left"`
	Label string `json:"label"`
}

// LibraryInfo says which PKCS#11 library this is, as it says itself.
type LibraryInfo struct {
	Path         string `json:"path"`
	Manufacturer string `json:"manufacturer"`
	Description  string `json:"description"`
	Version      string `json:"version"`  // "major.minor"
	Cryptoki     string `json:"cryptoki"` // the version of the standard, "2.40"
}

// Limits of a token. Nil is what the token does not tell; a token may tell
// untruths.
type Limits struct {
	Sessions      *uint64 `json:"sessions,omitempty"`       // open at a time; 0 is no limit
	Opened        int     `json:"opened"`                   // sessions that were open at a time in the trial, at most Config.Sessions
	MinPIN        uint64  `json:"min_pin"`                  // bytes
	MaxPIN        uint64  `json:"max_pin"`                  // bytes
	PublicMemory  *uint64 `json:"public_memory,omitempty"`  // bytes free
	PrivateMemory *uint64 `json:"private_memory,omitempty"` // bytes free
}

// A Mechanism is one that the token lists.
type Mechanism struct {
	Code uint `json:"code"`
	// Name is "CKM_RSA_X_509" for those that Specie uses, the code in
	// hexadecimal for others.
	Name     string   `json:"name"`
	Min      uint     `json:"min"` // key size: bits, of AES keys bytes
	Max      uint     `json:"max"`
	Hardware bool     `json:"hardware"`
	For      []string `json:"for"` // "sign", "encrypt", …
}

// A Use is one thing that Specie wants keys for.
type Use struct {
	Name string `json:"use"`
	Can  bool   `json:"can"`
	// Why not, a sentence for each reason. Empty if Can.
	Why []string `json:"why,omitempty"`
	// Attributes of the trial key that the token does not treat as it is
	// asked to. All others it was asked for and has.
	Attributes []Finding `json:"attributes,omitempty"`
	// Rates of raw signatures, for RSA keys that sign at all.
	Rates []Rate `json:"rates,omitempty"`
}

// What a token does with an attribute.
const (
	// Refused: it makes no key that is asked to have it, but the keys that it
	// makes have it all the same.
	Refused = "refused"
	// Absent: its keys do not have it, whether it may be asked for or not.
	Absent = "absent"
	// Different: its keys have another value.
	Different = "different"
)

// A Finding is about one attribute of a trial key.
type Finding struct {
	Half      string `json:"half"`      // "private", "public" or "secret"
	Attribute string `json:"attribute"` // "CKA_COPYABLE"
	Finding   string `json:"finding"`   // Refused, Absent or Different
	Must      string `json:"must"`      // what it must be: "true", "0x…"
	Is        string `json:"is"`        // what it is, "absent" included
	Answer    string `json:"answer,omitempty"`
	// Spare: a bank can do without it (Config.Absent).
	Spare bool `json:"spare"`
}

// A Rate was measured on one key.
type Rate struct {
	Sessions  int     `json:"sessions"` // that signed at the same time
	PerSecond float64 `json:"per_second"`
}

// Probe opens the token that cfg names, which must not be open, and finds out
// what it can do for Specie: it makes a trial key for each use with the very
// template of a real one, reads every attribute back, uses the key, and
// measures raw RSA with one session and with cfg.Sessions. Unless opts say
// otherwise the keys last for a session only, and nothing is left on the token.
//
// A key that can't be made is no error but part of the Report. Errors are
// those of Module.Token, ErrUnavailable if the token fails in between, and the
// context's.
func Probe(ctx context.Context, m *Module, cfg Config, opts ProbeOptions) (*Report, error) {
	return probe(ctx, m, cfg, opts, trials())
}

func probe(ctx context.Context, m *Module, cfg Config, opts ProbeOptions, uses []*trial) (*Report, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	sessions := cmp.Or(cfg.Sessions, defaultSessions)
	cfg.Sessions = 1
	t, err := m.Token(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p := &prober{
		t: t, opts: opts, trials: uses, settled: make(map[uint]*settlement),
		label: "specie-probe-" + hex.EncodeToString(randomID()[:4]),
	}
	p.opts.RateTime = cmp.Or(opts.RateTime, time.Second)
	report, err := p.run(ctx, sessions)
	if err = errors.Join(err, t.Close()); err != nil {
		return nil, err
	}
	return report, nil
}

type prober struct {
	t       *Token
	opts    ProbeOptions
	slot    uint
	label   string
	trials  []*trial
	mechs   map[uint]Mechanism
	settled map[uint]*settlement // by generator

	sessions    int // that can be open at a time besides the Token's, at least 1
	done, total int // steps
}

func (p *prober) run(ctx context.Context, sessions int) (*Report, error) {
	r := &Report{Token: p.t.info, Label: p.label, TokenObjects: p.opts.TokenObjects, Absent: []string{}}
	if err := p.describe(r, sessions); err != nil {
		return nil, err
	}
	for _, u := range p.trials {
		p.total += u.steps()
	}
	for _, u := range p.trials {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("hsm: probe: %w", err)
		}
		before := p.done
		use, made, err := p.try(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("probe %s: %w", u.name, err)
		}
		p.advance(u.steps() - (p.done - before))
		r.SessionObjects = r.SessionObjects || made && !p.opts.TokenObjects
		r.Uses = append(r.Uses, *use)
		for _, f := range use.Attributes {
			if f.Spare && f.Finding != Different {
				r.Absent = append(r.Absent, f.Attribute)
			}
		}
	}
	slices.Sort(r.Absent)
	r.Absent = slices.Compact(r.Absent)
	return r, p.count(ctx, r)
}

// count looks for trial keys that are still there.
func (p *prober) count(ctx context.Context, r *Report) error {
	err := p.t.do(ctx, func(s pkcs11.SessionHandle) error {
		left, err := p.t.find(s, attr(pkcs11.CKA_LABEL, p.label))
		r.Left = len(left)
		return err
	})
	if err == nil && r.Left != 0 && !p.opts.TokenObjects {
		return fmt.Errorf("%w: %d objects %q outlast the session that made them", ErrFaulty, r.Left, p.label)
	}
	return err
}

func (p *prober) advance(steps int) {
	p.done += steps
	if p.opts.Progress != nil && steps > 0 {
		p.opts.Progress(p.done, p.total)
	}
}

// describe fills in what the library and the token say about themselves.
func (p *prober) describe(r *Report, sessions int) error {
	ctx := p.t.mod.ctx
	lib, err := ctx.GetInfo()
	if err != nil {
		return called("C_GetInfo", err)
	}
	r.Library = LibraryInfo{
		Path: p.t.mod.path, Manufacturer: lib.ManufacturerID, Description: lib.LibraryDescription,
		Version:  fmt.Sprintf("%d.%d", lib.LibraryVersion.Major, lib.LibraryVersion.Minor),
		Cryptoki: fmt.Sprintf("%d.%02d", lib.CryptokiVersion.Major, lib.CryptokiVersion.Minor),
	}
	slot, info, err := p.t.mod.findToken(p.t.info.Label, p.t.info.Serial)
	if err != nil {
		return err
	}
	p.slot = slot
	r.Limits = Limits{
		Sessions: told(info.MaxSessionCount), MinPIN: uint64(info.MinPinLen), MaxPIN: uint64(info.MaxPinLen),
		PublicMemory: told(info.FreePublicMemory), PrivateMemory: told(info.FreePrivateMemory),
	}
	if p.sessions, err = p.openMany(sessions); err != nil {
		return err
	}
	r.Limits.Opened = p.sessions
	r.Mechanisms, err = p.mechanisms()
	return err
}

// told is nil for CK_UNAVAILABLE_INFORMATION.
func told(n uint) *uint64 {
	if n == ^uint(0) {
		return nil
	}
	v := uint64(n)
	return &v
}

// openMany counts how many of n sessions can be open at once, besides the one
// of the Token.
func (p *prober) openMany(n int) (int, error) {
	for i := range n {
		s, err := p.t.mod.ctx.OpenSession(p.slot, pkcs11.CKF_SERIAL_SESSION)
		if err != nil {
			if err = called("C_OpenSession", err); i == 0 {
				return 0, err
			}
			return i, nil
		}
		defer p.t.mod.ctx.CloseSession(s)
	}
	return n, nil
}

func (p *prober) mechanisms() ([]Mechanism, error) {
	ctx := p.t.mod.ctx
	list, err := ctx.GetMechanismList(p.slot)
	if err != nil {
		return nil, called("C_GetMechanismList", err)
	}
	p.mechs = make(map[uint]Mechanism)
	for _, m := range list {
		info, err := ctx.GetMechanismInfo(p.slot, []*pkcs11.Mechanism{m})
		if err != nil {
			continue // a mechanism that is listed and then not known is none
		}
		p.mechs[m.Mechanism] = Mechanism{
			Code: m.Mechanism, Name: mechanismName(m.Mechanism), Min: info.MinKeySize, Max: info.MaxKeySize,
			Hardware: info.Flags&pkcs11.CKF_HW != 0, For: purposes(info.Flags),
		}
	}
	all := make([]Mechanism, 0, len(p.mechs))
	for _, m := range p.mechs {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Mechanism) int { return cmp.Compare(a.Code, b.Code) })
	return all, nil
}

// mechanismName knows the mechanisms that Specie uses.
func mechanismName(code uint) string {
	switch code {
	case pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN:
		return "CKM_RSA_PKCS_KEY_PAIR_GEN"
	case pkcs11.CKM_RSA_X_509:
		return "CKM_RSA_X_509"
	case pkcs11.CKM_EC_KEY_PAIR_GEN:
		return "CKM_EC_KEY_PAIR_GEN"
	case pkcs11.CKM_ECDSA:
		return "CKM_ECDSA"
	case pkcs11.CKM_AES_KEY_GEN:
		return "CKM_AES_KEY_GEN"
	case pkcs11.CKM_AES_GCM:
		return "CKM_AES_GCM"
	}
	return fmt.Sprintf("0x%x", code)
}

// What a mechanism may be for, as far as it matters.
const (
	forSigning    = "sign"
	forEncryption = "encrypt"
	forDecryption = "decrypt"
)

func purposes(flags uint) []string {
	list := []string{}
	for _, p := range []struct {
		flag uint
		name string
	}{
		{pkcs11.CKF_GENERATE, "generate"}, {pkcs11.CKF_GENERATE_KEY_PAIR, "generate a pair"},
		{pkcs11.CKF_SIGN, forSigning}, {pkcs11.CKF_SIGN_RECOVER, "sign with recovery"},
		{pkcs11.CKF_VERIFY, "verify"}, {pkcs11.CKF_VERIFY_RECOVER, "verify with recovery"},
		{pkcs11.CKF_ENCRYPT, forEncryption}, {pkcs11.CKF_DECRYPT, forDecryption}, {pkcs11.CKF_DIGEST, "digest"},
		{pkcs11.CKF_WRAP, "wrap"}, {pkcs11.CKF_UNWRAP, "unwrap"}, {pkcs11.CKF_DERIVE, "derive"},
	} {
		if flags&p.flag != 0 {
			list = append(list, p.name)
		}
	}
	return list
}
