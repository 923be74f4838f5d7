//go:build cgo

package attest_test

import (
	"crypto"
	"slices"
	"testing"

	"github.com/google/go-tpm-tools/simulator"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/tpm"
)

// store puts a certificate where a manufacturer puts it, as the owner.
func store(t *testing.T, c transport.TPM, index tpm2.TPMHandle, data []byte) {
	t.Helper()
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	if old, err := (tpm2.NVReadPublic{NVIndex: index}).Execute(c); err == nil {
		if _, err := (tpm2.NVUndefineSpace{AuthHandle: owner, NVIndex: tpm2.NamedHandle{Handle: index, Name: old.NVName}}).Execute(c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (tpm2.NVDefineSpace{AuthHandle: owner, PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
		NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(data)),
		Attributes: tpm2.TPMANV{OwnerWrite: true, AuthRead: true, NoDA: true},
	})}).Execute(c); err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(data); off += 512 {
		area, err := tpm2.NVReadPublic{NVIndex: index}.Execute(c) // its name changes with the first write
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (tpm2.NVWrite{
			AuthHandle: owner,
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: area.NVName},
			Data:       tpm2.TPM2BMaxNVBuffer{Buffer: data[off:min(off+512, len(data))]},
			Offset:     uint16(off),
		}).Execute(c); err != nil {
			t.Fatal(err)
		}
	}
}

// ekOf makes the endorsement key of a template.
func ekOf(t *testing.T, c transport.TPM, template []byte) (public []byte, key crypto.PublicKey) {
	t.Helper()
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.BytesAs2B[tpm2.TPMTPublic](template),
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: rsp.ObjectHandle}).Execute(c); err != nil {
		t.Fatal(err)
	}
	area, err := rsp.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	if key, err = tpm2.Pub(*area); err != nil {
		t.Fatal(err)
	}
	return rsp.OutPublic.Bytes(), key
}

// The simulator has no endorsement key certificates, so that the test plays the
// manufacturer. Its keys are not persistent: they are made from the templates.
func TestAttestationOfTheSimulator(t *testing.T) {
	s, err := simulator.Get()
	if err != nil {
		t.Fatal(err)
	}
	c := transport.FromReadWriteCloser(s)
	d := tpm.New(c)
	defer d.Close()
	key := groupKey(t, d)

	p384 := fixture(t, "p384.pub")
	emptyUnique := append(slices.Clone(p384[:len(p384)-100]), 0, 0, 0, 0)
	zeroUnique := append(slices.Clone(emptyUnique[:len(emptyUnique)-4]), 0, 48)
	zeroUnique = append(append(zeroUnique, make([]byte, 48)...), 0, 48)
	zeroUnique = append(zeroUnique, make([]byte, 48)...)
	root := newAuthority(t, "root", nil)
	roots := make(map[string]*attest.Roots)
	for _, kind := range []string{"rsa2048", "p256", "p384"} {
		roots[kind] = rootsTaking(t, kind, root.pem())
	}
	var want []string
	for _, ek := range []struct {
		name, kind string
		index      tpm2.TPMHandle
		template   []byte
	}{
		{"RSA of the low range", "rsa2048", 0x01c00002, tpm2.Marshal(tpm2.RSAEKTemplate)},
		{"P-256 of the low range", "p256", 0x01c0000a, tpm2.Marshal(tpm2.ECCEKTemplate)},
		{"P-384 of the high range, unique empty", "p384", 0x01c00016, emptyUnique},
		{"P-384 of the high range, unique zero", "p384", 0x01c00016, zeroUnique},
	} {
		t.Run(ek.name, func(t *testing.T) {
			_, certified := ekOf(t, c, ek.template)
			cert := append(root.endorse(t, certified, nil), 0xff, 0xff, 0xff, 0xff)
			store(t, c, ek.index, cert)
			if !slices.Contains(want, ek.kind) {
				want = append(want, ek.kind)
			}
			if kinds := activates(t, d, key, roots, noon()); !slices.Equal(kinds, want) {
				t.Fatalf("endorsement keys %v, want %v", kinds, want)
			}
		})
	}
	if err := key.Close(); err != nil {
		t.Fatal(err)
	}
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x80000000, PropertyCount: 8}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := rsp.CapabilityData.Data.Handles(); err != nil || len(left.Handle) != 0 {
		t.Fatalf("left in the slots: %v, %v", left, err)
	}
}
