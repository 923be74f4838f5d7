package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/softhsm"
	"github.com/speciecash/specie/trust"
)

// must ends the test on an error and passes the value on.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const bankID = "TESTBANK"

// A house is a bank's papers, its token and its daemons in one directory.
// Root and master are keys of the test; the token is a real one.
type house struct {
	t      testing.TB
	dir    string
	bin    string // of specied
	pin    string
	env    []string
	module *hsm.Module
	token  *hsm.Token
	master *ecdsa.PrivateKey
	chain  []*x509.Certificate // of the master
	root   *trust.Root
	keyset coin.Keyset

	issuer, metrics string // addresses
}

// newHouse makes the papers and the token, with so many keys of value 1 and
// up. The token stays open in the test's process too, which makes keys and
// measures.
func newHouse(t testing.TB, keys, sessions int) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), bin: buildSpecied(t)}
	check(t, os.Chmod(h.dir, 0o700))
	h.issuer, h.metrics = freeAddress(t), freeAddress(t)
	p := must(softhsm.Provision(h.path("tokens")))(t)
	h.env = append(os.Environ(), p.Env()...)
	h.module = must(p.Open())(t)
	t.Cleanup(func() { check(t, h.module.Close()) })
	h.pin = rand.Text()
	pin := must(hsm.NewPIN([]byte(h.pin)))(t)
	check(t, pin.Save(h.path("bank.pin")))
	cfg := must(p.InitToken(t.Context(), h.module, "bank", hsm.RandomPIN(), pin))(t)
	cfg.Sessions = sessions
	h.token = must(h.module.Token(t.Context(), cfg))(t)
	h.certify()
	h.keyset = coin.Keyset{Bank: bankID, Currency: "XTS", Exponent: 2, Seq: 1, IssuedAt: now().Add(-time.Minute)}
	for range keys {
		h.mint()
	}
	h.publish()
	h.configure(p.Module, sessions)
	return h
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

func (h *house) write(name string, content []byte) {
	h.t.Helper()
	tmp := h.path(name + ".new")
	check(h.t, os.WriteFile(tmp, content, 0o600))
	check(h.t, os.Rename(tmp, h.path(name)))
}

// certify makes root, master and the online key, which is in the token.
func (h *house) certify() {
	h.t.Helper()
	from, to := now().Add(-time.Hour), now().AddDate(0, 1, 0)
	rootKey := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(h.t)
	rootCert := h.parse(trust.CreateRoot(rootKey, from, to))
	h.root = must(trust.NewRoot(rootCert))(h.t)
	h.master = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(h.t)
	h.chain = []*x509.Certificate{h.parse(trust.Issue(rootCert, rootKey, trust.Name{Role: trust.RoleBank, ID: bankID}, h.master.Public(), from, to, true))}
	online := must(h.token.GenerateECDSA(h.t.Context(), "receipts", elliptic.P256()))(h.t)
	leaf := h.parse(trust.Issue(h.chain[0], h.master, trust.Name{Role: trust.RoleSigning, ID: bankID}, online.Public(), from, to, false))
	var out bytes.Buffer
	for _, c := range append([]*x509.Certificate{leaf}, h.chain...) {
		check(h.t, pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	h.write("signing.pem", out.Bytes())
	h.write("root.pem", h.root.PEM())
}

func (h *house) parse(der []byte, err error) *x509.Certificate {
	h.t.Helper()
	check(h.t, err)
	return must(x509.ParseCertificate(der))(h.t)
}

// mint makes the next key, of twice the last one's value, and puts it into
// the keyset to be published.
func (h *house) mint() *hsm.RSAKey {
	h.t.Helper()
	value := coin.Amount(1) << len(h.keyset.Denominations)
	key := must(h.token.GenerateRSA(h.t.Context(), fmt.Sprintf("coin-%d", value), 2048))(h.t)
	h.keyset.Denominations = append(h.keyset.Denominations, coin.Denomination{
		KeyID: must(coin.NewKeyID(key.Public()))(h.t), Value: value, Kind: coin.Bearer, PublicKey: key.Public(),
		IssueFrom: now().Add(-time.Hour), IssueUntil: now().AddDate(0, 0, 10),
		SpendUntil: now().AddDate(0, 0, 20), LegalUntil: now().AddDate(1, 0, 0),
	})
	return key
}

// publish signs the keyset as it stands.
func (h *house) publish() {
	h.t.Helper()
	payload := must(h.keyset.Marshal())(h.t)
	signed := must(trust.Sign(trust.TypKeyset, payload, h.master, h.chain))(h.t)
	h.write("keyset.jws", signed)
	parsed := must(coin.ParseKeyset(h.root, signed, time.Now()))(h.t)
	h.keyset.Prev, h.keyset.Seq = parsed.Digest, parsed.Seq+1
}

func (h *house) configure(module string, sessions int) {
	h.t.Helper()
	uri := (&hsm.URI{Token: "bank", ModulePath: module, PINSource: "file:bank.pin"}).String()
	common := fmt.Sprintf("root: root.pem\nkeyset: keyset.jws\nsigning_chain: signing.pem\ndatabase: issuer.db\nlisten: %s\nadmin_socket: issuer.sock\n", h.issuer)
	token := fmt.Sprintf("{uri: %q, sessions: %d}", uri, sessions)
	h.write("issuer.yaml", []byte(common+"signer: signer.sock\n"))
	h.write("inprocess.yaml", []byte(common+"hsm: "+token+"\n"))
	h.write("signer.yaml", []byte("socket: signer.sock\nmetrics: "+h.metrics+"\ntokens:\n  - "+token+"\n"))
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	return l.Addr().String()
}

// A daemon is a process of the house.
type daemon struct {
	*exec.Cmd
	h    *house
	log  string // path
	done chan struct{}
}

// start runs specied with arguments, its log in NAME.log.
func (h *house) start(name string, args ...string) *daemon {
	h.t.Helper()
	cmd := exec.Command(h.bin, args...)
	cmd.Env, cmd.Dir = h.env, h.dir
	return h.launch(name, cmd)
}

// launch runs a command, its log in NAME.log, until the test ends.
func (h *house) launch(name string, cmd *exec.Cmd) *daemon {
	h.t.Helper()
	d := &daemon{Cmd: cmd, h: h, log: h.path(name + ".log"), done: make(chan struct{})}
	log := must(os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))(h.t)
	defer log.Close()
	d.Stdout, d.Stderr = log, log
	d.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	check(h.t, d.Start())
	go func() {
		defer close(d.done)
		_ = d.Wait()
	}()
	h.t.Cleanup(func() {
		d.stop()
		if h.t.Failed() {
			h.t.Logf("%s.log:\n%s", name, d.said())
		}
	})
	return d
}

func (d *daemon) said() string {
	b, _ := os.ReadFile(d.log)
	return string(b)
}

// stop asks the daemon to end, and returns its exit status.
func (d *daemon) stop() int {
	_ = d.Process.Signal(syscall.SIGTERM)
	return d.wait(30 * time.Second)
}

func (d *daemon) wait(atMost time.Duration) int {
	d.h.t.Helper()
	select {
	case <-d.done:
	case <-time.After(atMost):
		_ = syscall.Kill(-d.Process.Pid, syscall.SIGKILL)
		<-d.done
		d.h.t.Errorf("%v did not end\n%s", d.Args, d.said())
	}
	return d.ProcessState.ExitCode()
}

func (h *house) startSigner() *daemon {
	h.t.Helper()
	d := h.start("signer", "signer", "--config", h.path("signer.yaml"))
	h.ready(d, h.metrics)
	return d
}

func (h *house) startIssuer(config string) *daemon {
	h.t.Helper()
	d := h.start("issuer", "issuer", "--config", h.path(config))
	h.ready(d, h.issuer)
	return d
}

// ready waits until a daemon says that it can do its work.
func (h *house) ready(d *daemon, address string) {
	h.t.Helper()
	eventually(h.t, address+" is not ready", func() bool {
		select {
		case <-d.done:
			h.t.Fatalf("%v ended\n%s", d.Args, d.said())
		default:
		}
		status, _ := get("http://" + address + "/readyz")
		return status == http.StatusOK
	})
}

func get(url string) (int, string) {
	r, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err.Error()
	}
	return r.StatusCode, string(b)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// worker is the signer's child, 0 if there is none.
func (d *daemon) worker() int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", d.Process.Pid, d.Process.Pid))
	if err != nil {
		return 0
	}
	// A thread of the parent's other than the first may have started it.
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", d.Process.Pid))
	for _, f := range tasks {
		if more, err := os.ReadFile(f); err == nil {
			b = append(b, more...)
		}
	}
	for _, field := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(field); err == nil {
			return pid
		}
	}
	return 0
}

// run runs one of the operator's commands.
func (h *house) run(args ...string) string {
	h.t.Helper()
	cmd := exec.Command(h.bin, args...)
	cmd.Env, cmd.Dir = h.env, h.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("%v: %v\n%s", args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// account opens a holder's account with money on it and returns its token.
func (h *house) account(name, amount string) string {
	h.t.Helper()
	file := h.path(name + ".token")
	id := h.run("account", "--socket", "issuer.sock", "--name", name, "--token-out", file)
	h.run("fund", amount, "--socket", "issuer.sock", "--account", id, "--reference", name)
	return strings.TrimSpace(string(must(os.ReadFile(file))(h.t)))
}

// withdraw asks for n coins of a key once, with no second try, and verifies
// what comes back.
func (h *house) withdraw(ctx context.Context, token string, key *coin.Denomination, n int) error {
	var r issuerclient.WithdrawalRequest
	messages := make([]*big.Int, n)
	for i := range n {
		m, err := rand.Int(rand.Reader, key.PublicKey.N)
		if err != nil {
			return err
		}
		messages[i] = m
		text := base64.RawURLEncoding.EncodeToString(m.FillBytes(make([]byte, key.PublicKey.Size())))
		r.Outputs = append(r.Outputs, coin.OutputJSON{KeyID: key.KeyID.String(), Blinded: text})
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+h.issuer+"/v1/withdrawals", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	answer, err := issuerclient.ParseWithdrawResponse(resp)
	if err != nil {
		return err
	}
	if answer.JSON200 == nil {
		return fmt.Errorf("status %d: %s", answer.StatusCode(), answer.Body)
	}
	if len(answer.JSON200.Signatures) != n {
		return fmt.Errorf("%d signatures", len(answer.JSON200.Signatures))
	}
	e := big.NewInt(int64(key.PublicKey.E))
	for i, s := range answer.JSON200.Signatures {
		if x := new(big.Int).SetBytes(s); x.Exp(x, e, key.PublicKey.N).Cmp(messages[i]) != 0 {
			return fmt.Errorf("signature %d does not verify", i)
		}
	}
	return nil
}
