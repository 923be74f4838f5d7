package merchant

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/speciecash/specie/client"
)

// The steps of sales are told to a web shop as the Standard Webhooks scheme has it:
// headers webhook-id, webhook-timestamp and webhook-signature, which is v1 and the
// HMAC-SHA256 of "id.timestamp.body". The outbox is the table of events itself, so
// that nothing can happen to a sale without a message waiting to be sent; deliveries
// has what became of each.

var (
	// ErrWebhook: the address or secret can't be used.
	ErrWebhook = errors.New("webhook refused")
	// ErrNoWebhook: there is none.
	ErrNoWebhook = errors.New("no webhook is set")
	// ErrUndelivered: the shop did not take the message.
	ErrUndelivered = errors.New("the shop did not take it")
)

const (
	secretPrefix = "whsec_"
	// WebhookDays is how long a message is tried.
	WebhookDays = 3
	// MaxWebhooks bounds the messages that wait; of more, the oldest are given up.
	MaxWebhooks = 10_000
	hookTimeout = 10 * time.Second
	hookBatch   = 64
)

// metaWebhook is where the webhook is in the file.
const metaWebhook = "webhook"

type hook struct {
	URL    string `json:"url"`
	Secret []byte `json:"secret"`
	// Since is the last event of before it was set.
	Since int64 `json:"since"`
}

// Ends of a message.
const (
	hookDelivered = "delivered"
	hookGivenUp   = "given-up"
)

// told are the steps that a shop is told of; the rest goes by too fast to matter.
const told = `('deposited', 'kept', 'refused', 'expired', 'cancelled', 'refund-offered', 'refunded', 'refund-cancelled', 'refund-refused')`

// NewWebhookSecret makes a secret to share with a shop: "whsec_" and 32 bytes in
// base64.
func NewWebhookSecret() (string, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("webhook: %w", err)
	}
	return secretPrefix + base64.StdEncoding.EncodeToString(secret), nil
}

// SetWebhook has what happens from now on posted to a shop's address: https, or http
// on this machine. The secret is "whsec_" and base64 of 24 to 64 bytes. An empty
// address ends it; what waits then is not sent. ErrWebhook.
func (t *Till) SetWebhook(ctx context.Context, url, secret string) error {
	var h hook
	if url != "" {
		if err := client.CheckAddress(url); err != nil {
			return fmt.Errorf("%w: %w", ErrWebhook, err)
		}
		text, ok := strings.CutPrefix(secret, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(key) < 24 || len(key) > 64 {
			return fmt.Errorf("%w: a secret is whsec_ and base64 of 24 to 64 bytes", ErrWebhook)
		}
		h.URL, h.Secret = url, key
	}
	return t.change(ctx, "webhook", func(tx *sql.Tx) error {
		var old hook
		if _, err := getMeta(ctx, tx, metaWebhook, &old); err != nil {
			return err
		}
		// Another address or secret takes up what the last one had not delivered.
		if h.Since = old.Since; old.URL == "" || h.URL == "" {
			if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM events").Scan(&h.Since); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "UPDATE deliveries SET next = 0 WHERE done = ''"); err != nil {
			return err
		}
		return putMeta(ctx, tx, metaWebhook, h)
	})
}

// WebhookStatus is what is set, how many messages wait, and the newest of all.
type WebhookStatus struct {
	URL      string    `json:"url"`
	Waiting  int       `json:"waiting"`
	Messages []Message `json:"messages"`
}

// Webhook returns the webhook and its newest messages, newest first; the URL is empty
// if there is none.
func (t *Till) Webhook(ctx context.Context) (*WebhookStatus, error) {
	var h hook
	if _, err := getMeta(ctx, t.db, metaWebhook, &h); err != nil {
		return nil, err
	}
	out := &WebhookStatus{URL: h.URL, Messages: []Message{}}
	if h.URL == "" {
		return out, nil
	}
	err := t.db.QueryRowContext(ctx, "SELECT count(*) "+outbox+" AND coalesce(d.done, '') = ''", h.Since).Scan(&out.Waiting)
	if err != nil {
		return nil, fmt.Errorf("till: webhook: %w", err)
	}
	list, err := t.messages(ctx, "ORDER BY e.seq DESC LIMIT 50", h.Since)
	if list != nil {
		out.Messages = list
	}
	return out, err
}

// TestWebhook sends a message of type "test" to the shop. ErrNoWebhook,
// ErrUndelivered.
func (t *Till) TestWebhook(ctx context.Context) error {
	var h hook
	if _, err := getMeta(ctx, t.db, metaWebhook, &h); err != nil {
		return err
	}
	if h.URL == "" {
		return ErrNoWebhook
	}
	now := t.now().UTC()
	body, err := json.Marshal(map[string]any{"type": "test", "timestamp": now, "data": map[string]any{}})
	if err != nil {
		return fmt.Errorf("till: webhook: %w", err)
	}
	status, err := t.post(ctx, &h, fmt.Sprintf("evt_test_%d", now.UnixMicro()), body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUndelivered, err)
	}
	if status/100 != 2 {
		return fmt.Errorf("%w: it answered %d", ErrUndelivered, status)
	}
	return nil
}
