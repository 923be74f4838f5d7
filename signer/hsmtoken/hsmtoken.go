// Package hsmtoken makes the tokens of package hsm into those that a signer
// serves from. It imports hsm and signer and is for the process that holds
// the module; it must never be imported by package signer, whose client's
// process holds none.
//
// Errors of package hsm become those of package signer and still match the
// original. It adds nothing else, and no state of its own.
package hsmtoken

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/signer"
)

// New makes t a signer's token that does sessions operations at a time: as
// many as t has sessions.
func New(t *hsm.Token, sessions int) signer.Token { return &token{t, sessions} }

type token struct {
	hsm      *hsm.Token
	sessions int
}

// Name is the token's label.
func (t *token) Name() string { return t.hsm.Info().Label }

// Sessions implements signer.Token.
func (t *token) Sessions() int { return t.sessions }

// Keys implements signer.Token.
func (t *token) Keys(ctx context.Context) (*signer.TokenKeys, error) {
	rsaKeys, err := t.hsm.RSAKeys(ctx)
	if err != nil {
		return nil, translate(err)
	}
	ecKeys, err := t.hsm.ECDSAKeys(ctx)
	if err != nil {
		return nil, translate(err)
	}
	keys := &signer.TokenKeys{Blind: make(map[string]signer.BlindKey), Digest: make(map[string]signer.DigestKey)}
	for _, k := range rsaKeys {
		keys.Blind[k.Label()] = blindKey{k}
	}
	for _, k := range ecKeys {
		keys.Digest[k.Label()] = digestKey{k}
	}
	return keys, nil
}

// BlindSignBatch implements signer.Token.
func (t *token) BlindSignBatch(ctx context.Context, keys []signer.BlindKey, messages [][]byte) ([][]byte, error) {
	own := make([]*hsm.RSAKey, len(keys))
	for i, k := range keys {
		b, ok := k.(blindKey)
		if !ok {
			return nil, fmt.Errorf("%w: a %T is not a key of a token", signer.ErrInput, k)
		}
		own[i] = b.key
	}
	signatures, err := t.hsm.BlindSignBatch(ctx, own, messages)
	return signatures, translate(err)
}

// Opener implements signer.Token.
func (t *token) Opener(ctx context.Context, label string) (signer.Opener, error) {
	k, err := t.hsm.FindAES(ctx, label)
	if err != nil {
		return nil, translate(err)
	}
	return opener{k}, nil
}

type blindKey struct{ key *hsm.RSAKey }

func (k blindKey) Public() *rsa.PublicKey { return k.key.Public() }

func (k blindKey) BlindSign(ctx context.Context, m []byte) ([]byte, error) {
	s, err := k.key.BlindSign(ctx, m)
	return s, translate(err)
}

func (k blindKey) Check(ctx context.Context) error { return translate(k.key.Check(ctx)) }

type digestKey struct{ key *hsm.ECDSAKey }

func (k digestKey) Public() crypto.PublicKey { return k.key.Public() }

func (k digestKey) SignDigest(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s, err := k.key.SignDigest(ctx, digest, opts)
	return s, translate(err)
}

func (k digestKey) Check(ctx context.Context) error { return translate(k.key.Check(ctx)) }

type opener struct{ key *hsm.AESKey }

func (k opener) Open(ctx context.Context, box, aad []byte) ([]byte, error) {
	b, err := k.key.Open(ctx, box, aad)
	return b, translate(err)
}

// translate names the error of package signer that an error of package hsm
// stands for. What none stands for is a failure there.
func translate(err error) error {
	if err == nil {
		return nil
	}
	for _, pair := range [...][2]error{
		// In this order: an error that says what is wrong may have one below it
		// that asks to come again, which would not help.
		{hsm.ErrPIN, signer.ErrFailed},
		{hsm.ErrAudit, signer.ErrFailed},
		{hsm.ErrFaulty, signer.ErrFailed},
		{hsm.ErrInput, signer.ErrInput},
		{hsm.ErrSealed, signer.ErrSealed},
		{hsm.ErrBusy, signer.ErrBusy},
		{hsm.ErrUnavailable, signer.ErrUnavailable},
		{hsm.ErrKeyNotFound, signer.ErrUnknownKey},
	} {
		if errors.Is(err, pair[0]) {
			return fmt.Errorf("%w: %w", pair[1], err)
		}
	}
	return err
}
