package registrationtest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/speciecash/specie/tpm/swtpm"
)

// The TPMs of a lab. Stranger's manufacturer is one that no manager accepts.
const (
	TPMA = iota
	TPMB
	Stranger
	tpms
)

// Lab is a manufacturer and his TPMs, each made when it is first asked for:
// that takes a second. A TPM is new to every manager, so tests can share one.
type Lab struct {
	dir      string
	mu       sync.Mutex
	makers   map[string]*swtpm.CA
	emulator [tpms]*swtpm.Emulator
}

// NewLab keeps its state in dir.
func NewLab(dir string) *Lab { return &Lab{dir: dir, makers: map[string]*swtpm.CA{}} }

// RootsPEM are the certificates of the manufacturer of TPMA and TPMB.
func (l *Lab) RootsPEM(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ca, err := l.maker(ctx, "maker")
	if err != nil {
		return nil, err
	}
	return ca.RootsPEM()
}

// TCTI starts a TPM, if it does not run yet, and returns its address.
func (l *Lab) TCTI(ctx context.Context, number int) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.emulator[number]; e != nil {
		return e.TCTI(), nil
	}
	name := "maker"
	if number == Stranger {
		name = "other"
	}
	ca, err := l.maker(ctx, name)
	if err != nil {
		return "", err
	}
	e, err := swtpm.Start(ctx, filepath.Join(l.dir, fmt.Sprint("tpm", number)), ca)
	if err != nil {
		return "", err
	}
	l.emulator[number] = e
	return e.TCTI(), nil
}

// Make starts one more TPM of TPMA's manufacturer, for a test that does to it what
// others must not see. Its state lies in dir; the caller closes it.
func (l *Lab) Make(ctx context.Context, dir string) (*swtpm.Emulator, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ca, err := l.maker(ctx, "maker")
	if err != nil {
		return nil, err
	}
	return swtpm.Start(ctx, dir, ca)
}

func (l *Lab) maker(ctx context.Context, name string) (*swtpm.CA, error) {
	if ca := l.makers[name]; ca != nil {
		return ca, nil
	}
	ca, err := swtpm.NewCA(ctx, filepath.Join(l.dir, name))
	if err == nil {
		l.makers[name] = ca
	}
	return ca, err
}

// Close switches all TPMs off.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, e := range l.emulator {
		if e != nil {
			errs = append(errs, e.Close())
		}
	}
	return errors.Join(errs...)
}
