package desk

import (
	"net/http"
	"net/url"
	"strings"
)

// guarded lets those through who may ask: a program with a desk key, or a browser
// that has entered by the gate.
func (d *Desk) guarded(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := d.mayAsk(r); err != nil {
			d.problem(w, err)
			return
		}
		next(w, r)
	})
}

func (d *Desk) mayAsk(r *http.Request) error {
	if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		known, err := d.Till.CheckDeskKey(r.Context(), key)
		if err == nil && !known {
			err = fail(http.StatusUnauthorized, "unauthorized", "that is no desk key of this till")
		}
		return err
	}
	if !d.Gate.Entered(r) {
		return fail(http.StatusUnauthorized, "unauthorized", "show the access code that the till was opened with")
	}
	return fromPage(r)
}

// fromPage refuses what changes something and does not say that the page itself sent
// it. What another site's page sent, the gate has refused already; this is for
// browsers of before 2023, which name the origin at least.
func fromPage(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Header.Get("Sec-Fetch-Site") != "" {
		return nil
	}
	if u, err := url.Parse(r.Header.Get("Origin")); err == nil && u.Host != "" && u.Host == r.Host {
		return nil
	}
	return fail(http.StatusForbidden, "cross-site", "this must come from the till's own page, or with a desk key")
}

// login lets a browser in that shows the access code.
func (d *Desk) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Code string `json:"code"`
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	err := fromPage(r)
	if err == nil {
		err = body(r, &in)
	}
	if err == nil {
		err = entered(d.Gate.Enter(w, in.Code))
	}
	if err != nil {
		d.problem(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func entered(status int) error {
	switch status {
	case 0:
		return nil
	case http.StatusTooManyRequests:
		return fail(status, "too-many-guesses", "too many wrong codes; wait a second")
	}
	return fail(http.StatusForbidden, "wrong-code", "that is not the code")
}

// logout ends a session.
func (d *Desk) logout(w http.ResponseWriter, r *http.Request) {
	if err := fromPage(r); err != nil {
		d.problem(w, err)
		return
	}
	d.Gate.Leave(w, r)
	w.WriteHeader(http.StatusNoContent)
}
