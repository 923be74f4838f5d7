package merchant

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
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

// HasToken says whether there is one: without, the bank credits nothing.
func (t *Till) HasToken() bool { return t.settings.Token != "" }

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
