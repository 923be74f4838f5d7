package merchant

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/trust"
)

// Errors of the till itself, matched with errors.Is.
var (
	// ErrExists: there is a till at that path already.
	ErrExists = errors.New("there is a till already")
	// ErrNoTill: the file holds no till; create one first.
	ErrNoTill = errors.New("no till here yet")
	// ErrOffer: the offer can't be made.
	ErrOffer = errors.New("offer refused")
)

// migrations of the till's file; see sqlitefile.Open. payments.held_until is when
// the bank's hold ends, in Unix microseconds, 0 without one; such a payment's spend
// is without its authorisation. payments.kept_at is when it was accepted without the
// bank, 0 if it was not; refunds.op is the bank's, of a claimed one. offers.closed is
// empty, "expired" or "cancelled"; offers.expires is 0 in rows of before there was
// such a column. events has the steps of sales, see Event; deliveries
// what came of telling a web shop of one, see SetWebhook.
var migrations = []string{`
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE offers (
	digest  BLOB PRIMARY KEY,
	jws     BLOB NOT NULL,
	private BLOB NOT NULL,
	amount  INTEGER NOT NULL,
	created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE payments (
	op      BLOB PRIMARY KEY,
	offer   BLOB NOT NULL REFERENCES offers (digest),
	spend   BLOB NOT NULL,
	request BLOB NOT NULL,
	state   TEXT NOT NULL,
	answer  BLOB,
	reason  TEXT NOT NULL DEFAULT '',
	created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX payments_offer ON payments (offer);
`, `
ALTER TABLE payments ADD COLUMN held_until INTEGER NOT NULL DEFAULT 0;
CREATE TABLE refunds (
	id      BLOB PRIMARY KEY,
	payment BLOB NOT NULL REFERENCES payments (op),
	amount  INTEGER NOT NULL,
	state   TEXT NOT NULL,
	op      BLOB UNIQUE,
	request BLOB,
	answer  BLOB,
	reason  TEXT NOT NULL DEFAULT '',
	created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX refunds_payment ON refunds (payment);
`, `
ALTER TABLE offers ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
ALTER TABLE offers ADD COLUMN closed TEXT NOT NULL DEFAULT '';
CREATE INDEX offers_open ON offers (closed, expires);
CREATE INDEX offers_created ON offers (created);
ALTER TABLE payments ADD COLUMN kept_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX payments_created ON payments (created);
CREATE INDEX payments_state ON payments (state);
CREATE TABLE events (
	seq    INTEGER PRIMARY KEY AUTOINCREMENT,
	offer  BLOB NOT NULL,
	step   TEXT NOT NULL,
	op     BLOB,
	code   TEXT NOT NULL DEFAULT '',
	reason TEXT NOT NULL DEFAULT '',
	at     INTEGER NOT NULL
);
CREATE INDEX events_offer ON events (offer);
CREATE TABLE payment_coins (
	coin BLOB NOT NULL,
	op   BLOB NOT NULL,
	PRIMARY KEY (coin, op)
) WITHOUT ROWID;
CREATE INDEX payment_coins_op ON payment_coins (op);
CREATE TABLE desk_keys (
	name    TEXT PRIMARY KEY,
	hash    BLOB NOT NULL UNIQUE,
	created INTEGER NOT NULL
) WITHOUT ROWID;
`, `
CREATE TABLE deliveries (
	seq     INTEGER PRIMARY KEY,
	tries   INTEGER NOT NULL,
	next    INTEGER NOT NULL,
	outcome TEXT NOT NULL,
	done    TEXT NOT NULL
);
`}

// Settings are what a till is created with.
type Settings struct {
	// RootPEM is the pinned root certificate.
	RootPEM []byte `json:"root"`
	// BankURL is the merchant's own bank, the acquirer.
	BankURL string `json:"bank_url"`
	// GroupURLs are the group managers whose members' bound coins are taken.
	GroupURLs []string `json:"group_urls"`
	// Name is what payers are shown.
	Name string `json:"name"`
	// TillName names this till in offers: [A-Za-z0-9._-], up to 64 bytes.
	TillName string `json:"till"`
	// Token is the account's access token.
	Token string `json:"token,omitempty"`
	// Rotation is what RotateToken has come to.
	Rotation client.Rotation `json:"rotation,omitzero"`
}

// Format keeps the token out of every verb of fmt.
func (s Settings) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "till %s of %s", s.TillName, s.Name) }

func (s *Settings) check() error {
	if _, err := trust.ParseRoot(s.RootPEM); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if err := client.CheckAddress(s.BankURL); err != nil {
		return fmt.Errorf("bank: %w", err)
	}
	for _, url := range s.GroupURLs {
		if err := client.CheckAddress(url); err != nil {
			return fmt.Errorf("group manager: %w", err)
		}
	}
	return nil
}

// Keys of the settings in the file.
const (
	metaSettings = "settings"
	metaKey      = "key"
	metaKeyset   = "keyset"
	metaGroup    = "group " // followed by the manager's address
)

// Options are what a till is opened with.
type Options struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// HTTP talks to bank and group managers; nil means a bounded client.
	HTTP *http.Client
}

// Till is an open till.
type Till struct {
	db       *sql.DB
	dir      string // where the till's file lies
	settings Settings
	key      ed25519.PrivateKey
	root     *trust.Root
	now      func() time.Time
	http     *http.Client

	mu          sync.Mutex
	keyset      *coin.Keyset
	keysetAsked time.Time
	groups      map[string]groupPaper // by the manager's address

	// unreachable is whether the bank did not answer when last asked, asked when
	// that was, in Unix microseconds.
	unreachable atomic.Bool
	asked       atomic.Int64

	newsMu sync.Mutex
	news   chan struct{} // closed at the next change; nil while nobody waits
}

// Create makes a new till file with a fresh key. It returns [ErrExists] if
// there is one, and client.ErrAddress for a bank or group manager that can't
// be asked safely.
func Create(ctx context.Context, path string, s Settings) (err error) {
	if err := s.check(); err != nil {
		return fmt.Errorf("create till: %w", err)
	}
	db, err := sqlitefile.Open(ctx, path, sqlitefile.Shared, migrations)
	if err != nil {
		return fmt.Errorf("create till: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("create till: %w", err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("create till: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	// The key is the merchant: in one transaction with the look for an old one.
	found, err := getMeta(ctx, tx, metaSettings, &Settings{})
	if err == nil && found {
		err = ErrExists
	}
	if err == nil {
		err = errors.Join(putMeta(ctx, tx, metaKey, key.Seed()), putMeta(ctx, tx, metaSettings, s))
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return fmt.Errorf("create till: %w", err)
	}
	return nil
}

// Open opens a till. No network is needed until a payment asks for one.
func Open(ctx context.Context, path string, o Options) (*Till, error) {
	db, err := sqlitefile.Open(ctx, path, sqlitefile.Shared, migrations)
	if err != nil {
		return nil, fmt.Errorf("open till: %w", err)
	}
	t := &Till{db: db, dir: filepath.Dir(path), now: o.Now, http: o.HTTP, groups: map[string]groupPaper{}}
	if err := t.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open till: %w", err), db.Close())
	}
	return t, nil
}

func (t *Till) load(ctx context.Context) error {
	found, err := getMeta(ctx, t.db, metaSettings, &t.settings)
	if err != nil {
		return err
	}
	var seed []byte
	if _, err := getMeta(ctx, t.db, metaKey, &seed); err != nil {
		return err
	}
	if !found || len(seed) != ed25519.SeedSize {
		return ErrNoTill
	}
	t.key = ed25519.NewKeyFromSeed(seed)
	if t.root, err = trust.ParseRoot(t.settings.RootPEM); err != nil {
		return err
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.http == nil {
		t.http = client.NewHTTP(30 * time.Second)
	}
	return nil
}

// Close closes the file.
func (t *Till) Close() error { return t.db.Close() }

// MerchantID is the thumbprint of the till's key, by which the bank knows the
// merchant.
func (t *Till) MerchantID() string { return coin.MerchantID(t.key.Public().(ed25519.PublicKey)) }

// AccountRequest asks the till's bank for an account (compact JWS).
func (t *Till) AccountRequest(ctx context.Context) ([]byte, error) {
	k, err := t.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	return coin.SignMerchantRequest(k.Bank, t.key)
}

// SetToken stores the account's access token.
func (t *Till) SetToken(ctx context.Context, token string) error {
	return t.setToken(ctx, token, client.Rotation{})
}

func (t *Till) setToken(ctx context.Context, token string, r client.Rotation) error {
	s := t.settings
	s.Token, s.Rotation = token, r
	if err := putMeta(ctx, t.db, metaSettings, s); err != nil {
		return err
	}
	t.settings = s
	return nil
}

// OfferRequest is what is to be paid.
type OfferRequest struct {
	// Amount in minor units.
	Amount coin.Amount
	// Order and Purpose are seen by the payer, never by a bank.
	Order, Purpose string
	// Lifetime is how long the offer can be paid; zero means 15 minutes.
	Lifetime time.Duration
	// Kinds of coin to take; none means bearer, and bound if a group manager
	// is configured.
	Kinds []coin.Kind
}

// NewOffer makes, signs and stores an offer.
func (t *Till) NewOffer(ctx context.Context, r OfferRequest) (*coin.SignedOffer, error) {
	k, err := t.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	if r.Lifetime == 0 {
		r.Lifetime = 15 * time.Minute
	}
	o := coin.Offer{
		Mode: coin.Online, Till: t.settings.TillName, Acquirer: k.Bank, Amount: r.Amount, Currency: k.Currency,
		Expires: t.now().Add(r.Lifetime).UTC().Truncate(time.Second), Kinds: r.Kinds,
	}
	if len(o.Kinds) == 0 {
		o.Kinds = []coin.Kind{coin.Bearer}
		if len(t.settings.GroupURLs) > 0 {
			o.Kinds = append(o.Kinds, coin.Bound)
		}
	}
	if err := t.offerGroups(ctx, &o); err != nil {
		return nil, err
	}
	signed, err := coin.NewOffer(o, coin.PrivateOffer{Name: t.settings.Name, Order: r.Order, Purpose: r.Purpose}, t.key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	err = t.change(ctx, "offer", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO offers (digest, jws, private, amount, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
			signed.Digest[:], signed.JWS, signed.PrivateBytes, int64(r.Amount), t.now().UnixMicro(), o.Expires.UnixMicro())
		if err != nil {
			return err
		}
		return t.step(ctx, tx, StepWaiting, signed.Digest[:], nil, "", "")
	})
	if err != nil {
		return nil, err
	}
	return signed, nil
}

// offerGroups names the groups and the epoch in an offer that takes bound coins.
func (t *Till) offerGroups(ctx context.Context, o *coin.Offer) error {
	bound := false
	for _, k := range o.Kinds {
		bound = bound || k == coin.Bound
	}
	if !bound {
		return nil
	}
	docs, err := t.groupDocuments(ctx)
	for _, d := range docs {
		e, err := d.EpochAt(t.now())
		if err != nil {
			continue
		}
		o.Groups = append(o.Groups, d.GroupID())
		o.Epoch = max(o.Epoch, uint32(e.Number))
	}
	if len(o.Groups) > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: bound coins need a group manager in the till's settings", ErrOffer)
}

// handle is the file or a transaction on it.
type handle interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func getMeta(ctx context.Context, db handle, key string, v any) (bool, error) {
	var raw []byte
	err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("till: %s: %w", key, err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("till: %s: %w: %w", key, sqlitefile.ErrDamaged, err)
	}
	return true, nil
}

func putMeta(ctx context.Context, db handle, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("till: %s: %w", key, err)
	}
	_, err = db.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, raw)
	if err != nil {
		return fmt.Errorf("till: %s: %w", key, err)
	}
	return nil
}
