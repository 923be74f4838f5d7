package ceremony_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// revoked is a bank whose first keys are all given up in keyset 2.
func revoked(t *testing.T) *town {
	t.Helper()
	w := newBank(t)
	set := w.keyset(t, "keyset-1.jws")
	w.mustRun(t, change(t, revokeText, "revoke: [REVOKED]", fmt.Sprintf("revoke: [%s]\nlost: [%s]\nrevoke_signers: [signing.pem]",
		set.Denominations[0].KeyID, set.Denominations[1].KeyID)))
	return w
}

func TestATokenIsDestroyed(t *testing.T) {
	w := revoked(t)
	r := w.mustRun(t, destroyText)
	if there := w.objects(t, "online"); there != 0 {
		t.Errorf("%d objects are left", there)
	}
	gone := must(transcript.All[transcript.Destroyed](w.log(t, "destroy.log"), transcript.EventDestroyed))(t)
	set := w.keyset(t, "keyset-1.jws")
	if len(gone) != 1 || gone[0].Token != "online" || gone[0].Serial == "" || len(gone[0].Keys) != 3 ||
		!strings.Contains(strings.Join(gone[0].Keys, " "), set.Denominations[0].KeyID.String()) ||
		!strings.Contains(strings.Join(gone[0].Keys, " "), w.signer(t, "signing.pem")) {
		t.Errorf("destroyed: %+v", gone)
	}
	if len(r.Tokens) != 2 {
		t.Errorf("tokens: %v", r.Tokens)
	}
	if len(w.labels(t, "offline")) != 1 {
		t.Error("another token was touched")
	}
}

// objects counts what is on a token whose PIN nobody knows any more: its
// directory has one file for each.
func (w *town) objects(t *testing.T, token string) int {
	t.Helper()
	for _, dir := range must(os.ReadDir(w.p.Tokens))(t) {
		files := must(filepath.Glob(filepath.Join(w.p.Tokens, dir.Name(), "*.object")))(t)
		label := false
		for _, f := range files {
			label = label || filepath.Base(f) == "token.object" && strings.Contains(string(must(os.ReadFile(f))(t)), token)
		}
		if label {
			return len(files) - 1
		}
	}
	t.Fatalf("no token %q", token)
	return 0
}

func TestDestructionsThatAreRefused(t *testing.T) {
	w := newBank(t)
	set := w.keyset(t, "keyset-1.jws")
	w.mustRun(t, change(t, revokeText, "revoke: [REVOKED]", fmt.Sprintf("revoke: [%s]", set.Denominations[0].KeyID)))
	one := change(t, destroyText, "destroy.log", "one.log")
	w.refuse(t, []edited{
		{"a key that is still spent", one, ceremony.ErrNeeded},
		{"and is listed as if it could go", one + "also: [bearer-2]\n", ceremony.ErrNeeded},
		{"a keyset of another bank", change(t, one, "bank: TESTBANK", "bank: OTHERBANK"), trust.ErrRole},
		{"a keyset that is none", change(t, one, "keyset: keyset-2.jws", "keyset: root.pem"), ceremony.ErrInput},
	})
	w.mustRun(t, change(t, revokeText, "revoke: [REVOKED]", fmt.Sprintf("lost: [%s]", set.Denominations[1].KeyID), "keyset: keyset-2", "keyset: keyset-3",
		"keyset-1", "keyset-2", "sequence: 2", "sequence: 3", "revoke.log", "revoke-2.log"))
	two := change(t, one, "keyset: keyset-2.jws", "keyset: keyset-3.jws")
	w.refuse(t, []edited{
		{"a signing key that is not revoked", two, ceremony.ErrStranger},
		{"something listed that is not there", two + "also: [receipts, seal]\n", ceremony.ErrInput},
	})
	w.loosen(t, "online", "loose")
	w.refuse(t, []edited{{"a key that nobody made", two + "also: [receipts]\n", ceremony.ErrStranger}})
	for _, tt := range []struct{ text, says string }{
		{change(t, two, "keyset-3.jws", "keyset-1.jws"), `in token "online", neither revoked nor lost, and spent: "bearer-1" until 2027-05-01T00:00:00Z, "bearer-2" until 2027-05-01T00:00:00Z`},
		{two, `in token "online": "loose", "receipts"; what is to go is listed in the plan under also:`},
	} {
		if _, err := w.run(t.Context(), tt.text); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("it says %v", err)
		}
	}
	if n := w.objects(t, "online"); n != 8 {
		t.Errorf("%d objects in the token", n)
	}
	// The same by time instead of revocation, and with the rest listed.
	w.at = set.Denominations[1].SpendUntil
	w.mustRun(t, change(t, one, "keyset: keyset-2.jws", "keyset: keyset-1.jws")+"also: [receipts, loose]\n")
	if n := w.objects(t, "online"); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

func TestADestructionThatIsInterruptedAnywhereIsFinished(t *testing.T) {
	w := revoked(t)
	put := w.backup(t)
	for i := 1; ; i++ {
		put()
		text := change(t, destroyText, "destroy.log", fmt.Sprintf("d%d.log", i))
		step := w.crashAt(i)
		_, err := w.run(t.Context(), text)
		w.runner.Interrupt(nil)
		if *step == "" {
			if err != nil || i < 7 {
				t.Errorf("%d steps, %v", i-1, err)
			}
			return
		}
		t.Run(fmt.Sprintf("%d after %s", i, *step), func(t *testing.T) {
			if !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			if *step != "closed" {
				w.mustRun(t, text)
			}
			gone := must(transcript.All[transcript.Destroyed](w.log(t, fmt.Sprintf("d%d.log", i)), transcript.EventDestroyed))(t)
			if len(gone) != 1 || len(gone[0].Keys) != 3 || w.objects(t, "online") != 0 {
				t.Errorf("destroyed: %+v", gone)
			}
		})
	}
}

// A wrong PIN of the security officer destroys nothing, and the ceremony goes
// on with the right one.
func TestADestructionWithAWrongPIN(t *testing.T) {
	w := revoked(t)
	text := change(t, destroyText, "so_pin: file:online.so-pin\n", "")
	answer := "online.pin"
	w.runner.AskPIN = func(prompt string) (hsm.PIN, error) {
		if !strings.Contains(prompt, "security officer") || !strings.Contains(prompt, "online") {
			t.Errorf("asked: %s", prompt)
		}
		return hsm.ReadPIN(w.path(answer))
	}
	if _, err := w.run(t.Context(), text); !errors.Is(err, hsm.ErrPIN) {
		t.Errorf("got %v", err)
	}
	if n := w.objects(t, "online"); n != 6 {
		t.Errorf("%d objects in the token", n)
	}
	answer = "online.so-pin"
	w.mustRun(t, text)
	if n := w.objects(t, "online"); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}
