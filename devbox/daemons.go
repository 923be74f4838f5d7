package devbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/tpm/swtpm"
)

// Start writes the configurations and starts, as processes of their own, a
// signer for the bank and one for the group manager, and then the two, which
// hold neither module nor PIN.
func (b *Box) Start(ctx context.Context, ca *swtpm.CA) error {
	var addresses [4]string
	for i := range addresses {
		var err error
		if addresses[i], err = freeAddress(); err != nil {
			return err
		}
	}
	b.IssuerURL, b.GroupURL = "http://"+addresses[0], "http://"+addresses[1]
	b.SignerMetrics = "http://" + addresses[2] + "/metrics"
	if err := b.writeConfigs(ca, addresses[0], addresses[1]); err != nil {
		return err
	}
	daemons := []struct{ name, command, address string }{
		{"issuer-signer", "signer", addresses[2]},
		{"group-signer", "signer", addresses[3]},
		{"group", "group", addresses[1]},
		{"issuer", "issuer", addresses[0]},
	}
	if err := errors.Join(
		b.writeSigner("issuer-signer", tokenOnline, addresses[2]),
		b.writeSigner("group-signer", tokenGroup, addresses[3]),
	); err != nil {
		return err
	}
	for _, d := range daemons {
		p, err := b.start(d.name, "specied", d.command, "--config", b.Path(d.name+".yaml"))
		if err != nil {
			return err
		}
		if err := b.waitReady(ctx, p, "http://"+d.address+"/readyz"); err != nil {
			return err
		}
	}
	return nil
}

// writeSigner configures a signer for one token.
func (b *Box) writeSigner(name, label, metrics string) error {
	return os.WriteFile(b.Path(name+".yaml"), fmt.Appendf(nil, `# Holds a token for another daemon. Paths are relative to this file.
socket: run/%s.sock
metrics: %s
tokens:
  - {uri: %q, sessions: 8}
`, name, metrics, b.token(label, "")), 0o600)
}

// Pause stops the daemons where they stand, as if their machines were gone.
func (b *Box) Pause() error { return b.signalDaemons(syscall.SIGSTOP) }

// Continue lets them go on.
func (b *Box) Continue() error { return b.signalDaemons(syscall.SIGCONT) }

// Stop ends a daemon, "issuer" or "group", as its operator does.
func (b *Box) Stop(name string) error {
	for _, p := range b.procs {
		if p.name == name {
			return p.stop()
		}
	}
	return fmt.Errorf("no daemon %q was started", name)
}

func (b *Box) signalDaemons(sig syscall.Signal) error {
	var errs []error
	for _, p := range b.procs {
		if p.name == "issuer" || p.name == "group" {
			errs = append(errs, p.cmd.Process.Signal(sig))
		}
	}
	return errors.Join(errs...)
}

// IssuerSocket and GroupSocket are the operators' sockets.
func (b *Box) IssuerSocket() string { return b.Path("run", "issuer.sock") }

// GroupSocket is the group manager's.
func (b *Box) GroupSocket() string { return b.Path("run", "group.sock") }

func (b *Box) writeConfigs(ca *swtpm.CA, issuerAddr, groupAddr string) error {
	roots, err := ca.RootsPEM()
	if err != nil {
		return err
	}
	manifest, err := attest.DraftManifest(map[string][]byte{"swtpm.pem": roots})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.Path("bank", "ek-roots"), 0o700); err != nil {
		return err
	}
	var supervision []string
	for _, id := range supervisors {
		supervision = append(supervision, fmt.Sprintf("%q", b.Supervision(id)))
	}
	issuer := fmt.Sprintf(`# The bank. Paths are relative to this file.
root: bank/root.pem
keyset: bank/keyset.jws
signing_chain: bank/signing.pem
signer: run/issuer-signer.sock
database: run/issuer.db
listen: %s
admin_socket: run/issuer.sock
groups:
  - {id: %s, url: %q}
`, issuerAddr, Group, b.GroupURL)
	group := fmt.Sprintf(`# The group manager. Paths are relative to this file.
id: %s
root: bank/root.pem
chain: bank/group.pem
seal_key: seal
sealed: bank/group.sealed
supervision: [%s]
ek_roots: {dir: bank/ek-roots}
insecure_software_tpm: true
signer: run/group-signer.sock
database: run/group.db
listen: %s
admin_socket: run/group.sock
epoch: {start: %s, length: 720h}
`, Group, strings.Join(supervision, ", "), groupAddr, b.at(-time.Hour))
	return errors.Join(
		os.WriteFile(b.Path("bank", "ek-roots", "swtpm.pem"), roots, 0o600),
		os.WriteFile(b.Path("bank", "ek-roots", attest.Manifest), manifest, 0o600),
		os.WriteFile(b.Path("issuer.yaml"), []byte(issuer), 0o600),
		os.WriteFile(b.Path("group.yaml"), []byte(group), 0o600),
	)
}

// CA founds an EK certificate authority for emulated TPMs.
func (b *Box) CA(ctx context.Context, name string) (*swtpm.CA, error) {
	return swtpm.NewCA(ctx, b.Path("tpm", name))
}

// TPM makes and starts an emulated TPM whose EK the CA certifies. The result
// is a --tpm address.
func (b *Box) TPM(ctx context.Context, name string, ca *swtpm.CA) (string, error) {
	e, err := swtpm.Start(ctx, b.Path("tpm", name), ca)
	if err != nil {
		return "", err
	}
	b.closes = append(b.closes, e.Close)
	b.tpms[name] = e
	return e.TCTI(), nil
}

// ClearTPM clears a TPM that was made, as its owner does in the firmware's
// set-up: keys in it are gone for ever, its endorsement key stays.
func (b *Box) ClearTPM(ctx context.Context, name string) error {
	e := b.tpms[name]
	if e == nil {
		return fmt.Errorf("no TPM %q was made", name)
	}
	return e.Clear(ctx)
}

// Home is a person's directory.
func (b *Box) Home(name string) string { return b.Path("people", name) }

// OpenHolder makes a purse for a person, opens an account for it, funds it
// and returns the account's id.
func (b *Box) OpenHolder(ctx context.Context, name, amount string) (account string, err error) {
	token := b.Path("people", name+".token")
	out, err := b.Run(ctx, "specied", "account", "--socket", b.IssuerSocket(), "--kind", "holder", "--name", name, "--token-out", token)
	if err != nil {
		return "", err
	}
	account = strings.TrimSpace(out)
	if amount != "" {
		_, err = b.Run(ctx, "specied", "fund", amount, "--socket", b.IssuerSocket(), "--account", account, "--reference", "cash desk, "+name)
		if err != nil {
			return "", err
		}
	}
	_, err = b.Run(ctx, "specie", "--home", b.Home(name), "init", "--lock", "plain", "--bank", b.IssuerURL, "--root", b.Path("bank", "root.pem"), "--token-file", token)
	return account, err
}

// OpenTill makes a till for a merchant, opens his account and starts the
// till. It returns the address that payers post to.
func (b *Box) OpenTill(ctx context.Context, name string) (url string, err error) {
	home, root := b.Home(name), b.Path("bank", "root.pem")
	_, err = b.Run(ctx, "specie", "--home", home, "merchant", "init", "--bank", b.IssuerURL, "--group", b.GroupURL, "--root", root, "--name", name)
	if err != nil {
		return "", err
	}
	jws, err := b.Run(ctx, "specie", "--home", home, "merchant", "request")
	if err != nil {
		return "", err
	}
	token, request := b.Path("people", name+".token"), b.Path("people", name+".request.jws")
	if err := os.WriteFile(request, []byte(jws), 0o600); err != nil {
		return "", err
	}
	_, err = b.Run(ctx, "specied", "account", "--socket", b.IssuerSocket(), "--kind", "merchant", "--name", name,
		"--merchant-request", request, "--token-out", token)
	if err != nil {
		return "", err
	}
	if _, err := b.Run(ctx, "specie", "--home", home, "merchant", "login", "--token-file", token); err != nil {
		return "", err
	}
	ready := filepath.Join(home, "address")
	p, err := b.start("till-"+name, "specie", "--home", home, "merchant", "serve", "--listen", "127.0.0.1:0", "--desk", "", "--ready", ready)
	if err != nil {
		return "", err
	}
	for range 500 {
		if addr, err := os.ReadFile(ready); err == nil && len(addr) > 0 {
			return "http://" + string(addr) + "/pay", b.waitReady(ctx, p, "http://"+string(addr)+"/livez")
		}
		time.Sleep(10 * time.Millisecond)
	}
	return "", fmt.Errorf("till %s did not open\n%s", name, b.logTail("till-"+name))
}

// Offer makes an offer at a till and returns its link.
func (b *Box) Offer(ctx context.Context, till, to, amount, order string) (string, error) {
	link, err := b.Run(ctx, "specie", "--home", b.Home(till), "merchant", "offer", amount, "--order", order, "--to", to)
	return strings.TrimSpace(link), err
}

// SaveGroupDocument writes the group manager's signed document to a file, as
// an officer takes it to his offline machine.
func (b *Box) SaveGroupDocument(ctx context.Context, path string) error {
	jws, err := client.GroupDocument(ctx, client.NewHTTP(10*time.Second), b.GroupURL)
	if err != nil {
		return err
	}
	return os.WriteFile(path, jws, 0o600)
}
