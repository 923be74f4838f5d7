package wallet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestTheKeyOfTheTPMIsAFileBesideThePurse(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	device := at(t, town, registrationtest.TPMA)
	m, err := alice.Enroll(t.Context(), device, asAlice(town), nil)
	must(t, err)
	path := alice.KeyPath()
	if path != m.KeyFile || filepath.Dir(path) != filepath.Join(filepath.Dir(alice.Path), "keys") || !strings.HasPrefix(filepath.Base(path), m.Group+"-") {
		t.Errorf("it is %s", path)
	}
	for file, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		fi, err := os.Stat(file)
		must(t, err)
		if fi.Mode().Perm() != mode {
			t.Errorf("%s has mode %v", file, fi.Mode())
		}
	}
	good, err := os.ReadFile(path)
	must(t, err)
	bob := town.NewHolder(t, 0)
	must(t, enroll(t, town, bob, registrationtest.TPMB))
	other, err := os.ReadFile(bob.KeyPath())
	must(t, err)

	for name, c := range map[string]struct {
		contents []byte
		says     string
	}{
		"that is missing is named":      {nil, "there is no " + path},
		"with another key in it is too": {other, path + " holds another key"},
		"that is damaged is too":        {good[:len(good)/2], path},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.Remove(path))
			if c.contents != nil {
				must(t, os.WriteFile(path, c.contents, 0o600))
			}
			defer func() { must(t, os.WriteFile(path, good, 0o600)) }()
			alice.Reopen(t)
			err := alice.AttachTPM(t.Context(), device)
			want(t, err, wallet.ErrKeyFile)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %q", err)
			}
		})
	}
	t.Run("and works again when it is back", func(t *testing.T) {
		must(t, alice.AttachTPM(t.Context(), device))
		alice.Draw(t, 4, coin.Bound)
	})
}

// TestTheKeyIsOnDiskBeforeTheManagerSeesIt: a key that he has seen and that is
// lost would make the TPM a member whom nobody is.
func TestTheKeyIsOnDiskBeforeTheManagerSeesIt(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	must(t, os.WriteFile(filepath.Join(filepath.Dir(alice.Path), "keys"), nil, 0o600)) // no directory can be made
	if err := enroll(t, town, alice, registrationtest.TPMA); err == nil {
		t.Fatal("enrolled")
	}
	for _, s := range alice.Wire.Sent() {
		// A registration begins with the endorsement key alone.
		if s.Method != "GET" && s.Path != "/v1/registrations" {
			t.Errorf("%s %s was sent", s.Method, s.Path)
		}
	}
}

func TestAPurseOfBeforeHandsItsKeyOver(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	device := at(t, town, registrationtest.TPMA)
	must(t, enroll(t, town, alice, registrationtest.TPMA))
	path := alice.KeyPath()
	must(t, alice.KeepKeyInPurse(t.Context()))
	must(t, os.Remove(path))
	alice.Reopen(t)
	must(t, alice.AttachTPM(t.Context(), device))
	if _, err := tpm.ReadKeyFile(path); err != nil {
		t.Error(err)
	}

	t.Run("also if it was interrupted after the file was written", func(t *testing.T) {
		must(t, alice.KeepKeyInPurse(t.Context()))
		alice.Reopen(t)
		must(t, alice.AttachTPM(t.Context(), device))
	})
	t.Run("and learns which TPM it is in", func(t *testing.T) {
		alice.Reopen(t)
		if !alice.KnowsItsTPM() {
			t.Error("it has not")
		}
	})
	t.Run("but overwrites no other key", func(t *testing.T) {
		must(t, alice.KeepKeyInPurse(t.Context()))
		bob := town.NewHolder(t, 0)
		must(t, enroll(t, town, bob, registrationtest.TPMB))
		other, err := os.ReadFile(bob.KeyPath())
		must(t, err)
		copied := alice.CopyFiles(t)
		must(t, os.WriteFile(filepath.Join(filepath.Dir(copied), "keys", filepath.Base(path)), other, 0o600))
		_, err = wallet.Open(t.Context(), copied, wallet.Options{})
		want(t, err, wallet.ErrKeyFile)
	})
}

func TestAClearedTPMIsToldFromAnotherOne(t *testing.T) {
	town := wallettest.New(t)
	emulator := town.NewTPM(t)
	alice := town.NewHolder(t, 100)
	device := wallet.TPM{Address: emulator.TCTI()}
	_, err := alice.Enroll(t.Context(), device, asAlice(town), nil)
	must(t, err)
	must(t, alice.AttachTPM(t.Context(), device))
	alice.Draw(t, 9, coin.Bound)

	t.Run("a reset does no harm, in the midst of everything", func(t *testing.T) {
		must(t, emulator.Reset(t.Context()))
		_, err := alice.Pay(t.Context(), town.NewShop(t).Ask(t, 3))
		must(t, err)
	})
	t.Run("another one", func(t *testing.T) {
		alice.Reopen(t)
		want(t, alice.AttachTPM(t.Context(), at(t, town, registrationtest.TPMB)), wallet.ErrWrongTPM)
		must(t, alice.AttachTPM(t.Context(), device))
	})
	t.Run("a cleared one", func(t *testing.T) {
		alice.Reopen(t)
		must(t, emulator.Clear(t.Context()))
		want(t, alice.AttachTPM(t.Context(), device), wallet.ErrCleared)
		worth(t, alice, 6, 0) // nothing is lost yet
	})
	t.Run("a purse that does not know its TPM says what it can", func(t *testing.T) {
		must(t, alice.ForgetTPM(t.Context()))
		want(t, alice.AttachTPM(t.Context(), device), wallet.ErrWrongTPM)
	})
}

func TestADamagedMembershipOpensNoOtherFile(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	must(t, enroll(t, town, alice, registrationtest.TPMA))
	for _, file := range []string{"../purse.pem", "/etc/passwd.pem", "keys/x.pem", "purse.db", "."} {
		must(t, alice.Damage(t.Context(), file, nil))
		_, err := wallet.Open(t.Context(), damaged(t, alice), wallet.Options{})
		want(t, err, sqlitefile.ErrDamaged)
	}
	tag := wallettest.Nobody()
	must(t, alice.Damage(t.Context(), "", tag[:]))
	alice.Reopen(t)
	want(t, alice.AttachTPM(t.Context(), at(t, town, registrationtest.TPMA)), wallet.ErrKeyFile)
}

// damaged copies the purse as it is on disk, while it is open: the copy is read
// once.
func damaged(t *testing.T, h *wallettest.Holder) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "purse.db")
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(h.Path + suffix)
		if err != nil && suffix != "" {
			continue
		}
		must(t, err)
		must(t, os.WriteFile(path+suffix, text, 0o600))
	}
	lock, err := os.ReadFile(filepath.Join(filepath.Dir(h.Path), "purse.lock"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(filepath.Dir(path), "purse.lock"), lock, 0o600))
	return path
}
