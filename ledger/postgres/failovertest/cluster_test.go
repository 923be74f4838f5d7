package failovertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger/postgres/pgtest"
)

// node is one PostgreSQL and the patroni that looks after it.
type node struct {
	name, dir string
	port      int
	rest      int
	patroni   *pgtest.Process
}

// cluster is two nodes and an etcd.
type cluster struct {
	dir   string
	etcd  *pgtest.Process
	nodes []*node
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freePorts finds ports that nobody listens on.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close() // only when all are found, or one would be found twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// startCluster returns when one node leads and the other follows it
// synchronously.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	dir, err := pgtest.Dir("specie-ha")
	must(t, err)
	c := &cluster{dir: dir}
	t.Cleanup(func() { c.close(t) })
	bin, err := pgtest.Bin()
	must(t, err)
	ports := freePorts(t, 6)
	client, peer := local(ports[0]), local(ports[1])
	c.etcd, err = pgtest.Run(syscall.SIGKILL, c.log("etcd"), "/usr/bin/etcd", "--name", "etcd", "--data-dir", filepath.Join(dir, "etcd-data"),
		"--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer,
		"--initial-cluster", "etcd=http://"+peer)
	must(t, err)
	for i, name := range []string{"one", "two"} {
		n := &node{name: name, port: ports[2+2*i], rest: ports[3+2*i]}
		n.dir, err = pgtest.Dir("specie-ha-" + name)
		must(t, err)
		c.nodes = append(c.nodes, n)
		must(t, os.WriteFile(n.config(), []byte(n.yaml(client, bin)), 0o644))
	}
	for i, n := range c.nodes {
		n.start(t, c)
		c.wait(t, func(roles map[string]string) bool { return len(roles) > i && roles["one"] == "leader" })
	}
	c.wait(t, func(roles map[string]string) bool { return roles["two"] == "sync_standby" })
	return c
}

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

func (c *cluster) log(name string) string { return filepath.Join(c.dir, name+".log") }

func (n *node) config() string { return filepath.Join(n.dir, "patroni.yaml") }

func (n *node) start(t *testing.T, c *cluster) {
	t.Helper()
	var err error
	n.patroni, err = pgtest.Run(syscall.SIGTERM, c.log(n.name), "/usr/bin/patroni", n.config())
	must(t, err)
}

// yaml is patroni's configuration. It fails over as soon as it may: its own
// least ttl is 20 seconds.
func (n *node) yaml(etcd, bin string) string {
	return strings.NewReplacer("NAME", n.name, "REST", local(n.rest), "ETCD", etcd, "LISTEN", local(n.port), "DIR", n.dir,
		"BIN", bin, "USER", pgtest.User, "PASSWORD", pgtest.Password).Replace(`
scope: specie
name: NAME
restapi: {listen: REST, connect_address: REST}
etcd3: {hosts: ETCD}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      parameters: {wal_level: replica, wal_log_hints: "on", max_connections: 100, wal_keep_size: 256MB}
  initdb: [encoding: UTF8, locale: C.UTF-8, data-checksums]
postgresql:
  listen: LISTEN
  connect_address: LISTEN
  data_dir: DIR/data
  bin_dir: BIN
  pgpass: DIR/pgpass
  authentication:
    superuser: {username: USER, password: PASSWORD}
    replication: {username: replicator, password: PASSWORD}
    rewind: {username: rewind, password: PASSWORD}
  parameters: {unix_socket_directories: DIR}
  pg_hba:
    - local all all scram-sha-256
    - host all all 127.0.0.1/32 scram-sha-256
    - host replication replicator 127.0.0.1/32 scram-sha-256
`)
}

// roles asks whichever node answers for the running members' roles.
func (c *cluster) roles() (map[string]string, error) {
	var errs []error
	for _, n := range c.nodes {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+local(n.rest)+"/cluster", nil)
		if err != nil {
			return nil, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		var got struct {
			Members []struct{ Name, Role, State string }
		}
		if err = errors.Join(err, json.Unmarshal(body, &got)); err != nil {
			errs = append(errs, err)
			continue
		}
		roles := make(map[string]string)
		for _, m := range got.Members {
			if m.State == "running" || m.State == "streaming" {
				roles[m.Name] = m.Role
			}
		}
		return roles, nil
	}
	return nil, errors.Join(errs...)
}

// wait waits until the roles are as wanted.
func (c *cluster) wait(t *testing.T, as func(map[string]string) bool) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		roles, err := c.roles()
		if err == nil && as(roles) {
			return
		}
		last = fmt.Sprint(roles, err)
		if time.Now().After(deadline) {
			c.show(t)
			t.Fatalf("the cluster stays at %s", last)
		}
	}
}

// show prints the ends of the logs.
func (c *cluster) show(t *testing.T) {
	for _, name := range []string{"etcd", "one", "two"} {
		b, _ := os.ReadFile(c.log(name))
		t.Logf("%s:\n%s", name, b[max(0, len(b)-4000):])
	}
}

// url names both nodes; whoever takes writes is meant.
func (c *cluster) url() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(pgtest.User, pgtest.Password),
		Host: local(c.nodes[0].port) + "," + local(c.nodes[1].port), Path: "/postgres",
		RawQuery: "target_session_attrs=read-write&connect_timeout=3"}
	return u.String()
}

// postmaster is the process id of a node's PostgreSQL, which patroni lets go.
func (n *node) postmaster() (int, error) {
	b, err := os.ReadFile(filepath.Join(n.dir, "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strconv.Atoi(first)
}

// kill is the loss of a machine: patroni first, or it would bring PostgreSQL
// back.
func (n *node) kill(t *testing.T) {
	t.Helper()
	must(t, n.patroni.Stop(syscall.SIGKILL))
	pid, err := n.postmaster()
	must(t, err)
	must(t, pgtest.Kill(pid))
}

func (c *cluster) close(t *testing.T) {
	for _, n := range c.nodes {
		if n.patroni != nil {
			if err := n.patroni.Stop(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		if pid, err := n.postmaster(); err == nil {
			if err := pgtest.Kill(pid); err != nil {
				t.Error(err)
			}
		}
	}
	if c.etcd != nil {
		if err := c.etcd.Stop(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	for _, n := range c.nodes {
		// The last of its processes may still be writing.
		for try := 0; os.RemoveAll(n.dir) != nil && try < 20; try++ {
			time.Sleep(100 * time.Millisecond)
		}
	}
	os.RemoveAll(c.dir)
}
