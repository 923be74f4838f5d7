package hsm

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

// Stats is what a Token did since it was opened. It is a copy; counts only
// grow, except those of Sessions.
type Stats struct {
	Calls    []CallStats  // by name; calls that were never made are left out
	Errors   []ErrorStats // by call and code; codes that never came are left out
	Queue    Histogram    // how long calls waited for a session
	Sessions SessionStats
	Busy     uint64 // calls that were refused because too many waited (ErrBusy)

	Available   bool   // false from the loss of the sessions until they are replaced
	Heals       uint64 // how often lost sessions were replaced
	FailedHeals uint64 // attempts at that which failed
	Reloads     uint64 // of the module, for whichever of its tokens
}

// CallStats is about one function of PKCS#11.
type CallStats struct {
	Call  string        // "C_Sign"
	Count uint64        // failed ones included
	Time  time.Duration // spent inside the module, by all of them
}

// ErrorStats counts one return value of one function.
type ErrorStats struct {
	Call  string // "C_Sign"
	Name  string // "CKR_DEVICE_ERROR"
	Code  uint   // CKR_*
	Count uint64
}

// SessionStats tells what the sessions do at this moment.
type SessionStats struct {
	Open    int // on the token; 0 in an outage
	Busy    int // lent to calls
	Waiting int // calls that wait for one
}

// A Histogram counts durations.
type Histogram struct {
	Count   uint64
	Sum     time.Duration
	Buckets []Bucket // in the order of UpTo; what is longer than the last is in Count only
}

// A Bucket counts the durations of at most UpTo, those of the buckets before
// it included.
type Bucket struct {
	UpTo  time.Duration
	Count uint64
}

// Stats returns what the Token did so far. It takes microseconds and calls
// nothing on the token, so it works in an outage too.
func (t *Token) Stats() Stats {
	s := Stats{
		Calls:       t.api.callStats(),
		Errors:      t.api.errorStats(),
		Queue:       t.waits.snapshot(),
		Busy:        t.queue.refused.Load(),
		Available:   !t.closed() && t.outage.Load() == nil,
		Heals:       t.heals.Load(),
		FailedHeals: t.failedHeals.Load(),
		Reloads:     t.mod.reloads.Load(),
	}
	s.Sessions.Open = int(t.open.Load())
	s.Sessions.Busy, s.Sessions.Waiting = t.queue.counts()
	return s
}

// A waitMeter is a Histogram that is written to.
type waitMeter struct {
	sum     atomic.Int64
	buckets [len(waitBounds) + 1]atomic.Uint64 // one each, the last for what is longer
}

// waitBounds: a free session takes microseconds; a second is an outage.
var waitBounds = [...]time.Duration{
	100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

func (w *waitMeter) observe(d time.Duration) {
	w.sum.Add(int64(d))
	i, _ := slices.BinarySearch(waitBounds[:], d)
	w.buckets[i].Add(1)
}

func (w *waitMeter) snapshot() Histogram {
	h := Histogram{Sum: time.Duration(w.sum.Load())}
	for i := range w.buckets {
		h.Count += w.buckets[i].Load()
		if i < len(waitBounds) {
			h.Buckets = append(h.Buckets, Bucket{waitBounds[i], h.Count})
		}
	}
	return h
}

// The calls that are counted.
const (
	callOpenSession = iota
	callCloseSession
	callLogin
	callLogout
	callGetAttributeValue
	callFindObjectsInit
	callFindObjects
	callGenerateKey
	callGenerateKeyPair
	callSignInit
	callSign
	callEncryptInit
	callEncrypt
	callDecryptInit
	callDecrypt
	callCount
)

var callNames = [callCount]string{
	"C_OpenSession", "C_CloseSession", "C_Login", "C_Logout", "C_GetAttributeValue", "C_FindObjectsInit", "C_FindObjects",
	"C_GenerateKey", "C_GenerateKeyPair", "C_SignInit", "C_Sign", "C_EncryptInit", "C_Encrypt", "C_DecryptInit", "C_Decrypt",
}

// maxCodes bounds how many different failures a meter remembers: what codes
// there are is for the module to say.
const maxCodes = 256

// A meter counts and times the calls of one Token on their way to the module.
type meter struct {
	cryptoki
	calls [callCount]struct{ count, nanos atomic.Uint64 }

	mu       sync.Mutex
	failures map[failure]uint64
}

type failure struct {
	call int
	code uint
}

func newMeter(c cryptoki) *meter { return &meter{cryptoki: c, failures: make(map[failure]uint64)} }

// done counts a call that began then and ended now with err.
func (m *meter) done(call int, began time.Time, err *error) {
	c := &m.calls[call]
	c.count.Add(1)
	c.nanos.Add(uint64(time.Since(began)))
	if *err == nil {
		return
	}
	var code pkcs11.Error
	if !errors.As(*err, &code) {
		return
	}
	f := failure{call, uint(code)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.failures[f]; known || len(m.failures) < maxCodes {
		m.failures[f]++
	}
}

func (m *meter) callStats() []CallStats {
	var out []CallStats
	for i := range m.calls {
		if n := m.calls[i].count.Load(); n > 0 {
			out = append(out, CallStats{callNames[i], n, time.Duration(m.calls[i].nanos.Load())})
		}
	}
	slices.SortFunc(out, func(a, b CallStats) int { return cmp.Compare(a.Call, b.Call) })
	return out
}

func (m *meter) errorStats() []ErrorStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []ErrorStats
	for f, n := range m.failures {
		out = append(out, ErrorStats{callNames[f.call], codeName(f.code), f.code, n})
	}
	slices.SortFunc(out, func(a, b ErrorStats) int {
		return cmp.Or(cmp.Compare(a.Call, b.Call), cmp.Compare(a.Code, b.Code))
	})
	return out
}

func (m *meter) OpenSession(slot, flags uint) (s pkcs11.SessionHandle, err error) {
	defer m.done(callOpenSession, time.Now(), &err)
	return m.cryptoki.OpenSession(slot, flags)
}

func (m *meter) CloseSession(s pkcs11.SessionHandle) (err error) {
	defer m.done(callCloseSession, time.Now(), &err)
	return m.cryptoki.CloseSession(s)
}

func (m *meter) Login(s pkcs11.SessionHandle, user uint, pin string) (err error) {
	defer m.done(callLogin, time.Now(), &err)
	return m.cryptoki.Login(s, user, pin)
}

func (m *meter) Logout(s pkcs11.SessionHandle) (err error) {
	defer m.done(callLogout, time.Now(), &err)
	return m.cryptoki.Logout(s)
}

func (m *meter) GetAttributeValue(s pkcs11.SessionHandle, h pkcs11.ObjectHandle, ask []*pkcs11.Attribute) (got []*pkcs11.Attribute, err error) {
	defer m.done(callGetAttributeValue, time.Now(), &err)
	return m.cryptoki.GetAttributeValue(s, h, ask)
}

func (m *meter) FindObjectsInit(s pkcs11.SessionHandle, match []*pkcs11.Attribute) (err error) {
	defer m.done(callFindObjectsInit, time.Now(), &err)
	return m.cryptoki.FindObjectsInit(s, match)
}

func (m *meter) FindObjects(s pkcs11.SessionHandle, most int) (found []pkcs11.ObjectHandle, more bool, err error) {
	defer m.done(callFindObjects, time.Now(), &err)
	return m.cryptoki.FindObjects(s, most)
}

func (m *meter) GenerateKey(s pkcs11.SessionHandle, mech []*pkcs11.Mechanism, tmpl []*pkcs11.Attribute) (h pkcs11.ObjectHandle, err error) {
	defer m.done(callGenerateKey, time.Now(), &err)
	return m.cryptoki.GenerateKey(s, mech, tmpl)
}

func (m *meter) GenerateKeyPair(s pkcs11.SessionHandle, mech []*pkcs11.Mechanism, public, private []*pkcs11.Attribute) (pub, priv pkcs11.ObjectHandle, err error) {
	defer m.done(callGenerateKeyPair, time.Now(), &err)
	return m.cryptoki.GenerateKeyPair(s, mech, public, private)
}

func (m *meter) SignInit(s pkcs11.SessionHandle, mech []*pkcs11.Mechanism, key pkcs11.ObjectHandle) (err error) {
	defer m.done(callSignInit, time.Now(), &err)
	return m.cryptoki.SignInit(s, mech, key)
}

func (m *meter) Sign(s pkcs11.SessionHandle, msg []byte) (sig []byte, err error) {
	defer m.done(callSign, time.Now(), &err)
	return m.cryptoki.Sign(s, msg)
}

func (m *meter) EncryptInit(s pkcs11.SessionHandle, mech []*pkcs11.Mechanism, key pkcs11.ObjectHandle) (err error) {
	defer m.done(callEncryptInit, time.Now(), &err)
	return m.cryptoki.EncryptInit(s, mech, key)
}

func (m *meter) Encrypt(s pkcs11.SessionHandle, plain []byte) (box []byte, err error) {
	defer m.done(callEncrypt, time.Now(), &err)
	return m.cryptoki.Encrypt(s, plain)
}

func (m *meter) DecryptInit(s pkcs11.SessionHandle, mech []*pkcs11.Mechanism, key pkcs11.ObjectHandle) (err error) {
	defer m.done(callDecryptInit, time.Now(), &err)
	return m.cryptoki.DecryptInit(s, mech, key)
}

func (m *meter) Decrypt(s pkcs11.SessionHandle, box []byte) (plain []byte, err error) {
	defer m.done(callDecrypt, time.Now(), &err)
	return m.cryptoki.Decrypt(s, box)
}
