package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// renewed is a certificate in two files, which is read again when they change: one
// that ends in three months is renewed under a till that never closes.
type renewed struct {
	cert, key string
	log       *slog.Logger

	mu    sync.Mutex
	pair  *tls.Certificate
	tried [2]time.Time // when the files that were read last were written
}

// load reads the files for the first time.
func (r *renewed) load() (err error) {
	if r.tried, err = r.stat(); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(r.cert, r.key)
	r.pair = &pair
	return err
}

// stat is when the files were written.
func (r *renewed) stat() (at [2]time.Time, err error) {
	for i, path := range []string{r.cert, r.key} {
		info, err := os.Stat(path)
		if err != nil {
			return at, err
		}
		at[i] = info.ModTime()
	}
	return at, nil
}

// get is the certificate for a connection. While the files are half written, or do not
// fit, it is the one of before.
func (r *renewed) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, err := r.stat()
	if err != nil || at == r.tried {
		return r.pair, nil
	}
	r.tried = at
	pair, err := tls.LoadX509KeyPair(r.cert, r.key)
	if err != nil {
		r.log.Warn("the new certificate can't be used; the old one is", "err", err)
		return r.pair, nil
	}
	r.log.Info("new certificate", "until", pair.Leaf.NotAfter)
	r.pair = &pair
	return r.pair, nil
}
