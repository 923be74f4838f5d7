package devbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/softhsm"
)

// Tokens of the box, each an HSM of its own in real life.
const (
	tokenRoot   = "central-bank-root"
	tokenMaster = "bank-master"
	tokenOnline = "bank-online"
	tokenGroup  = "group-manager"
)

// provisionTokens makes the SoftHSM tokens with random PINs.
func (b *Box) provisionTokens(ctx context.Context) (err error) {
	p, err := softhsm.Provision(b.Path("tokens"))
	if err != nil {
		return err
	}
	b.env = append(b.env, p.Env()...)
	m, err := p.Open()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := m.Close(); err == nil {
			err = cerr
		}
	}()
	b.module = p.Module
	for _, label := range []string{tokenRoot, tokenMaster, tokenOnline, tokenGroup} {
		pin := hsm.RandomPIN()
		if err := pin.Save(b.pinFile(label)); err != nil {
			return err
		}
		if _, err := p.InitToken(ctx, m, label, hsm.RandomPIN(), pin); err != nil {
			return err
		}
	}
	return nil
}

func (b *Box) pinFile(label string) string { return b.Path("tokens", label+".pin") }

// token is a token reference in a plan or configuration, YAML flow style.
func (b *Box) token(label string) string {
	return fmt.Sprintf("{module: %q, label: %s, pin_file: %q}", b.module, label, b.pinFile(label))
}

// at writes an instant as plans have it, some time from now.
func (b *Box) at(d time.Duration) string { return b.now.Add(d).Format(time.RFC3339) }

const day = 24 * time.Hour

// Values of the coins, in minor units: powers of two up to 40.96.
var values = []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096}

// plans are the ceremonies in their order: file name and YAML. The starts lie
// an hour back so that a clock that is a little slow agrees.
func (b *Box) plans() [][2]string {
	valid := func(d time.Duration) string {
		return fmt.Sprintf("{from: %s, until: %s}", b.at(-time.Hour), b.at(d))
	}
	root := fmt.Sprintf("{token: %s, key: root, certificate: ../bank/root.pem}", b.token(tokenRoot))
	master := fmt.Sprintf("{token: %s, key: master, certificate: ../bank/issuer.pem}", b.token(tokenMaster))
	out := [][2]string{
		{"1-root.yaml", fmt.Sprintf("ceremony: root\ntoken: %s\nkey: root\nvalid: %s\noutput: {certificate: ../bank/root.pem}\n",
			b.token(tokenRoot), valid(20*365*day))},
		{"2-issuer.yaml", fmt.Sprintf("ceremony: issuer\nbank: %s\ntoken: %s\nkey: master\nvalid: %s\nroot: %s\noutput: {certificate: ../bank/issuer.pem}\n",
			Bank, b.token(tokenMaster), valid(10*365*day), root)},
		{"3-signing.yaml", fmt.Sprintf("ceremony: signing\nbank: %s\ntoken: %s\nkey: receipts\nvalid: %s\nroot: ../bank/root.pem\nmaster: %s\noutput: {chain: ../bank/signing.pem}\n",
			Bank, b.token(tokenOnline), valid(90*day), master)},
		{"4-denominations.yaml", b.denominations(master)},
		{"5-group.yaml", fmt.Sprintf("ceremony: group\ngroup: %s\ntoken: %s\nkey: documents\nseal: seal\nvalid: %s\nroot: %s\noutput: {certificate: ../bank/group.pem, sealed: ../bank/group.sealed}\n",
			Group, b.token(tokenGroup), valid(365*day), root)},
	}
	for _, id := range officers {
		out = append(out, [2]string{"6-certify-" + strings.ToLower(id) + ".yaml", fmt.Sprintf(
			"ceremony: certify\nsupervisor: %s\nrequest: ../officers/%s/%s\nvalid: %s\nroot: %s\noutput: {certificate: ../officers/%s.pem}\n",
			id, id, officer.RequestFile, valid(5*365*day), root, id)})
	}
	return out
}

func (b *Box) denominations(master string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "ceremony: denominations\nbank: %s\ncurrency: %s\nexponent: %d\ntoken: %s\nroot: ../bank/root.pem\nmaster: %s\nsequence: 1\nseries:\n",
		Bank, Currency, Exponent, b.token(tokenOnline), master)
	for _, kind := range []string{"bearer", "bound"} {
		fmt.Fprintf(&s, "  - key: %s\n    kind: %s\n    bits: 2048\n    values: %s\n", kind, kind,
			strings.ReplaceAll(fmt.Sprint(values), " ", ", "))
		fmt.Fprintf(&s, "    issue_from: %s\n    issue_until: %s\n    spend_until: %s\n    legal_until: %s\n",
			b.at(-time.Hour), b.at(60*day), b.at(180*day), b.at(5*365*day))
	}
	s.WriteString("output: {keyset: ../bank/keyset.jws}\n")
	return s.String()
}

// Tell is told what happens, a line at a time. It may be nil.
type Tell func(format string, args ...any)

func (t Tell) say(format string, args ...any) {
	if t != nil {
		t(format, args...)
	}
}

// Found plays every ceremony from the root to the supervisors' keys, each by
// the ceremony tool from a plan file that stays in plans/.
func (b *Box) Found(ctx context.Context, tell Tell) error {
	if err := b.provisionTokens(ctx); err != nil {
		return err
	}
	for _, p := range b.plans() {
		if err := os.WriteFile(b.Path("plans", p[0]), []byte(p[1]), 0o600); err != nil {
			return err
		}
	}
	told := map[string]string{
		"1-root":          "the central bank's root key is made in its token and certifies itself",
		"2-issuer":        "the bank's master key, certified by the root",
		"3-signing":       "the bank's online key for receipts, certified by the master",
		"4-denominations": fmt.Sprintf("%d denomination keys of two kinds, made inside the online token, audited; the master signs the keyset", 2*len(values)),
		"5-group":         "the group manager's key; his issuing secret is sealed under a key of his token",
	}
	for _, name := range []string{"1-root", "2-issuer", "3-signing", "4-denominations", "5-group"} {
		if _, err := b.Run(ctx, "specie-ceremony", "run", b.Path("plans", name+".yaml")); err != nil {
			return err
		}
		tell.say("%s", told[name])
	}
	if err := b.supervisors(ctx); err != nil {
		return err
	}
	tell.say("supervisors %s generate their keys together, 2 of %d; no machine ever holds the secrets", strings.Join(officers, ", "), len(officers))
	return nil
}

// supervisors plays the distributed key generation, each officer in a
// directory of his own.
func (b *Box) supervisors(ctx context.Context) error {
	root := b.Path("bank", "root.pem")
	run := func(args ...string) error {
		_, err := b.Run(ctx, "specie-ceremony", append([]string{"supervisor"}, args...)...)
		return err
	}
	var cards, dealings []string
	for _, id := range officers {
		if err := run("init", "--id", id, "--dir", b.OfficerDir(id)); err != nil {
			return err
		}
		if _, err := b.Run(ctx, "specie-ceremony", "run", b.Path("plans", "6-certify-"+strings.ToLower(id)+".yaml")); err != nil {
			return err
		}
		if err := run("accept", "--dir", b.OfficerDir(id), "--root", root, b.Path("officers", id+".pem")); err != nil {
			return err
		}
		cards = append(cards, filepath.Join(b.OfficerDir(id), officer.CardFile))
		dealings = append(dealings, b.Path("officers", "dealing-"+id+".jws"))
	}
	for i, id := range officers {
		args := []string{"deal", "--dir", b.OfficerDir(id), "--root", root, "--group", Group, "--threshold", "2", "--out", dealings[i]}
		if err := run(append(args, cards...)...); err != nil {
			return err
		}
	}
	for _, id := range officers {
		keys := b.Path("officers", "supervision-"+id+".json")
		args := []string{"combine", "--dir", b.OfficerDir(id), "--root", root, "--group", Group, "--out", keys}
		if err := run(append(args, dealings...)...); err != nil {
			return err
		}
		if err := run("sign", "--dir", b.OfficerDir(id), "--root", root, "--out", b.Supervision(id), keys); err != nil {
			return err
		}
	}
	return nil
}

// OfficerDir is a supervisor's own directory.
func (b *Box) OfficerDir(id string) string { return b.Path("officers", id) }

// Supervision is the supervision document as signed by one supervisor.
func (b *Box) Supervision(id string) string { return b.Path("bank", "supervision-"+id+".jws") }
