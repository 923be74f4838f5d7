package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/gate"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/merchant/desk"
	"github.com/speciecash/specie/wallet/wallettest"
)

// TestMain lets the test run the shop as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("SHOP_RUN") != "" {
		main()
		return
	}
	os.Exit(wallettest.Main(m))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestBothShopsSellAMug: from the click to the shop's knowing that it is paid, with a
// real till, bank and purse.
func TestBothShopsSellAMug(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	node, err := exec.LookPath("node")
	must(t, err)
	town := wallettest.New(t)
	for name, command := range map[string][]string{"Go": {self}, "JavaScript": {node, "shop.mjs"}} {
		t.Run(name, func(t *testing.T) {
			till := town.NewShop(t)
			sellMug(t, town, till, command)
		})
	}
}

func sellMug(t *testing.T, town *wallettest.Town, till *wallettest.Shop, command []string) {
	srv := httptest.NewUnstartedServer(nil)
	door := gate.New(gate.Config{Cookie: desk.Cookie(false), Hosts: gate.HostsOf(srv.Listener.Addr())})
	d, err := desk.New(desk.Config{Till: till.Till, To: till.URL, Gate: door})
	must(t, err)
	srv.Config.Handler = d.Handler()
	srv.Start()
	t.Cleanup(func() { d.Close(); srv.Close() })
	key, err := till.NewDeskKey(t.Context(), "shop")
	must(t, err)
	secret, err := merchant.NewWebhookSecret()
	must(t, err)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "key"), []byte(key+"\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte(secret+"\n"), 0o600))
	at := start(t, append(command, "--desk", srv.URL, "--key-file", filepath.Join(dir, "key"),
		"--secret-file", filepath.Join(dir, "secret"), "--listen", "127.0.0.1:0"))
	must(t, till.SetWebhook(t.Context(), at+"/webhook", secret))
	must(t, till.TestWebhook(t.Context()))

	status, text := do(t, "POST", at+"/buy", "")
	link := regexp.MustCompile(`href="(specie:[^"]+)"`).FindStringSubmatch(text)
	id := regexp.MustCompile(`/orders/([A-Za-z0-9_-]{43})`).FindStringSubmatch(text)
	if status != 200 || link == nil || id == nil {
		t.Fatalf("%d %s", status, text)
	}
	if status, svg := do(t, "GET", at+"/qr/"+id[1], ""); status != 200 || !strings.Contains(svg, "<svg") {
		t.Errorf("%d %.100s", status, svg)
	}
	if _, state := do(t, "GET", at+"/orders/"+id[1], ""); state != "waiting\n" {
		t.Errorf("state %q", state)
	}
	forged := `{"type":"sale.deposited","data":{"sale":"` + id[1] + `","step":"deposited"}}`
	if status, _ := do(t, "POST", at+"/webhook", forged); status != 401 {
		t.Errorf("a forged message: %d", status)
	}
	for _, m := range []struct {
		step, op string
		age      time.Duration
		status   int
		state    string
	}{
		{"deposited", "AA", time.Hour, 401, "waiting"}, // a message of an hour ago, sent once more
		{"refused", "AA", 0, 204, "waiting"},
		{"kept", "BB", 0, 204, "kept"},
		{"refused", "AA", 0, 204, "kept"}, // another's attempt
		{"refused", "BB", 0, 204, "refused"},
	} {
		status := tell(t, at+"/webhook", secret, id[1], m.step, m.op, m.age)
		if _, state := do(t, "GET", at+"/orders/"+id[1], ""); status != m.status || state != m.state+"\n" {
			t.Errorf("%s of %s: %d, state %q", m.step, m.op, status, state)
		}
	}
	alice := town.NewHolder(t, 512)
	alice.Draw(t, 512, coin.Bearer)
	_, err = alice.Pay(t.Context(), html.UnescapeString(link[1]))
	must(t, err)
	n, err := till.DeliverWebhooks(t.Context())
	must(t, err)
	if _, state := do(t, "GET", at+"/orders/"+id[1], ""); n != 1 || state != "deposited\n" {
		t.Errorf("%d messages, state %q", n, state)
	}
}

// start starts a shop and returns its address.
func start(t *testing.T, command []string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "SHOP_RUN=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	late := time.AfterFunc(20*time.Second, cancel)
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	late.Stop()
	return strings.TrimSpace(strings.TrimPrefix(line, "shop open at "))
}

// tell is a message as the till signs it.
func tell(t *testing.T, url, secret, sale, step, op string, age time.Duration) int {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	must(t, err)
	body := fmt.Sprintf(`{"type":"sale.%s","data":{"sale":%q,"step":%q,"op":%q}}`, step, sale, step, op)
	when := strconv.FormatInt(time.Now().Add(-age).Unix(), 10)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "evt_1.%s.%s", when, body)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	must(t, err)
	r.Header.Set("webhook-id", "evt_1")
	r.Header.Set("webhook-timestamp", when)
	r.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	must(t, resp.Body.Close())
	return resp.StatusCode
}

func do(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(text)
}
