package wallet_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// phrase asks for a passphrase, and counts.
func phrase(text string, asked *int) wallet.Unlock {
	return wallet.Unlock{Passphrase: func(context.Context) ([]byte, error) {
		*asked++
		return []byte(text), nil
	}}
}

func opens(t *testing.T, path string, u wallet.Unlock) error {
	t.Helper()
	w, err := wallet.Open(t.Context(), path, wallet.Options{Unlock: u})
	if err != nil {
		return err
	}
	return w.Close()
}

func TestALockedPurse(t *testing.T) {
	town := wallettest.New(t)
	path := filepath.Join(t.TempDir(), "purse.db")
	seed := wallet.NewSeed()
	s := wallet.Settings{RootPEM: town.RootPEM, BankURL: town.BankURL}
	locked := wallet.Lock{Kind: wallet.LockPassphrase, Passphrase: []byte("a long way home")}
	short := wallet.Lock{Kind: wallet.LockPassphrase, Passphrase: []byte("short")}
	want(t, wallet.Create(t.Context(), path, s, wallet.Making{Lock: short}), wallet.ErrPassphraseForm)
	want(t, wallet.Create(t.Context(), path, s, wallet.Making{Lock: wallet.Lock{Kind: "wax"}}), wallet.ErrLock)
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Fatalf("left: %v, %v", left, err)
	}
	must(t, wallet.Create(t.Context(), path, s, wallet.Making{Lock: locked, Seed: &seed}))

	asked := 0
	must(t, opens(t, path, phrase("a long way home", &asked)))
	want(t, opens(t, path, phrase("a short way home", &asked)), wallet.ErrPassphrase)
	if asked != 2 {
		t.Errorf("it was asked for %d times", asked)
	}
	want(t, opens(t, path, wallet.Unlock{}), wallet.ErrPassphraseNeeded)
	must(t, opens(t, path, wallet.Unlock{Seed: &seed}))
	want(t, opens(t, path, wallet.Unlock{Seed: &coin.Seed{1}}), wallet.ErrOtherWords)

	t.Run("nothing of it can be read", func(t *testing.T) {
		for _, name := range []string{path, filepath.Join(filepath.Dir(path), "purse.lock")} {
			text, err := os.ReadFile(name)
			must(t, err)
			if strings.Contains(string(text), town.BankURL) || strings.Contains(string(text), "SQLite") || strings.Contains(string(text), "long way") {
				t.Errorf("%s can be", name)
			}
			if fi, err := os.Stat(name); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, fi.Mode(), err)
			}
		}
	})
	t.Run("is locked otherwise, and a failure changes nothing", func(t *testing.T) {
		no := errors.New("no")
		for _, to := range []func(context.Context) (wallet.Lock, error){
			func(context.Context) (wallet.Lock, error) { return wallet.Lock{}, no },
			func(context.Context) (wallet.Lock, error) { return short, nil },
		} {
			if err := wallet.Relock(t.Context(), path, wallet.Unlock{Seed: &seed}, to); err == nil {
				t.Error("it was locked")
			}
		}
		wrong := phrase("a short way home", &asked)
		want(t, wallet.Relock(t.Context(), path, wrong, func(context.Context) (wallet.Lock, error) {
			t.Error("asked for a new one")
			return locked, nil
		}), wallet.ErrPassphrase)
		must(t, opens(t, path, phrase("a long way home", &asked)))
		must(t, wallet.Relock(t.Context(), path, wallet.Unlock{Seed: &seed}, func(context.Context) (wallet.Lock, error) {
			return wallet.Lock{Kind: wallet.LockPlain}, nil
		}))
		must(t, opens(t, path, wallet.Unlock{}))
		must(t, opens(t, path, wallet.Unlock{Seed: &seed}))
		state, err := wallet.LockOf(path)
		if err != nil || state.Kind != wallet.LockPlain {
			t.Errorf("%+v, %v", state, err)
		}
		left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".purse-*"))
		if err != nil || len(left) != 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
	t.Run("knows a lock that is another's", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "purse.db")
		must(t, wallet.Create(t.Context(), other, s, wallet.Making{Lock: wallet.Lock{Kind: wallet.LockPlain}}))
		text, err := os.ReadFile(filepath.Join(filepath.Dir(other), "purse.lock"))
		must(t, err)
		lock := filepath.Join(filepath.Dir(path), "purse.lock")
		own, err := os.ReadFile(lock)
		must(t, err)
		must(t, os.WriteFile(lock, text, 0o600))
		want(t, opens(t, path, wallet.Unlock{}), sqlitefile.ErrDamaged)
		var a, b map[string]any
		must(t, errors.Join(json.Unmarshal(own, &a), json.Unmarshal(text, &b)))
		a["check"] = b["check"]
		mixed, err := json.Marshal(a)
		must(t, err)
		must(t, os.WriteFile(lock, mixed, 0o600))
		want(t, opens(t, path, wallet.Unlock{}), wallet.ErrLock)
		want(t, opens(t, path, wallet.Unlock{Seed: &seed}), wallet.ErrLock)
		must(t, os.WriteFile(lock, own, 0o600))
	})
}

// TestACrashWhileAPurseIsMade leaves no purse, and what it leaves is in nobody's way.
func TestACrashWhileAPurseIsMade(t *testing.T) {
	town := wallettest.New(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "purse.db")
	must(t, os.WriteFile(filepath.Join(dir, "purse.lock"), []byte("of a purse that was not made"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, ".purse-1"), 0o700))
	want(t, opens(t, path, wallet.Unlock{}), wallet.ErrNoPurse)
	must(t, wallet.Create(t.Context(), path, wallet.Settings{RootPEM: town.RootPEM, BankURL: town.BankURL},
		wallet.Making{Lock: wallet.Lock{Kind: wallet.LockPlain}}))
	must(t, opens(t, path, wallet.Unlock{}))
}

// TestTheLockOfAPurseThatWasMoved is not lost to the purse that is made in its place:
// its words may never have been written down.
func TestTheLockOfAPurseThatWasMoved(t *testing.T) {
	town := wallettest.New(t)
	dir := t.TempDir()
	path, moved := filepath.Join(dir, "purse.db"), filepath.Join(dir, "before.db")
	lock := filepath.Join(dir, "purse.lock")
	for n := range 3 {
		must(t, wallet.Create(t.Context(), path, wallet.Settings{RootPEM: town.RootPEM, BankURL: town.BankURL},
			wallet.Making{Lock: wallet.Lock{Kind: wallet.LockPlain}}))
		if n == 0 {
			must(t, os.Rename(path, moved))
		} else {
			must(t, os.Remove(path))
		}
	}
	must(t, os.Rename(moved, path))
	must(t, os.Rename(lock+".1", lock))
	must(t, opens(t, path, wallet.Unlock{}))
}

func TestTheWordsOfAPurse(t *testing.T) {
	town := wallettest.New(t)
	path := filepath.Join(t.TempDir(), "purse.db")
	must(t, wallet.Create(t.Context(), path, wallet.Settings{RootPEM: town.RootPEM, BankURL: town.BankURL},
		wallet.Making{Lock: wallet.Lock{Kind: wallet.LockPlain}}))
	w, err := wallet.Open(t.Context(), path, wallet.Options{})
	must(t, err)
	defer w.Close()
	if due, err := w.WordsDue(t.Context()); err != nil || !due {
		t.Fatalf("%v, %v", due, err)
	}
	list, err := w.Words(t.Context())
	must(t, err)
	seed, err := wallet.ParseWords(strings.Join(list, " "))
	must(t, err)
	must(t, w.WordsWritten(t.Context()))
	_, err = w.Words(t.Context())
	want(t, err, wallet.ErrWordsShown)
	must(t, w.Close())
	must(t, opens(t, path, wallet.Unlock{Seed: &seed}))
}

func FuzzParseLock(f *testing.F) {
	key := strings.Repeat("A", 43)
	f.Add([]byte(`{"v":1,"type":"specie-purse-lock","check":"AAAAAAAAAAAAAAAAAAAAAA","stanzas":[{"kind":"plain","key":"` + key + `"},{"kind":"words","wrapped":"` + strings.Repeat("A", 96) + `"}]}`))
	f.Add([]byte(`{"v":1,"type":"specie-purse-lock","check":"AAAAAAAAAAAAAAAAAAAAAA","stanzas":[{"kind":"passphrase","wrapped":"` + strings.Repeat("A", 96) + `","salt":"AAAAAAAAAAAAAAAAAAAAAA","log_n":63},{"kind":"words"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := wallet.ParseLock(text); err != nil && !errors.Is(err, wallet.ErrLock) {
			t.Fatal(err)
		}
	})
}

func TestALockFileIsStrict(t *testing.T) {
	wrapped, key := strings.Repeat("A", 96), strings.Repeat("A", 43)
	words := `{"kind":"words","wrapped":"` + wrapped + `"}`
	lock := func(stanzas string) []byte {
		return []byte(`{"v":1,"type":"specie-purse-lock","check":"AAAAAAAAAAAAAAAAAAAAAA","stanzas":[` + stanzas + `]}`)
	}
	good := `{"kind":"plain","key":"` + key + `"}`
	must(t, wallet.ParseLock(lock(good+","+words)))
	pass := `{"kind":"passphrase","wrapped":"` + wrapped + `","salt":"AAAAAAAAAAAAAAAAAAAAAA","log_n":`
	must(t, wallet.ParseLock(lock(pass+`17},`+words)))
	for name, text := range map[string][]byte{
		"no words":                  lock(good),
		"words alone":               lock(words + "," + words + "," + words),
		"words first":               lock(words + "," + good),
		"two locks":                 lock(good + "," + good),
		"a lock of wax":             lock(`{"kind":"wax","wrapped":"` + wrapped + `"},` + words),
		"a passphrase that is free": lock(pass + `2},` + words),
		"one that takes for ever":   lock(pass + `40},` + words),
		"a TPM with nothing sealed": lock(`{"kind":"tpm","wrapped":"` + wrapped + `"},` + words),
		"a key beside the words":    lock(good + `,{"kind":"words","wrapped":"` + wrapped + `","key":"` + key + `"}`),
		"a short salt":              lock(strings.Replace(pass, `"AAAAAAAAAAAAAAAAAAAAAA","log_n"`, `"AAAA","log_n"`, 1) + `17},` + words),
		"words that wrap nothing":   lock(good + `,{"kind":"words","wrapped":"AAAA"}`),
		"a lock that wraps nothing": lock(strings.Replace(pass, wrapped, "AAAA", 1) + `17},` + words),
		"a short key":               lock(`{"kind":"plain","key":"AAAA"},` + words),
		"an unknown member":         lock(`{"kind":"plain","key":"` + key + `","hint":"rover"},` + words),
		"another version":           []byte(strings.Replace(string(lock(good+","+words)), `"v":1`, `"v":2`, 1)),
		"much too long":             lock(good + "," + words + strings.Repeat(" ", 20<<10)),
	} {
		if err := wallet.ParseLock(text); !errors.Is(err, wallet.ErrLock) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), key) {
			t.Errorf("%s: the error quotes the key", name)
		}
	}
}

func TestABackupHasAPassphrase(t *testing.T) {
	sealed, err := wallet.SealBackup([]byte("all that I have"), []byte("a long way home"))
	must(t, err)
	if !wallet.IsSealedBackup(sealed) || wallet.IsSealedBackup([]byte("{}")) || strings.Contains(string(sealed), "all that") {
		t.Errorf("%s", sealed)
	}
	_, err = wallet.SealBackup(nil, []byte("short"))
	want(t, err, wallet.ErrPassphraseForm)
	_, err = wallet.OpenBackup(sealed, []byte("a short way home"))
	want(t, err, wallet.ErrPassphrase)
	_, err = wallet.OpenBackup(sealed[:len(sealed)/2], []byte("a long way home"))
	want(t, err, wallet.ErrBackup)
	got, err := wallet.OpenBackup(sealed, []byte("a long way home"))
	if err != nil || string(got) != "all that I have" {
		t.Errorf("%q, %v", got, err)
	}
}
