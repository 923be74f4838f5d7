package merchant

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/coin"
)

// Message is a step of a sale on its way to the shop.
type Message struct {
	Event int64     `json:"event"`
	Sale  api.Bytes `json:"sale"`
	Step  string    `json:"step"`
	At    time.Time `json:"at"`
	Tries int       `json:"tries"`
	// Next is when it is tried again, Outcome what came of the last try.
	Next    *time.Time `json:"next,omitempty"`
	Outcome string     `json:"outcome,omitempty"`
	// Done is empty while it waits, or "delivered" or "given-up".
	Done string `json:"done,omitempty"`

	event Event
	due   int64
}

// outbox is the messages since an event, and what came of them.
const outbox = "FROM events e LEFT JOIN deliveries d ON d.seq = e.seq WHERE e.seq > ? AND e.step IN " + told

func (t *Till) messages(ctx context.Context, where string, args ...any) ([]Message, error) {
	rows, err := t.db.QueryContext(ctx, `SELECT e.seq, e.offer, e.step, e.op, e.code, e.reason, e.at,
		coalesce(d.tries, 0), coalesce(d.next, 0), coalesce(d.outcome, ''), coalesce(d.done, '') `+outbox+" "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("till: webhook: %w", err)
	}
	defer rows.Close()
	var out []Message
	for rows.Next() {
		var m Message
		var at int64
		e := &m.event
		err := rows.Scan(&e.Seq, (*[]byte)(&e.Offer), &e.Step, (*[]byte)(&e.Op), &e.Code, &e.Reason, &at, &m.Tries, &m.due, &m.Outcome, &m.Done)
		if err != nil {
			return nil, fmt.Errorf("till: webhook: %w", err)
		}
		e.At = time.UnixMicro(at).UTC()
		m.Event, m.Sale, m.Step, m.At = e.Seq, e.Offer, e.Step, e.At
		if m.Done == "" && m.Tries > 0 {
			next := time.UnixMicro(m.due).UTC()
			m.Next = &next
		}
		out = append(out, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("till: webhook: %w", err)
	}
	return out, nil
}

// DeliverWebhooks sends the messages that are due, those of one sale in their order,
// and returns how many arrived. What a shop does not take is tried again later, for
// WebhookDays. The error is of the till, not of the shop.
func (t *Till) DeliverWebhooks(ctx context.Context) (arrived int, err error) {
	for {
		var h hook
		if _, err := getMeta(ctx, t.db, metaWebhook, &h); err != nil || h.URL == "" {
			return arrived, err
		}
		if err := t.giveUp(ctx, h.Since); err != nil {
			return arrived, err
		}
		// Of a sale, the first message that is not done.
		list, err := t.messages(ctx, `AND coalesce(d.done, '') = '' AND coalesce(d.next, 0) <= ? AND NOT EXISTS (SELECT 1 FROM events f
			LEFT JOIN deliveries g ON g.seq = f.seq WHERE f.offer = e.offer AND f.seq > ? AND f.seq < e.seq AND coalesce(g.done, '') = ''
			AND f.step IN `+told+`) ORDER BY e.seq LIMIT ?`, h.Since, t.now().UnixMicro(), h.Since, hookBatch)
		if err != nil || len(list) == 0 {
			return arrived, err
		}
		for i := range list {
			ok, gone, err := t.deliver(ctx, &h, &list[i])
			if err != nil {
				return arrived, err
			}
			if ok {
				arrived++
			}
			if gone {
				return arrived, nil // nobody is there: the others wait too
			}
		}
	}
}

// deliver tries a message once and records what came of it. gone says that nobody
// answered.
func (t *Till) deliver(ctx context.Context, h *hook, m *Message) (ok, gone bool, err error) {
	body, err := t.message(ctx, m)
	if err != nil {
		return false, false, err
	}
	status, perr := t.post(ctx, h, fmt.Sprintf("evt_%d_%d", m.Event, m.At.UnixMicro()), body)
	if ctx.Err() != nil {
		return false, true, ctx.Err()
	}
	done, outcome, next := "", "", t.now().Add(pause(m.Tries))
	switch {
	case perr != nil:
		outcome = "no answer"
	case status/100 == 2:
		done, outcome = hookDelivered, strconv.Itoa(status)
	default:
		outcome = "status " + strconv.Itoa(status)
	}
	_, err = t.db.ExecContext(ctx, `INSERT INTO deliveries (seq, tries, next, outcome, done) VALUES (?, 1, ?, ?, ?)
		ON CONFLICT (seq) DO UPDATE SET tries = tries + 1, next = excluded.next, outcome = excluded.outcome, done = excluded.done`,
		m.Event, next.UnixMicro(), outcome, done)
	if err != nil {
		return false, false, fmt.Errorf("till: webhook: %w", err)
	}
	return done != "", perr != nil, nil
}

// pause is how long to wait after a try.
func pause(tries int) time.Duration {
	steps := []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour}
	return steps[min(tries, len(steps)-1)]
}

// giveUp ends messages that were tried for too long, and the oldest of too many. One
// that was never tried, by a till that was off, is tried first.
func (t *Till) giveUp(ctx context.Context, since int64) error {
	late := t.now().AddDate(0, 0, -WebhookDays).UnixMicro()
	_, err := t.db.ExecContext(ctx, `INSERT INTO deliveries (seq, tries, next, outcome, done)
		SELECT e.seq, 0, 0, 'not delivered in time', ? `+outbox+` AND coalesce(d.done, '') = '' AND (e.at < ? AND coalesce(d.tries, 0) > 0 OR e.seq <=
			coalesce((SELECT f.seq FROM events f LEFT JOIN deliveries g ON g.seq = f.seq WHERE f.seq > ? AND f.step IN `+told+`
				AND coalesce(g.done, '') = '' ORDER BY f.seq DESC LIMIT 1 OFFSET ?), 0))
		ON CONFLICT (seq) DO UPDATE SET done = excluded.done`, hookGivenUp, since, late, since, MaxWebhooks)
	if err != nil {
		return fmt.Errorf("till: webhook: %w", err)
	}
	return nil
}

// message is the body of a message: the same at every try.
func (t *Till) message(ctx context.Context, m *Message) ([]byte, error) {
	s, err := t.Sale(ctx, [32]byte(m.Sale))
	if err != nil {
		return nil, err
	}
	type data struct {
		Sale     api.Bytes   `json:"sale"`
		Order    string      `json:"order"`
		Amount   coin.Amount `json:"amount"`
		Currency string      `json:"currency"`
		Exponent int         `json:"exponent"`
		Step     string      `json:"step"`
		Op       api.Bytes   `json:"op,omitempty"`
		Code     string      `json:"code,omitempty"`
		Reason   string      `json:"reason,omitempty"`
	}
	raw, err := json.Marshal(struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      data      `json:"data"`
	}{"sale." + m.Step, m.At, data{m.Sale, s.Order, s.Amount, s.Currency, s.Exponent, m.Step, m.event.Op, m.event.Code, m.event.Reason}})
	if err != nil {
		return nil, fmt.Errorf("till: webhook: %w", err)
	}
	return raw, nil
}

// post sends a signed message. The signature's time is that of this try.
func (t *Till) post(ctx context.Context, h *hook, id string, body []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("webhook: %w", err)
	}
	at := strconv.FormatInt(t.now().Unix(), 10)
	mac := hmac.New(sha256.New, h.Secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", at)
	r.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	resp, err := t.http.Do(r)
	if err != nil {
		return 0, fmt.Errorf("webhook: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, nil
}

// DeliverWhile delivers messages as they come, until ctx ends. What the till can't do
// now, with a full disk say, it logs once and tries again: the messages wait in its
// file.
func (t *Till) DeliverWhile(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	said := ""
	for {
		news := t.Changed()
		err := t.expire(ctx)
		if err == nil {
			_, err = t.DeliverWebhooks(ctx)
		}
		switch {
		case err == nil:
			said = ""
		case ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			log.Error("the web shop can't be told now; tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-news:
		case <-tick.C:
		}
	}
}
