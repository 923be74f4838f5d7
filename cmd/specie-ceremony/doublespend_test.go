package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/opening/openingtest"
	"github.com/speciecash/specie/softhsm"
	"github.com/speciecash/specie/trust"
)

// stage is a founded bank with its tokens open: what bank and manager do with
// them stands in the issuer's and the manager's own packages; here it is just
// enough to make a case.
type stage struct {
	ctx      context.Context
	now      time.Time
	root     *trust.Root
	module   *hsm.Module
	keyset   *coin.Keyset
	document *groupdoc.Document
	manager  *hsm.ECDSAKey
	chain    []*x509.Certificate
	secrets  *ceremony.GroupSecrets
	mint     *hsm.RSAKey
	denom    coin.Denomination
	coins    uint64
}

func newStage(ctx context.Context) (*stage, error) {
	s := &stage{ctx: ctx, now: time.Now().UTC().Truncate(time.Second)}
	b, err := os.ReadFile("root.pem")
	if err != nil {
		return nil, err
	}
	if s.root, err = trust.ParseRoot(b); err != nil {
		return nil, err
	}
	p, err := softhsm.Provision(filepath.Dir(os.Getenv("SOFTHSM2_CONF")))
	if err != nil {
		return nil, err
	}
	s.module, err = p.Open()
	return s, err
}

// doubleSpend publishes group document and register, and writes case.json, in which Eva
// Example spends one coin twice; repeat.json, where the second spend is the
// first again; what the manager states about her and about Ada Honest; and
// ada.presentation, a payment of Ada's.
func doubleSpend(ctx context.Context) error {
	s, err := newStage(ctx)
	if err != nil {
		return err
	}
	defer s.module.Close()
	for _, step := range []func() error{s.readBank, s.readGroup, s.writeDocument} {
		if err := step(); err != nil {
			return err
		}
	}
	eva, err := s.admit("Eva Example", "statement-eva.jws")
	if err != nil {
		return err
	}
	ada, err := s.admit("Ada Honest", "statement-ada.jws")
	if err != nil {
		return err
	}
	pres, err := ada.Present(ctx, ada.Key, []byte("a payment"), nil)
	if err != nil {
		return err
	}
	if err := os.WriteFile("ada.presentation", pres.Bytes(), 0o600); err != nil {
		return err
	}
	owner, err := eva.CoinOwner(ctx)
	if err != nil {
		return err
	}
	c, err := s.strike(owner)
	if err != nil {
		return err
	}
	first, err1 := s.pay(eva, c, 1)
	second, err2 := s.pay(eva, c, 2)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	return errors.Join(
		writeCase("case.json", c.ID(), first, second),
		writeCase("repeat.json", c.ID(), first, first),
	)
}

func writeCase(path string, coinID [32]byte, first, second opening.Spend) error {
	c := &opening.Case{Bank: first.Bank, CoinID: coinID, Spends: [2]opening.Spend{first, second}}
	b, err := c.Marshal()
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

func (s *stage) token(label, pinFile string) (*hsm.Token, error) {
	pin, err := hsm.ReadPIN(pinFile)
	if err != nil {
		return nil, err
	}
	return s.module.Token(s.ctx, hsm.Config{TokenLabel: label, PIN: pin, Sessions: 1})
}

// readBank finds the keyset and the token's key for one bound denomination.
func (s *stage) readBank() error {
	b, err := os.ReadFile("keyset-1.jws")
	if err != nil {
		return err
	}
	if s.keyset, err = coin.ParseKeyset(s.root, b, s.now); err != nil {
		return err
	}
	s.denom = s.keyset.ForIssue(coin.Bound, s.now)[0]
	token, err := s.token("demobank-online", "demobank-online.pin")
	if err != nil {
		return err
	}
	keys, err := token.RSAKeys(s.ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if key.Public().Equal(s.denom.PublicKey) {
			s.mint = key
			return nil
		}
	}
	return fmt.Errorf("the token has no key of the keyset")
}

func (s *stage) readGroup() error {
	token, err := s.token("demogroup", "demogroup.pin")
	if err != nil {
		return err
	}
	if s.manager, err = token.FindECDSA(s.ctx, "manager"); err != nil {
		return err
	}
	seal, err := token.FindAES(s.ctx, "seal")
	if err != nil {
		return err
	}
	sealed, err := os.ReadFile("group.sealed")
	if err != nil {
		return err
	}
	if s.secrets, err = ceremony.UnsealGroup(s.ctx, sealed, seal, "DEMOGROUP"); err != nil {
		return err
	}
	b, err := os.ReadFile("group.pem")
	if err != nil {
		return err
	}
	block, _ := pem.Decode(b)
	cert, err := x509.ParseCertificate(block.Bytes)
	s.chain = []*x509.Certificate{cert}
	return err
}

func (s *stage) writeDocument() error {
	contents := &groupdoc.Contents{
		ID:       "DEMOGROUP",
		Seq:      1,
		Current:  groupdoc.Epoch{Number: 1, Starts: s.now.Add(-time.Hour), Ends: s.now.Add(24 * time.Hour)},
		Template: attest.GroupKeyTemplate(), EKKinds: []string{"rsa2048"}, W: s.secrets.Issuer.Public(), WProof: s.secrets.Proof,
		FormKey: s.secrets.Form.PublicKey().Bytes(), IssuedAt: s.now,
	}
	files, err := filepath.Glob("supervision-*.jws")
	if err != nil {
		return err
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		contents.SupervisionJWS = append(contents.SupervisionJWS, b)
	}
	if err := s.publish(contents); err != nil {
		return err
	}
	empty, err := (&warrant.Register{Group: contents.ID}).Marshal()
	if err != nil {
		return err
	}
	return os.WriteFile(registerFile, empty, 0o644)
}

// publish signs a document as the manager.
func (s *stage) publish(contents *groupdoc.Contents) error {
	jws, err := groupdoc.Sign(s.root, contents, s.manager, s.chain)
	if err != nil {
		return err
	}
	if s.document, err = groupdoc.Parse(s.root, jws, s.now); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(documentFile), 0o700); err != nil {
		return err
	}
	return os.WriteFile(documentFile, jws, 0o644)
}

// admit makes a member and writes what the manager states about him.
func (s *stage) admit(name, statement string) (*openingtest.Member, error) {
	key, err := openingtest.NewKey()
	if err != nil {
		return nil, err
	}
	p := s.document.Parameters()
	m, err := openingtest.Admit(s.ctx, p, s.secrets.Issuer, s.document.Current.Number, name, key, nil)
	if err != nil {
		return nil, err
	}
	jws, err := enrol.SignStatement(p, &m.Statement, s.manager, s.chain)
	if err != nil {
		return nil, err
	}
	return m, os.WriteFile(statement, jws, 0o644)
}

// strike makes a coin with the key in the token.
func (s *stage) strike(owner coin.Owner) (*coin.Coin, error) {
	s.coins++
	p, err := coin.NewPlanchet(coin.Seed{1}, s.keyset.Bank, &s.denom, s.coins, owner)
	if err != nil {
		return nil, err
	}
	sig, err := s.mint.BlindSign(s.ctx, p.Blinded())
	if err != nil {
		return nil, err
	}
	return p.Finalize(sig)
}

func (s *stage) pay(m *openingtest.Member, c *coin.Coin, offer byte) (opening.Spend, error) {
	spend, err := coin.NewSpend(coin.Spend{
		Purpose: coin.Pay, Bank: s.keyset.Bank, OfferDigest: [32]byte{offer}, Amount: s.denom.Value,
		Currency: s.keyset.Currency, Coins: []coin.Coin{*c}, Group: s.document.GroupID(), IssuedAt: s.now.Unix() + int64(offer),
	})
	if err != nil {
		return opening.Spend{}, err
	}
	a, err := m.Authorise(s.ctx, spend, nil)
	return opening.Spend{Spend: spend, Authorisation: a}, err
}
