package tpm_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/tpm"
)

// tpmKey is the format as others have it (draft-bottomley-tpm2-keys, §3.1),
// read and written by another library than the one under test.
type tpmKey struct {
	Type        asn1.ObjectIdentifier
	EmptyAuth   bool            `asn1:"explicit,optional,tag:0"`
	Policy      []asn1.RawValue `asn1:"explicit,optional,tag:1"`
	Secret      []byte          `asn1:"explicit,optional,tag:2"`
	AuthPolicy  []asn1.RawValue `asn1:"explicit,optional,tag:3"`
	Description string          `asn1:"explicit,optional,utf8,tag:4"`
	RSAParent   bool            `asn1:"explicit,optional,tag:5"`
	Parent      int64
	Pubkey      []byte
	Privkey     []byte
}

// paperKey is a key that no TPM holds, but a file may.
func paperKey(t testing.TB) tpm.Blob {
	t.Helper()
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](attest.GroupKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	x, y := fp256bn.Generator1().XY()
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: x[:]}, Y: tpm2.TPM2BECCParameter{Buffer: y[:]},
	})
	return tpm.Blob{Public: tpm2.Marshal(area), Private: bytes.Repeat([]byte{7}, 126)}
}

func foreign(t testing.TB) tpmKey {
	t.Helper()
	blob := paperKey(t)
	return tpmKey{
		Type: asn1.ObjectIdentifier{2, 23, 133, 10, 1, 3}, EmptyAuth: true, Parent: 0x40000001,
		Pubkey:  tpm2.Marshal(tpm2.BytesAs2B[tpm2.TPMTPublic](blob.Public)),
		Privkey: tpm2.Marshal(tpm2.TPM2BPrivate{Buffer: blob.Private}),
	}
}

func armoured(t testing.TB, k tpmKey) []byte {
	t.Helper()
	b, err := asn1.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "TSS2 PRIVATE KEY", Bytes: b})
}

func TestAKeyFileIsWhatOtherToolsRead(t *testing.T) {
	for name, k := range map[string]*tpm.KeyFile{
		"without a PIN":      {Blob: paperKey(t)},
		"with a PIN":         {Blob: paperKey(t), NeedsAuth: true},
		"with a description": {Blob: paperKey(t), NeedsAuth: true, Description: "specie: group key for grüne-bank"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := k.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			block, rest := pem.Decode(text)
			if block == nil || block.Type != "TSS2 PRIVATE KEY" || len(rest) > 0 {
				t.Fatalf("no PEM of that type: %q", text)
			}
			var got tpmKey
			if rest, err := asn1.Unmarshal(block.Bytes, &got); err != nil || len(rest) > 0 {
				t.Fatalf("no TPMKey: %v", err)
			}
			want := foreign(t)
			want.EmptyAuth, want.Description = !k.NeedsAuth, k.Description
			if d := cmp.Diff(want, got); d != "" {
				t.Fatal(d)
			}
			back, err := tpm.ParseKeyFile(text)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(k, back); d != "" {
				t.Fatal(d)
			}
		})
	}
}

func TestAKeyFileOfAnotherToolIsRead(t *testing.T) {
	k := foreign(t)
	k.EmptyAuth, k.Description = false, "made elsewhere"
	got, err := tpm.ParseKeyFile(armoured(t, k))
	if err != nil {
		t.Fatal(err)
	}
	if !got.NeedsAuth || got.Description != k.Description {
		t.Fatalf("got %+v", got)
	}
	// Some write TRUE as 1, which is BER.
	k.EmptyAuth = true
	b, err := asn1.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Replace(b, []byte{0xa0, 3, 1, 1, 0xff}, []byte{0xa0, 3, 1, 1, 1}, 1)
	got, err = tpm.ParseKeyFile(pem.EncodeToMemory(&pem.Block{Type: "TSS2 PRIVATE KEY", Bytes: b}))
	if err != nil || got.NeedsAuth {
		t.Fatalf("TRUE as 1: got %+v, %v", got, err)
	}
}

func TestOtherFilesAreNoKeyFiles(t *testing.T) {
	change := func(f func(*tpmKey)) []byte {
		k := foreign(t)
		f(&k)
		return armoured(t, k)
	}
	good := armoured(t, foreign(t))
	block, _ := pem.Decode(good)
	raw := asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true}
	for name, text := range map[string][]byte{
		"nothing":                          nil,
		"no PEM":                           []byte("specie"),
		"PEM of another type":              pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block.Bytes}),
		"PEM with headers":                 pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes, Headers: map[string]string{"a": "b"}}),
		"two keys":                         append(bytes.Clone(good), good...),
		"more than a key file's length":    append(bytes.Clone(good), bytes.Repeat([]byte{'\n'}, tpm.MaxKeyFile)...),
		"a byte after the structure":       pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: append(bytes.Clone(block.Bytes), 0)}),
		"half a structure":                 pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes[:len(block.Bytes)/2]}),
		"an importable key":                change(func(k *tpmKey) { k.Type[5] = 4 }),
		"a key of another hierarchy":       change(func(k *tpmKey) { k.Parent = 0x4000000b }),
		"a key under a persistent key":     change(func(k *tpmKey) { k.Parent = 0x81000001 }),
		"a policy":                         change(func(k *tpmKey) { k.Policy = []asn1.RawValue{raw} }),
		"a secret":                         change(func(k *tpmKey) { k.Secret = []byte{1} }),
		"a signed policy":                  change(func(k *tpmKey) { k.AuthPolicy = []asn1.RawValue{raw} }),
		"an RSA parent":                    change(func(k *tpmKey) { k.RSAParent = true }),
		"a description with a line end":    change(func(k *tpmKey) { k.Description = "a\nb" }),
		"a description with an escape":     change(func(k *tpmKey) { k.Description = "\x1b[31m" }),
		"a description that is too long":   change(func(k *tpmKey) { k.Description = strings.Repeat("d", 201) }),
		"a public part that says too much": change(func(k *tpmKey) { k.Pubkey[1]++ }),
		"a private part that says less":    change(func(k *tpmKey) { k.Privkey[1]-- }),
		"a point that is not on the curve": change(func(k *tpmKey) { k.Pubkey[len(k.Pubkey)-1] ^= 1 }),
		"no private part":                  change(func(k *tpmKey) { k.Privkey = []byte{0, 0} }),
		"a private part that is too long":  change(func(k *tpmKey) { k.Privkey = append([]byte{4, 1}, make([]byte, 1025)...) }),
	} {
		if k, err := tpm.ParseKeyFile(text); !errors.Is(err, tpm.ErrKeyFile) {
			t.Errorf("%s: got %v, %v, want ErrKeyFile", name, k, err)
		}
	}
	if _, err := tpm.ParseKeyFile(change(func(k *tpmKey) { k.RSAParent = true })); !strings.Contains(err.Error(), "RSA key") {
		t.Errorf("an RSA parent is not named: %v", err)
	}
	if _, err := tpm.ParseKeyFile(good); err != nil {
		t.Fatalf("the one that all are made from: %v", err)
	}
	if _, err := (&tpm.KeyFile{Blob: paperKey(t), Description: "a\nb"}).Marshal(); !errors.Is(err, tpm.ErrKeyFile) {
		t.Errorf("what can't be read is written: %v", err)
	}
}

// FuzzParseKeyFile reads what it is given, and what it is given in armour.
func FuzzParseKeyFile(f *testing.F) {
	with := foreign(f)
	with.EmptyAuth, with.Description = false, "key"
	for _, k := range []tpmKey{foreign(f), with} {
		text := armoured(f, k)
		block, _ := pem.Decode(text)
		f.Add(text)
		f.Add(block.Bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, text := range [][]byte{b, pem.EncodeToMemory(&pem.Block{Type: "TSS2 PRIVATE KEY", Bytes: b})} {
			k, err := tpm.ParseKeyFile(text)
			if err != nil {
				if !errors.Is(err, tpm.ErrKeyFile) {
					t.Fatalf("an error that is not ErrKeyFile: %v", err)
				}
				continue
			}
			again, err := k.Marshal()
			if err != nil {
				t.Fatalf("what was read is not written: %v", err)
			}
			back, err := tpm.ParseKeyFile(again)
			if err != nil || !cmp.Equal(k, back) {
				t.Fatalf("another key comes back: %v", err)
			}
		}
	})
}

func TestAKeyFileIsWrittenOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "group.key")
	k := &tpm.KeyFile{Blob: paperKey(t), NeedsAuth: true, Description: "first"}
	if err := tpm.WriteKeyFile(path, k); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if err := tpm.WriteKeyFile(path, &tpm.KeyFile{Blob: paperKey(t)}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: got %v, want fs.ErrExist", err)
	}
	got, err := tpm.ReadKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(k, got); d != "" {
		t.Error(d)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestWhatIsNoKeyFileIsNotRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := tpm.ReadKeyFile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want fs.ErrNotExist", err)
	}
	if _, err := tpm.ReadKeyFile(dir); !errors.Is(err, tpm.ErrKeyFile) {
		t.Errorf("a directory: got %v, want ErrKeyFile", err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tpm.ReadKeyFile(empty); !errors.Is(err, tpm.ErrKeyFile) {
		t.Errorf("an empty file: got %v, want ErrKeyFile", err)
	}
	if err := tpm.WriteKeyFile(filepath.Join(dir, "none", "group.key"), &tpm.KeyFile{Blob: paperKey(t)}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a directory that is not there: got %v, want fs.ErrNotExist", err)
	}
}

func TestAKeyComesBackFromItsFile(t *testing.T) {
	d := open(t, emulator(t, "one").TCTI())
	blob, key := newKey(t, d, tpm.Auth("2468"))
	path := filepath.Join(t.TempDir(), "group.key")
	if err := tpm.WriteKeyFile(path, &tpm.KeyFile{Blob: blob, NeedsAuth: true}); err != nil {
		t.Fatal(err)
	}
	file, err := tpm.ReadKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.LoadGroupKey(t.Context(), file.Blob, tpm.Auth("2468"))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !again.Point().Equal(key.Point()) {
		t.Fatal("another key")
	}
}
