package tpm_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/tpm/swtpm"
)

// resetBefore is a device whose TPM is reset before each of the commands that
// pick selects, so many times.
func resetBefore(t *testing.T, e *swtpm.Emulator, times int, pick func(tpm2.TPMCC) bool) *tpm.Device {
	t.Helper()
	d := tpm.New(&meddler{TPM: raw(t, e), before: func(command []byte) {
		if times > 0 && pick(code(command)) {
			times--
			if err := e.Reset(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func isCode(cc tpm2.TPMCC) func(tpm2.TPMCC) bool {
	return func(c tpm2.TPMCC) bool { return c == cc }
}

func TestACommitmentFromBeforeAResetDoesNotSign(t *testing.T) {
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	_, key := newKey(t, d, tpm.Auth("2468"))
	_, s2, y2 := base(t, "tag")
	_, _, _, before, err := key.Commit(t.Context(), nil, s2, y2)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := key.Sign(t.Context(), [32]byte{}, before); !errors.Is(err, tpm.ErrCommitment) || !errors.Is(err, group.ErrCommitment) {
		t.Fatalf("got %v, want ErrCommitment", err)
	}
}

// After a reset the TPM counts from the beginning, and its numbers come back for
// another r. Whoever still has the old one must not get a signature with it.
func TestANumberThatComesBackIsNotTheOldCommitment(t *testing.T) {
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	_, mine := newKey(t, d, tpm.Auth("2468"))
	_, other := newKey(t, d, nil)
	_, s2, y2 := base(t, "tag")
	commit := func(key *tpm.GroupKey) uint16 {
		t.Helper()
		_, _, _, counter, err := key.Commit(t.Context(), nil, s2, y2)
		if err != nil {
			t.Fatal(err)
		}
		return counter
	}
	for name, key := range map[string]*tpm.GroupKey{"of the same key": mine, "of another key": other} {
		before := commit(mine)
		if err := e.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := commit(key)
		if _, _, err := mine.Sign(t.Context(), [32]byte{}, before); !errors.Is(err, tpm.ErrCommitment) {
			t.Errorf("a commitment %s in between: got %v, want ErrCommitment", name, err)
		}
		if _, _, err := key.Sign(t.Context(), [32]byte{}, after); err != nil {
			t.Errorf("the new commitment %s: %v", name, err)
		}
	}
}

func TestACounterOfAnotherKeyDoesNotSign(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, _ transport.TPM) {
		_, one := newKey(t, d, nil)
		_, s2, y2 := base(t, "tag")
		_, _, _, counter, err := one.Commit(t.Context(), nil, s2, y2)
		if err != nil {
			t.Fatal(err)
		}
		_, other := newKey(t, d, nil)
		if _, _, err := other.Sign(t.Context(), [32]byte{}, counter); !errors.Is(err, tpm.ErrCommitment) {
			t.Fatalf("got %v, want ErrCommitment", err)
		}
		if _, _, err := one.Sign(t.Context(), [32]byte{}, counter); err != nil {
			t.Fatalf("the key that committed: %v", err)
		}
	})
}

// At whatever moment the TPM is reset, a proof comes about.
func TestProofsOutliveAReset(t *testing.T) {
	e := emulator(t, "one")
	for name, at := range map[string]tpm2.TPMCC{
		"before Commit": tpm2.TPMCCCommit, "before Sign": tpm2.TPMCCSign,
	} {
		t.Run(name, func(t *testing.T) {
			d := resetBefore(t, e, 1, isCode(at))
			_, key := newKey(t, d, tpm.Auth("2468"))
			params, secret, jc := joining(t, key)
			if _, err := group.NewJoin(t.Context(), params, key, key.Point(), secret, jc); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// joining is what a proof of joining some group is made of.
func joining(t *testing.T, key *tpm.GroupKey) (*group.Parameters, group.WalletSecret, group.JoinContext) {
	t.Helper()
	params := &group.Parameters{Name: "TESTGROUP", O: randomPoint(t)}
	for _, p := range []*fp256bn.G2{&params.W, &params.O2} {
		r, err := fp256bn.RandomScalar(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		*p = fp256bn.Generator2().Mul(r)
	}
	secret, err := group.DeriveWalletSecret(make([]byte, 32), params.ID(), key.Name())
	if err != nil {
		t.Fatal(err)
	}
	return params, secret, group.JoinContext{KeyName: key.Name()}
}

func TestActivationOutlivesAReset(t *testing.T) {
	e := emulator(t, "one")
	for name, at := range map[string]tpm2.TPMCC{
		"before it begins":             tpm2.TPMCCNVReadPublic,
		"before the session":           tpm2.TPMCCStartAuthSession,
		"with the session begun":       tpm2.TPMCCPolicySecret,
		"with everything in its place": tpm2.TPMCCActivateCredential,
	} {
		for _, kind := range []string{"rsa2048", "p384"} {
			t.Run(kind+" "+name, func(t *testing.T) {
				d := resetBefore(t, e, 1, isCode(at))
				_, key := newKey(t, d, tpm.Auth("2468"))
				eks, err := d.EKs(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, ek := range eks {
					if ek.Kind != kind {
						continue
					}
					secret := make([]byte, 32)
					if _, err := rand.Read(secret); err != nil {
						t.Fatal(err)
					}
					blob, encrypted, err := attest.MakeCredential(&attest.EK{Kind: ek.Kind, Public: ek.Public}, key.Name(), secret)
					if err != nil {
						t.Fatal(err)
					}
					got, err := key.ActivateCredential(t.Context(), kind, blob, encrypted)
					if err != nil || string(got) != string(secret) {
						t.Fatalf("got %x, %v", got, err)
					}
				}
			})
		}
	}
	if n := loaded(t, raw(t, e)); n != 0 {
		t.Fatalf("%d left in the slots", n)
	}
}

// After a reset the first slot is another program's, and the key's handle names
// something else.
func TestASlotThatChangedHandsIsNoticed(t *testing.T) {
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	_, key := newKey(t, d, tpm.Auth("2468"))
	_, s2, y2 := base(t, "tag")
	before, _, _, _, err := key.Commit(t.Context(), nil, s2, y2)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	past := raw(t, e)
	other, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(past)
	if err != nil {
		t.Fatal(err)
	}
	after, _, _, _, err := key.Commit(t.Context(), nil, s2, y2)
	if err != nil || !after.Equal(before) {
		t.Fatalf("another key, or none: %v", err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: other.ObjectHandle}).Execute(past); err != nil {
		t.Fatalf("what the other program had is gone: %v", err)
	}
}

func TestAResetThatNeverEndsIsAnError(t *testing.T) {
	e := emulator(t, "one")
	d := resetBefore(t, e, 100, isCode(tpm2.TPMCCCommit))
	_, key := newKey(t, d, nil)
	_, s2, y2 := base(t, "tag")
	if _, _, _, _, err := key.Commit(t.Context(), nil, s2, y2); err == nil {
		t.Fatal("a key that is gone was used")
	}
}

func TestAClearedTPMIsToldByItsEndorsementKeys(t *testing.T) {
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	before, err := d.EKs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	blob, key := newKey(t, d, nil)
	if err := key.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.LoadGroupKey(t.Context(), blob, nil); !errors.Is(err, tpm.ErrWrongTPM) {
		t.Fatalf("got %v, want ErrWrongTPM", err)
	}
	after, err := d.EKs(t.Context())
	if err != nil || len(after) != len(before) {
		t.Fatalf("%d endorsement keys, %d before: %v", len(after), len(before), err)
	}
	for i := range after {
		if string(after[i].Public) != string(before[i].Public) {
			t.Errorf("the %s key is another", after[i].Kind)
		}
	}
	if _, err := d.CreateGroupKey(context.Background(), attest.GroupKeyTemplate(), nil); err != nil {
		t.Fatalf("a new key: %v", err)
	}
}

func TestAKeyOfTheFirstPursesIsLoaded(t *testing.T) {
	e := emulator(t, "one")
	past := raw(t, e)
	parent, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(past)
	if err != nil {
		t.Fatal(err)
	}
	made, err := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: parent.ObjectHandle, Name: parent.Name, Auth: tpm2.PasswordAuth(nil)},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](attest.GroupKeyTemplate()),
	}.Execute(past)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: parent.ObjectHandle}).Execute(past); err != nil {
		t.Fatal(err)
	}
	d := open(t, e.TCTI())
	key, err := d.LoadGroupKey(t.Context(), tpm.Blob{Public: made.OutPublic.Bytes(), Private: made.OutPrivate.Buffer}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	p1 := fp256bn.Generator1()
	_, s2, y2 := base(t, "tag")
	if _, _, _, _, err := key.Commit(t.Context(), &p1, s2, y2); err != nil {
		t.Fatal(err)
	}
}
