package client

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
)

// Account is the bank's back office as the owner of an account sees it, with
// one of the account's tokens.
type Account struct {
	api *issuerclient.ClientWithResponses
}

// NewAccount talks to the issuer at url, or returns [ErrAddress].
func NewAccount(url, token string, hc *http.Client) (*Account, error) {
	if err := CheckAddress(url); err != nil {
		return nil, err
	}
	api, err := issuerclient.NewClientWithResponses(url, issuerclient.WithHTTPClient(hc),
		issuerclient.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		}))
	return &Account{api}, err
}

// Tokens lists the account's access tokens, ended ones too, oldest first.
func (a *Account) Tokens(ctx context.Context) ([]issuerclient.AccessToken, error) {
	r, err := a.api.GetTokensWithResponse(ctx)
	if err != nil {
		return nil, err
	}
	if r.JSON200 == nil {
		return nil, ReadProblem(r.HTTPResponse, r.Body)
	}
	return r.JSON200.Tokens, nil
}

// RevokeToken ends one of them at that time, now if it is zero.
func (a *Account) RevokeToken(ctx context.Context, id string, at time.Time) (*issuerclient.AccessToken, error) {
	var p issuerclient.RevokeTokenParams
	if !at.IsZero() {
		p.At = &at
	}
	r, err := a.api.RevokeTokenWithResponse(ctx, id, &p)
	if err != nil {
		return nil, err
	}
	if r.JSON200 == nil {
		return nil, ReadProblem(r.HTTPResponse, r.Body)
	}
	return r.JSON200, nil
}

// Statement returns a whole statement, oldest entry first. from and until are
// dates or RFC 3339 instants, or empty for the bank's own: this month, now.
func (a *Account) Statement(ctx context.Context, from, until string) (*issuerclient.Statement, error) {
	return WholeStatement(func(after *string) (*issuerclient.Statement, error) {
		limit := 500
		r, err := a.api.GetStatementWithResponse(ctx, &issuerclient.GetStatementParams{From: given(from), Until: given(until), After: after, Limit: &limit})
		if err != nil {
			return nil, err
		}
		if r.JSON200 == nil {
			return nil, ReadProblem(r.HTTPResponse, r.Body)
		}
		return r.JSON200, nil
	})
}

// ExportStatement returns a statement's file, of format "csv" or "camt.053".
func (a *Account) ExportStatement(ctx context.Context, from, until, format string) ([]byte, error) {
	f := issuerclient.GetStatementParamsFormat(format)
	r, err := a.api.GetStatementWithResponse(ctx, &issuerclient.GetStatementParams{From: given(from), Until: given(until), Format: &f})
	if err != nil {
		return nil, err
	}
	if r.StatusCode() != http.StatusOK {
		return nil, ReadProblem(r.HTTPResponse, r.Body)
	}
	return r.Body, nil
}

// given is nil for an empty text.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Rotation is how far the change of an access token for a new one has come. It
// is stored beside the token, and as secret.
type Rotation struct {
	// Next was made here and is offered to the bank.
	Next string `json:"next,omitempty"`
	// Former was in use before and ends at Until, if the bank has heard of it.
	Former string    `json:"former,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

// RotateToken changes an account's token for a new one with the same label,
// scopes and end, and lets the old one end at that time. Each step is stored by
// save before the next is taken, so after a crash, or an answer that was lost,
// it goes on where it stopped, and the stored token works at every moment.
//
// connect is an account with a token. The token needs the scope "tokens".
func RotateToken(ctx context.Context, connect func(token string) (*Account, error), token string, r Rotation, until time.Time,
	save func(token string, r Rotation) error) error {
	if r.Next == "" && r.Former == "" {
		next, err := makeToken()
		if err != nil {
			return err
		}
		r = Rotation{Next: next, Until: until}
		if err := save(token, r); err != nil {
			return err
		}
	}
	if r.Next != "" {
		old, err := connect(token)
		if err != nil {
			return err
		}
		if err := old.register(ctx, r.Next); err != nil {
			return err
		}
		r.Former, r.Next, token = token, "", r.Next
		if err := save(token, r); err != nil {
			return err
		}
	}
	a, err := connect(token)
	if err != nil {
		return err
	}
	_, err = a.RevokeToken(ctx, idOfToken(r.Former), r.Until)
	var p *Problem
	if err != nil && !(errors.As(err, &p) && p.Code == "not-found") {
		return err
	}
	return save(token, Rotation{})
}

// register has the bank know a token that was made here, as the one that asks
// is known.
func (a *Account) register(ctx context.Context, token string) error {
	list, err := a.Tokens(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		t := &list[i]
		if t.Current == nil || !*t.Current {
			continue
		}
		hash := sha256.Sum256([]byte(token))
		h := issuerclient.Hash(hash[:])
		ends := t.ExpiresAt
		if t.RevokedAt != nil && (ends == nil || t.RevokedAt.Before(*ends)) {
			ends = t.RevokedAt // the bank gives no longer one for a token that it is to end
		}
		r, err := a.api.CreateTokenWithResponse(ctx, issuerclient.TokenRequest{Label: given(t.Label), Scopes: t.Scopes, ExpiresAt: ends, Hash: &h})
		if err != nil {
			return err
		}
		if r.JSON201 == nil {
			return ReadProblem(r.HTTPResponse, r.Body)
		}
		return nil
	}
	return fmt.Errorf("%w: the token that asks is not in the list of tokens", ErrAnswer)
}

// makeToken makes a token as the bank does.
func makeToken() (string, error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", err
	}
	return "spt_" + base64.RawURLEncoding.EncodeToString(secret[:]), nil
}

// idOfToken is a token's name in lists: the first nine bytes of its hash.
func idOfToken(token string) string {
	hash := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(hash[:9])
}
