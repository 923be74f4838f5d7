package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/tpm/swtpm"
)

// stopwatch is a group key that adds up the time and the commands of the TPM.
type stopwatch struct {
	*tpm.GroupKey
	spent    time.Duration
	commands int
}

func (s *stopwatch) Commit(ctx context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (k, l, e fp256bn.G1, counter uint16, err error) {
	defer s.since(time.Now())
	return s.GroupKey.Commit(ctx, p1, s2, y2)
}

func (s *stopwatch) Sign(ctx context.Context, digest [32]byte, counter uint16) ([]byte, fp256bn.Scalar, error) {
	defer s.since(time.Now())
	return s.GroupKey.Sign(ctx, digest, counter)
}

func (s *stopwatch) since(start time.Time) {
	s.spent += time.Since(start)
	s.commands++
}

// member enrols a key in a fresh swtpm, short of the manager's paperwork.
func member(b testing.TB) (*group.Member, *stopwatch, *group.Parameters) {
	b.Helper()
	ctx := b.Context()
	try := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	ca, err := swtpm.NewCA(ctx, dir+"/ca")
	try(err)
	emulator, err := swtpm.Start(ctx, dir+"/tpm", ca)
	try(err)
	b.Cleanup(func() { try(emulator.Close()) })
	dev, err := tpm.Open(ctx, emulator.TCTI())
	try(err)
	b.Cleanup(func() { try(dev.Close()) })
	blob, err := dev.CreateGroupKey(ctx, attest.GroupKeyTemplate(), nil)
	try(err)
	key, err := dev.LoadGroupKey(ctx, blob, nil)
	try(err)
	b.Cleanup(func() { try(key.Close()) })

	now := time.Now().UTC().Truncate(time.Second)
	g := groupdoctest.New(b, now, attest.GroupKeyTemplate(), [32]byte{})
	params := g.Document(b).Parameters()
	secret, err := group.DeriveWalletSecret(make([]byte, 32), params.ID(), key.Name())
	try(err)
	j, err := group.NewJoin(ctx, params, key, key.Point(), secret, group.JoinContext{KeyName: key.Name()})
	try(err)
	cred, err := g.Issuer.Issue(j.F, j.Uh, 1)
	try(err)
	m, err := group.NewMember(params, j.F.Bytes(), secret, cred)
	try(err)
	return m, &stopwatch{GroupKey: key}, params
}

// BenchmarkPresentation is a payment's group signature on swtpm: two TPM
// commands whatever the number of coins, and the host's part with the check
// of its own result.
func BenchmarkPresentation(b *testing.B) {
	m, key, _ := member(b)
	for _, n := range []int{0, 1, 8, 32} {
		claims := make([]group.Claim, n)
		for i := range claims {
			nonce := [32]byte{byte(i), byte(n)}
			tag, err := group.CoinTag(b.Context(), key, nonce)
			if err != nil {
				b.Fatal(err)
			}
			if claims[i], err = group.CoinClaim(nonce, tag); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("coins=%d", n), func(b *testing.B) {
			key.spent, key.commands = 0, 0
			for b.Loop() {
				if _, err := m.Present(b.Context(), key, []byte("m"), claims); err != nil {
					b.Fatal(err)
				}
			}
			total := b.Elapsed()
			b.ReportMetric(float64(key.spent.Microseconds())/float64(b.N), "µs-in-TPM")
			b.ReportMetric(float64((total-key.spent).Microseconds())/float64(b.N), "µs-on-host")
			b.ReportMetric(float64(key.commands)/float64(b.N), "TPM-commands")
		})
	}
}

// TestAPaymentIsOneCommitAndOneSign pins the point of the construction. Of
// 256 nonces one comes out short, and its round is repeated.
func TestAPaymentIsOneCommitAndOneSign(t *testing.T) {
	m, key, params := member(t)
	v, err := group.NewVerifier(params, 1)
	if err != nil {
		t.Fatal(err)
	}
	const coins, payments = 8, 10
	claims := make([]group.Claim, coins)
	for i := range claims {
		tag, err := group.CoinTag(t.Context(), key, [32]byte{byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		if claims[i], err = group.CoinClaim([32]byte{byte(i)}, tag); err != nil {
			t.Fatal(err)
		}
	}
	fewest := 1 << 20
	for range payments {
		key.commands = 0
		p, err := m.Present(t.Context(), key, []byte("m"), claims)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Verify(p.Bytes(), []byte("m"), claims); err != nil {
			t.Fatal(err)
		}
		fewest = min(fewest, key.commands)
	}
	if fewest != 2 {
		t.Fatalf("%d TPM commands for %d coins, want one Commit and one Sign", fewest, coins)
	}
}
