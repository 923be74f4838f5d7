package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/ceremony/order"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/trust"
)

var (
	errShow   = errors.New("nothing that can be shown")
	errNoRoot = errors.New("a signed document is shown only verified: give the root with --root")
)

type showCmd struct {
	File string `arg:"" type:"existingfile" help:"Plan, transcript, approval, roster, certificate, keyset, platform file, group document or other signed document."`
	Root string `placeholder:"FILE" type:"existingfile" env:"SPECIE_ROOT" help:"The pinned root certificate; needed for signed documents."`
	atFlag
}

// Help is shown below the flags.
func (showCmd) Help() string {
	return `A signed document is verified first and shown only if it verifies.
Certificates and requests are shown without a root too, and then say so.

Examples:
  specie-ceremony show root.pem
  specie-ceremony show 01-root.transcript
  specie-ceremony show --root root.pem keyset-1.jws
  specie-ceremony show --root root.pem --json group.jws`
}

// Run implements the command.
func (c *showCmd) Run(a *app) error {
	b, err := paper.Read(c.File, maxShown)
	if err != nil {
		return err
	}
	var root *trust.Root
	if c.Root != "" {
		if root, err = (rootFlag{Root: c.Root}).read(); err != nil {
			return err
		}
	}
	r, err := show(root, b, filepath.Dir(c.File), c.time())
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return a.print(r)
}

// maxShown bounds a file that is shown, in bytes: the largest is a transcript.
const maxShown = transcript.MaxSize

// show finds out what the bytes of a file in dir are.
func show(root *trust.Root, b []byte, dir string, at time.Time) (result, error) {
	switch {
	case bytes.HasPrefix(b, []byte(`{"seq":`)):
		return showTranscript(root, b)
	case bytes.HasPrefix(b, []byte("{\n  \"key\":")):
		return showPlatform(b)
	case bytes.HasPrefix(b, []byte("specie ceremony approval ")):
		return showApproval(b)
	case len(b) <= ceremony.MaxPlan && isYAML(b, "ceremony"):
		plan, err := ceremony.Parse(b, dir)
		if err != nil {
			return nil, err
		}
		return newPlanView(plan, at)
	case len(b) <= approval.MaxRoster && isYAML(b, "threshold"):
		r, err := approval.ParseRoster(b)
		return (*rosterView)(r), err
	}
	return showDocument(root, bytes.TrimRight(b, "\r\n"), at)
}

// isYAML says whether the bytes are YAML with that field.
func isYAML(b []byte, field string) bool {
	var fields map[string]any
	if err := yaml.Load(b, &fields); err != nil {
		return false
	}
	_, ok := fields[field]
	return ok
}

func showTranscript(root *trust.Root, b []byte) (result, error) {
	t, err := transcript.Read(b)
	if err != nil {
		return nil, err
	}
	v, err := newTranscriptView(t)
	if err != nil || root == nil || !t.Ended() {
		return v, err
	}
	by, err := t.VerifyClose(root)
	if err != nil {
		return nil, err
	}
	v.Verified = by.URN()
	return v, nil
}

// showDocument shows certificates and signed documents.
func showDocument(root *trust.Root, b []byte, at time.Time) (result, error) {
	if block, _ := pem.Decode(b); block != nil {
		return showPEM(root, b, at)
	}
	typ, err := docType(b)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, errNoRoot
	}
	switch typ {
	case trust.TypKeyset:
		k, err := coin.ParseKeyset(root, b, at)
		return (*keysetView)(k), err
	case trust.TypGroup:
		d, err := groupdoc.Parse(root, b, at)
		return (*groupView)(d), err
	case trust.TypSupervision:
		return showSupervision(root, b, at)
	case trust.TypReceipt:
		r, err := coin.VerifyDepositReceipt(root, b, at)
		return (*receiptView)(r), err
	case trust.TypMember:
		return nil, errors.New("a member statement is shown as part of evidence: specie-ceremony opening verify")
	case officer.TypCard:
		card, err := officer.ParseCard(root, b, at)
		return (*cardView)(card), err
	case officer.TypDealing:
		d, err := officer.InspectDealing(root, b, at)
		return (*dealingView)(d), err
	case trust.TypWarrant:
		w, _, by, err := warrant.Signed(root, b, at)
		if err != nil {
			return nil, err
		}
		w.Signers = []string{by}
		return (*shownWarrant)(w), nil
	case trust.TypOrder:
		o, err := order.Parse(root, b, at)
		return (*orderView)(o), err
	}
	return nil, fmt.Errorf("%w: a document of type %q", errShow, clean(typ))
}

// docType reads "typ" out of a compact JWS's header, to choose the reader;
// the reader checks it again.
func docType(b []byte) (string, error) {
	head, _, ok := bytes.Cut(b, []byte("."))
	raw, err := base64.RawURLEncoding.DecodeString(string(head))
	var h struct {
		Typ string `json:"typ"`
	}
	if !ok || err != nil || json.Unmarshal(raw, &h) != nil || h.Typ == "" {
		return "", fmt.Errorf("%w: no plan, roster, approval, transcript, PEM or signed document", errShow)
	}
	return h.Typ, nil
}

// certificateView is one certificate or request of a PEM file.
type certificateView struct {
	Kind     string     `json:"kind"` // "certificate" or "request"
	Name     string     `json:"name"`
	Key      string     `json:"key"`
	KeyID    string     `json:"key_sha256"`
	From     *time.Time `json:"from,omitempty"`
	Until    *time.Time `json:"until,omitempty"`
	CA       bool       `json:"ca"`
	SHA256   string     `json:"sha256"` // of the DER
	Verified bool       `json:"verified"`
}

type pemView []certificateView

func showPEM(root *trust.Root, b []byte, at time.Time) (result, error) {
	var view pemView
	var chain []*x509.Certificate
	for len(b) > 0 {
		block, rest := pem.Decode(b)
		if block == nil || len(view) > 2 {
			return nil, fmt.Errorf("%w: not up to three PEM blocks and nothing else", errShow)
		}
		b = bytes.TrimSpace(rest)
		v, cert, err := showBlock(block)
		if err != nil {
			return nil, err
		}
		view = append(view, *v)
		if cert != nil {
			chain = append(chain, cert)
		}
	}
	if root == nil || len(chain) != len(view) {
		return view, nil
	}
	if len(chain) > 1 || !chain[0].Equal(root.Certificate()) {
		if _, err := root.CheckChain(chain, at); err != nil {
			return nil, err
		}
	}
	for i := range view {
		view[i].Verified = true
	}
	return view, nil
}

func showBlock(block *pem.Block) (*certificateView, *x509.Certificate, error) {
	v := &certificateView{SHA256: hexDigest(sha256.Sum256(block.Bytes))}
	var cert *x509.Certificate
	named := &x509.Certificate{}
	var public any
	switch block.Type {
	case "CERTIFICATE":
		var err error
		if cert, err = x509.ParseCertificate(block.Bytes); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errShow, err)
		}
		v.Kind, v.From, v.Until, v.CA = "certificate", &cert.NotBefore, &cert.NotAfter, cert.IsCA
		named, public = cert, cert.PublicKey
	case "CERTIFICATE REQUEST":
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errShow, err)
		}
		if err := request.CheckSignature(); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", trust.ErrSignature, err)
		}
		v.Kind = "request"
		named.URIs, named.DNSNames, named.EmailAddresses, named.IPAddresses =
			request.URIs, request.DNSNames, request.EmailAddresses, request.IPAddresses
		public = request.PublicKey
	default:
		return nil, nil, fmt.Errorf("%w: a PEM block of another type", errShow)
	}
	name, err := trust.NameOf(named)
	if err != nil {
		return nil, nil, err
	}
	v.Name = name.URN()
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return nil, nil, fmt.Errorf("%w: the key is not ECDSA", errShow)
	}
	v.Key = "EC " + key.Params().Name
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errShow, err)
	}
	v.KeyID = hexDigest(sha256.Sum256(der))
	return v, cert, nil
}

func (v pemView) text(w io.Writer) {
	for _, c := range v {
		fmt.Fprintf(w, "%s of %s\n", c.Kind, c.Name)
		fmt.Fprintf(w, "  key\t%s\tsha256 %s\n", c.Key, c.KeyID)
		if c.From != nil {
			fmt.Fprintf(w, "  valid\t%s to %s\n", when(*c.From), when(*c.Until))
		}
		fmt.Fprintf(w, "  compare\t%s\n", groups(c.SHA256))
		if c.Kind == "certificate" && !c.Verified {
			fmt.Fprintf(w, "  not verified\tno --root given\n")
		}
	}
}

func showSupervision(root *trust.Root, b []byte, at time.Time) (result, error) {
	doc, err := root.Verify(b, trust.TypSupervision, trust.RoleSupervisor, at)
	if err != nil {
		return nil, err
	}
	s, err := groupdoc.ReadSupervision(doc.Payload)
	if err != nil {
		return nil, err
	}
	return &supervisionView{signer: doc.Signer.ID, s: s}, nil
}
