package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/devbox"
	"github.com/speciecash/specie/tpm"
)

func TestAFileHasTheBoxesTPMCleared(t *testing.T) {
	dir := must(os.MkdirTemp("", "box"))(t) // a socket's path is short
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	box := must(devbox.New(dir, dir))(t)
	t.Cleanup(func() { check(t, box.Close()) })
	ca := must(box.CA(t.Context(), "vendor-ca"))(t)
	d := must(tpm.Open(t.Context(), must(box.TPM(t.Context(), devTPM, ca))(t)))(t)
	t.Cleanup(func() { _ = d.Close() })
	blob := must(d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), nil))(t)

	ctx, stop := context.WithCancel(t.Context())
	ended, results := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(ended)
		clear := func(ctx context.Context) error { return box.ClearTPM(ctx, devTPM) }
		onFile(ctx, box.Path(clearFile), time.Millisecond, clear, func(err error) { results <- err })
	}()
	time.Sleep(20 * time.Millisecond)
	key := must(d.LoadGroupKey(t.Context(), blob, nil))(t) // nobody asked yet
	check(t, key.Close())
	check(t, os.WriteFile(box.Path(clearFile), nil, 0o600))
	check(t, <-results)
	if _, err := d.LoadGroupKey(t.Context(), blob, nil); !errors.Is(err, tpm.ErrWrongTPM) {
		t.Fatalf("got %v, want ErrWrongTPM", err)
	}
	if _, err := os.Stat(box.Path(clearFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the file: %v", err)
	}
	stop()
	<-ended
	if err := box.ClearTPM(t.Context(), "desktop"); err == nil {
		t.Fatal("a TPM that is not there was cleared")
	}
}
