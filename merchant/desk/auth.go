package desk

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Bounds of what a stranger at the desk can make it do.
const (
	maxSessions = 64
	sessionLife = 12 * time.Hour
	maxGuessers = 1024
	freeGuesses = 5                // wrong codes that cost no waiting
	guessEvery  = 10 * time.Second // from then on
)

// codeAlphabet has no letters that are taken for others when read aloud or typed.
const codeAlphabet = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"

// NewCode makes an access code: twelve letters and digits in groups of four, of 59
// bits. It is good for as long as the till is open.
func NewCode() (string, error) {
	var b strings.Builder
	buf := make([]byte, 1)
	for n := 0; n < 12; {
		if _, err := rand.Read(buf); err != nil {
			return "", err
		}
		// Of 256 values the last few would make some letters likelier than others.
		if int(buf[0]) >= 256/len(codeAlphabet)*len(codeAlphabet) {
			continue
		}
		if n > 0 && n%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(codeAlphabet[int(buf[0])%len(codeAlphabet)])
		n++
	}
	return b.String(), nil
}

// plainCode is a code as it is compared: however it was typed.
func plainCode(code string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(code))
}

// session is a browser that has shown the code.
type session struct {
	hash [sha256.Size]byte
	ends time.Time
}

// guesser is somebody who has shown wrong codes.
type guesser struct {
	wrong int
	next  time.Time // when he may try again
}

// cookie is the name of the session's cookie. With https a browser takes it from
// nobody but this very host.
func (d *Desk) cookie() string {
	if d.Secure {
		return "__Host-specie-desk"
	}
	return "specie-desk"
}

// guarded lets those through who may ask: a program with a desk key, or a browser
// with a session. What changes something must come from the page itself.
func (d *Desk) guarded(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			known, err := d.Till.CheckDeskKey(r.Context(), key)
			if err == nil && !known {
				err = fail(http.StatusUnauthorized, "unauthorized", "that is no desk key of this till")
			}
			if err != nil {
				d.problem(w, err)
				return
			}
			next(w, r)
			return
		}
		if !d.inSession(r) {
			d.problem(w, fail(http.StatusUnauthorized, "unauthorized", "show the access code that the till was opened with"))
			return
		}
		if err := sameSite(r); err != nil {
			d.problem(w, err)
			return
		}
		next(w, r)
	})
}

// sameSite refuses what another site has a browser do.
func sameSite(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return nil
	case "":
		// A browser of before 2023 says where it comes from at least.
		if u, err := url.Parse(r.Header.Get("Origin")); err == nil && u.Host != "" && u.Host == r.Host {
			return nil
		}
	}
	return fail(http.StatusForbidden, "cross-site", "this must come from the till's own page, or with a desk key")
}

func (d *Desk) inSession(r *http.Request) bool {
	c, err := r.Cookie(d.cookie())
	if err != nil {
		return false
	}
	hash := sha256.Sum256([]byte(c.Value))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions = slices.DeleteFunc(d.sessions, func(s session) bool { return !d.Now().Before(s.ends) })
	found := 0
	for _, s := range d.sessions {
		found |= subtle.ConstantTimeCompare(s.hash[:], hash[:])
	}
	return found == 1
}

// login gives a session for the access code.
func (d *Desk) login(w http.ResponseWriter, r *http.Request) {
	if err := sameSite(r); err != nil {
		d.problem(w, err)
		return
	}
	var in struct {
		Code string `json:"code"`
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := body(r, &in, false); err != nil {
		d.problem(w, err)
		return
	}
	if err := d.guess(r.RemoteAddr, in.Code); err != nil {
		d.problem(w, err)
		return
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		d.problem(w, err)
		return
	}
	value := base64.RawURLEncoding.EncodeToString(secret)
	d.mu.Lock()
	if len(d.sessions) >= maxSessions {
		d.sessions = slices.Delete(d.sessions, 0, 1) // the oldest
	}
	d.sessions = append(d.sessions, session{sha256.Sum256([]byte(value)), d.Now().Add(sessionLife)})
	d.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: d.cookie(), Value: value, Path: "/", HttpOnly: true, Secure: d.Secure, SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLife.Seconds()),
	})
	w.WriteHeader(http.StatusNoContent)
}

// logout ends a session.
func (d *Desk) logout(w http.ResponseWriter, r *http.Request) {
	if err := sameSite(r); err != nil {
		d.problem(w, err)
		return
	}
	if c, err := r.Cookie(d.cookie()); err == nil {
		hash := sha256.Sum256([]byte(c.Value))
		d.mu.Lock()
		d.sessions = slices.DeleteFunc(d.sessions, func(s session) bool { return s.hash == hash })
		d.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: d.cookie(), Path: "/", HttpOnly: true, Secure: d.Secure, SameSite: http.SameSiteStrictMode, MaxAge: -1})
	w.WriteHeader(http.StatusNoContent)
}

// guess compares a code. Who shows wrong ones waits longer for each try; nobody
// else does, so that a guesser can't lock the merchant out.
func (d *Desk) guess(from, code string) error {
	who, now := network(from), d.Now()
	hash := sha256.Sum256([]byte(plainCode(code)))
	right := d.Code != "" && subtle.ConstantTimeCompare(hash[:], d.code[:]) == 1
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.guesses[who]
	if now.Before(g.next) {
		f := fail(http.StatusTooManyRequests, "too-many-guesses", "too many wrong codes from there; wait")
		f.retry = g.next.Sub(now)
		return f
	}
	if right {
		delete(d.guesses, who)
		return nil
	}
	if g.wrong++; g.wrong >= freeGuesses {
		g.next = now.Add(guessEvery)
	}
	if _, known := d.guesses[who]; !known && len(d.guesses) >= maxGuessers {
		for other, x := range d.guesses {
			if !now.Before(x.next) {
				delete(d.guesses, other)
			}
		}
		if len(d.guesses) >= maxGuessers {
			return fail(http.StatusTooManyRequests, "too-many-guesses", "too many wrong codes from everywhere; wait")
		}
	}
	d.guesses[who] = g
	return fail(http.StatusUnauthorized, "wrong-code", "that is not the code")
}

// network is whom a guess is counted against: an address, or the 64 bits of IPv6
// that one household has.
func network(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
