// Package pgtest starts private PostgreSQL clusters for tests: in a temporary
// directory, on a UNIX socket and no port, run by an ordinary user, with fsync
// on, and gone with the test binary however that ends.
//
// It is for tests only and needs Debian's package postgresql-15 or newer.
//
// # Trust
//
// The cluster's directory, and with it the socket, belongs to the user who runs
// the server; whoever gets there is let in.
//
// # Errors
//
// Everything unexpected fails the test.
//
// # Concurrency
//
// A Cluster may be used by many tests at once; each has a schema of its own.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The superuser's name and password. A role called Wary, which a test may
// make, must show its own.
const (
	User     = "specie"
	Password = "not-a-secret"
	Wary     = "wary"
)

// Cluster is a running PostgreSQL.
type Cluster struct {
	dir     string // holds data and socket
	bin     string
	process *Process
	names   atomic.Int64
}

// Main runs m with a cluster, which it puts into *c, and returns the exit
// code.
func Main(m *testing.M, c **Cluster) (code int) {
	cluster, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		return 1
	}
	defer func() {
		if err := cluster.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			code = 1
		}
	}()
	*c = cluster
	return m.Run()
}

// Start makes a cluster and starts it. Its databases sort text by language,
// as many an operator's do.
func Start() (*Cluster, error) {
	bin, err := Bin()
	if err != nil {
		return nil, err
	}
	dir, err := Dir("specie-pg")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, bin: bin}
	password := filepath.Join(dir, "password")
	err = os.WriteFile(password, []byte(Password+"\n"), 0o644)
	if err == nil {
		err = run(bin+"/initdb", "-D", c.data(), "-U", User, "--pwfile", password, "-A", "trust",
			"-E", "UTF8", "--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US")
	}
	if err == nil {
		// The directory keeps others out; Wary is let in by password only.
		hba := "local all " + Wary + " scram-sha-256\nlocal all all trust\nlocal replication all trust\n"
		err = os.WriteFile(filepath.Join(c.data(), "pg_hba.conf"), []byte(hba), 0o644)
	}
	if err == nil {
		err = c.Restart()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

// Standby makes a standby of the cluster that follows it, and starts it.
func (c *Cluster) Standby() (*Cluster, error) {
	dir, err := Dir("specie-pg")
	if err != nil {
		return nil, err
	}
	s := &Cluster{dir: dir, bin: c.bin}
	if err := run(c.bin+"/pg_basebackup", "-D", s.data(), "-R", "-c", "fast", "-X", "stream", "-d", c.URL("postgres")); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, s.Restart()
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// Restart starts the server, which is stopped or killed, and waits until it
// answers.
func (c *Cluster) Restart() error {
	p, err := Run(syscall.SIGQUIT, filepath.Join(c.dir, "log"), c.bin+"/postgres", "-D", c.data(), "-k", c.dir,
		"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=256MB",
		"-c", "max_wal_size=4GB", "-c", "wal_keep_size=64MB")
	if err != nil {
		return err
	}
	c.process = p
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := pgx.Connect(context.Background(), c.URL("postgres"))
		if err == nil {
			return conn.Close(context.Background())
		}
		if time.Now().After(deadline) || p.Ended() {
			log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, bytes.TrimSpace(log))
		}
	}
}

// Kill is the loss of power, but for the disk's cache: kill -9.
func (c *Cluster) Kill() error { return c.process.Stop(syscall.SIGKILL) }

// Stop ends all connections and stops the server.
func (c *Cluster) Stop() error { return c.process.Stop(syscall.SIGINT) }

// Close stops the server and removes the cluster.
func (c *Cluster) Close() error {
	return errors.Join(c.process.Stop(syscall.SIGQUIT), os.RemoveAll(c.dir))
}

// Host is the directory of the cluster's socket.
func (c *Cluster) Host() string { return c.dir }

// URL is that of a database.
func (c *Cluster) URL(database string) string { return c.url(database, nil) }

func (c *Cluster) url(database string, params url.Values) string {
	q := url.Values{"host": {c.dir}}
	maps.Copy(q, params)
	u := url.URL{Scheme: "postgres", User: url.UserPassword(User, Password), Path: "/" + database, RawQuery: q.Encode()}
	return u.String()
}

// Database makes room for one ledger and returns its URL: a schema, which to
// its user is like a database and is made sooner. It is dropped after the test.
func (c *Cluster) Database(tb testing.TB) string {
	tb.Helper()
	name := "t" + strconv.FormatInt(c.names.Add(1), 10)
	c.Exec(tb, c.URL("postgres"), "CREATE SCHEMA "+name)
	tb.Cleanup(func() { c.Exec(tb, c.URL("postgres"), "DROP SCHEMA "+name+" CASCADE") })
	return c.url("postgres", url.Values{"search_path": {name}})
}

// Exec runs statements on a database.
func (c *Cluster) Exec(tb testing.TB, url string, statements ...string) {
	tb.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
}

// Bin is the directory of the newest server's programs.
func Bin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed; run make setup")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// Dir makes a temporary directory that belongs to the user who runs servers.
// It is not the test's own, through whose parents that user may have no way,
// and its path is short enough for a socket.
func Dir(name string) (string, error) {
	dir, err := os.MkdirTemp("", name)
	if err != nil {
		return "", err
	}
	who, err := credential()
	if err == nil && who != nil {
		err = os.Chown(dir, int(who.Uid), int(who.Gid))
	}
	return dir, err
}

func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	who, err := credential()
	if err != nil {
		return err
	}
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: who}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, bytes.TrimSpace(out))
	}
	return nil
}
