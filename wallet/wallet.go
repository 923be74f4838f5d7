package wallet

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/trust"
)

// Progress is told how many of total steps are done. It may be nil.
type Progress func(done, total int)

func (p Progress) report(done, total int) {
	if p != nil {
		p(done, total)
	}
}

// Settings are what a purse is created with.
type Settings struct {
	// RootPEM is the pinned root certificate.
	RootPEM []byte `json:"root"`
	// BankURL is the issuer's REST address, see client.CheckAddress.
	BankURL string `json:"bank_url"`
	// Token is the account's access token. A purse without one can pay and
	// receive, not withdraw.
	Token string `json:"token,omitempty"`
	// Rotation is what RotateToken has come to.
	Rotation client.Rotation `json:"rotation,omitzero"`
}

// Format keeps the token out of every verb of fmt.
func (s Settings) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "wallet of %s", s.BankURL) }

// Options are what a purse is opened with.
type Options struct {
	// HTTP talks to bank, tills and group manager; nil means client.NewHTTP.
	HTTP *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Unlock opens the purse's lock.
	Unlock Unlock
}

// httpTimeout is how long an answer may take.
const httpTimeout = time.Minute

// Wallet is an open purse.
type Wallet struct {
	purse    *purse
	dir      string // where the purse lies
	settings Settings
	seed     coin.Seed
	root     *trust.Root
	bank     *bank
	http     *http.Client
	now      func() time.Time
	keyset   *coin.Keyset

	enrolled *membership        // nil before enrolment
	document *groupdoc.Document // of that group, once it was needed
	member   *group.Member      // nil until a TPM is attached
	key      group.Key
	closeKey func() error
	tags     Progress // see TPM.Tags
	watch    Progress // see Watch
}

// Watch has what can take long tell p from now on how far it is: Exchange,
// ExchangeExpiring, Recoup and Receive in coins, Resume in operations, Refund in
// refunds. What the TPM does is reported apart, see [TPM]. Nil ends it.
func (w *Wallet) Watch(p Progress) { w.watch = p }

// Keys of the settings in the purse.
const (
	metaSettings   = "settings"
	metaSeed       = "seed"
	metaKeyset     = "keyset"
	metaMembership = "membership"
	metaEnrolling  = "enrolling" // and a group's id
	metaFormer     = "former memberships"
	metaEnded      = "membership ended"
	metaWordsDue   = "words not written down"
	metaOnePIN     = "one PIN"
)

// Open opens a purse. No network is needed until an operation asks for one, and
// no TPM but that of the purse's lock. Errors: [ErrNoPurse], [ErrUnsealed],
// [ErrNoLock], [ErrLock], those of the lock ([ErrPassphrase], [ErrPassphraseNeeded],
// [ErrOtherWords], [ErrPIN], [ErrPINNeeded], [ErrLockout], [ErrSealed]), and
// those of package sqlitefile.
func Open(ctx context.Context, path string, o Options) (*Wallet, error) {
	lock, err := readLock(path)
	if err != nil {
		return nil, fmt.Errorf("open purse: %w", err)
	}
	key, err := o.Unlock.key(ctx, lock)
	if err != nil {
		return nil, fmt.Errorf("open purse: %w", err)
	}
	defer clear(key)
	p, err := openPurse(ctx, path, key)
	if err != nil {
		return nil, fmt.Errorf("open purse: %w", err)
	}
	w := &Wallet{purse: p, dir: filepath.Dir(path), http: o.HTTP, now: o.Now}
	if err := w.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open purse: %w", err), p.close())
	}
	return w, nil
}

func (w *Wallet) load(ctx context.Context) error {
	found, err := w.purse.get(ctx, metaSettings, &w.settings)
	if err != nil {
		return err
	}
	if !found {
		return ErrNoPurse
	}
	var seed []byte
	if _, err := w.purse.get(ctx, metaSeed, &seed); err != nil {
		return err
	}
	if len(seed) != len(w.seed) {
		return fmt.Errorf("%w: seed of %d bytes", sqlitefile.ErrDamaged, len(seed))
	}
	copy(w.seed[:], seed)
	if w.root, err = trust.ParseRoot(w.settings.RootPEM); err != nil {
		return err
	}
	if w.now == nil {
		w.now = time.Now
	}
	if w.http == nil {
		w.http = client.NewHTTP(httpTimeout)
	}
	if w.bank, err = newBank(w.settings.BankURL, w.settings.Token, w.http); err != nil {
		return err
	}
	return w.loadMembership(ctx)
}

// Close closes the purse and flushes the key from the TPM.
func (w *Wallet) Close() error {
	var err error
	if w.closeKey != nil {
		err = w.closeKey()
	}
	return errors.Join(err, w.purse.close())
}

// SetToken stores the account's access token.
func (w *Wallet) SetToken(ctx context.Context, token string) error {
	return w.setToken(ctx, token, client.Rotation{})
}

func (w *Wallet) setToken(ctx context.Context, token string, r client.Rotation) error {
	next := w.settings
	next.Token, next.Rotation = token, r
	b, err := newBank(next.BankURL, token, w.http)
	if err != nil {
		return err
	}
	if err := w.purse.put(ctx, metaSettings, next); err != nil {
		return err
	}
	w.settings, w.bank = next, b
	return nil
}

// Balance is the purse's fresh coins by kind, in minor units.
type Balance struct {
	Currency string                    `json:"currency"`
	Exponent int                       `json:"exponent"`
	Total    coin.Amount               `json:"total"`
	ByKind   map[coin.Kind]coin.Amount `json:"by_kind"`
	// Committed is promised in operations that aren't closed yet.
	Committed coin.Amount `json:"committed"`
	// Sent is in envelopes that nobody has opened yet, see Wallet.Send. It is in
	// none of the others.
	Sent coin.Amount `json:"sent,omitempty"`
	// Recoup is what can't be spent and can be made good: see Wallet.Recoup. It
	// is in neither Total nor ByKind.
	Recoup coin.Amount `json:"recoup,omitempty"`
	// Stranded is bound to a key that is gone with its TPM: see Wallet.Recover. It
	// is in none of the others.
	Stranded coin.Amount `json:"stranded,omitempty"`
	// Held is bound to the TPM of a membership that has ended, see [ErrEnded]. It
	// is in none of the others.
	Held coin.Amount `json:"held,omitempty"`
	// Dormant was restored and waits, see DormantFor. It is in none of the others.
	Dormant coin.Amount `json:"dormant,omitempty"`
}

// Balance adds up the purse.
func (w *Wallet) Balance(ctx context.Context) (Balance, error) {
	b := Balance{ByKind: map[coin.Kind]coin.Amount{}}
	k, err := w.Keyset(ctx)
	if err != nil {
		return b, err
	}
	b.Currency, b.Exponent = k.Currency, k.Exponent
	coins, err := w.purse.coins(ctx, "WHERE state IN (?, ?, ?)", CoinFresh, CoinCommitted, CoinDormant)
	if err != nil {
		return b, err
	}
	held, err := w.held(ctx)
	if err != nil {
		return b, err
	}
	sends, err := queryOps(ctx, w.purse.db, "WHERE kind = ? AND state = ?", KindSend, OpSubmitted)
	if err != nil {
		return b, err
	}
	inEnvelope := func(op []byte) bool {
		return slices.ContainsFunc(sends, func(s Operation) bool { return bytes.Equal(s.ID, op) })
	}
	for _, c := range coins {
		into := &b.Total
		switch {
		case c.State == CoinCommitted && inEnvelope(c.op):
			into = &b.Sent
		case c.State == CoinDormant:
			into = &b.Dormant
		case held(c):
			into = &b.Held
		case c.State == CoinCommitted:
			into = &b.Committed
		case w.stranded(c):
			into = &b.Stranded
		case claimable(k, c):
			into = &b.Recoup
		}
		if *into, err = into.Add(c.Value); err != nil {
			return b, err
		}
		if into == &b.Total {
			if b.ByKind[c.Kind], err = b.ByKind[c.Kind].Add(c.Value); err != nil {
				return b, err
			}
		}
	}
	return b, nil
}

// Coins lists the purse, all states, largest first.
func (w *Wallet) Coins(ctx context.Context) ([]StoredCoin, error) {
	coins, err := w.purse.coins(ctx, "ORDER BY state, value DESC, created, id")
	if err != nil || len(coins) == 0 {
		return nil, err
	}
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	held, err := w.held(ctx)
	if err != nil {
		return nil, err
	}
	for i := range coins {
		fresh := coins[i].State == CoinFresh
		coins[i].Held = held(coins[i])
		coins[i].Stranded = fresh && w.stranded(coins[i])
		coins[i].Recoup = fresh && !coins[i].Stranded && !coins[i].Held && claimable(k, coins[i])
	}
	return coins, nil
}

// History lists the operations, newest first.
func (w *Wallet) History(ctx context.Context) ([]Operation, error) {
	return queryOps(ctx, w.purse.db, "ORDER BY created DESC, id")
}

// FindPayment returns the payment whose id begins with text (hexadecimal, six
// characters at least), or ErrNoOperation if there is none or more than one.
func (w *Wallet) FindPayment(ctx context.Context, text string) (ID, error) {
	return w.find(ctx, text, "payments have", KindPay, KindPay)
}

// FindSent is FindPayment for envelopes that were sent.
func (w *Wallet) FindSent(ctx context.Context, text string) (ID, error) {
	return w.find(ctx, text, "envelopes have", KindSend, KindSend)
}

// FindPromised is FindPayment for what can be taken back: payments and envelopes.
func (w *Wallet) FindPromised(ctx context.Context, text string) (ID, error) {
	return w.find(ctx, text, "payments and envelopes have", KindPay, KindSend)
}

func (w *Wallet) find(ctx context.Context, text, what string, kinds ...any) (ID, error) {
	ops, err := queryOps(ctx, w.purse.db, "WHERE kind IN (?, ?)", kinds...)
	if err != nil {
		return nil, err
	}
	var found []ID
	for _, op := range ops {
		if len(text) >= 6 && strings.HasPrefix(op.ID.String(), text) {
			found = append(found, op.ID)
		}
	}
	if len(found) != 1 {
		count := "no"
		if len(found) > 1 {
			count = strconv.Itoa(len(found))
		}
		return nil, fmt.Errorf("%w: %s %s an id that begins with %q", ErrNoOperation, count, what, text)
	}
	return found[0], nil
}

// newID is 16 random bytes; crypto/rand does not fail.
func newID() ID {
	id := make(ID, 16)
	_, _ = rand.Read(id)
	return id
}
