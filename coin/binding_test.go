package coin_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
)

func TestClaimsRefuseATagThatIsNoPoint(t *testing.T) {
	// x = p−1 side: 02 ‖ ff… is above the field's prime.
	bad := coin.BoundClaim{}
	bad.Tag[0] = 2
	for i := 1; i < len(bad.Tag); i++ {
		bad.Tag[i] = 0xff
	}
	if _, err := coin.Claims([]coin.BoundClaim{bad}); !errors.Is(err, group.ErrClaim) {
		t.Fatalf("got %v", err)
	}
	if v := coin.NewPresentationVerifier(nil); v != nil {
		t.Fatal("no verifier must be no verifier, or nothing would be refused")
	}
}

func TestEveryWireRefusalHasAStableCode(t *testing.T) {
	for err, want := range map[error]string{
		coin.ErrMalformed: "malformed", coin.ErrTooLarge: "too-large", coin.ErrDuplicateCoin: "duplicate-coin",
		coin.ErrUnknownKey: "unknown-key", coin.ErrKeyExpired: "key-expired", coin.ErrKeyNotYet: "key-not-yet",
		coin.ErrRevoked: "key-revoked", coin.ErrCurrency: "wrong-currency", coin.ErrBank: "wrong-bank",
		coin.ErrAmount: "wrong-amount", coin.ErrCoinSignature: "coin-signature", coin.ErrOwner: "owner-signature",
		coin.ErrNotRevoked: "key-not-revoked", coin.ErrClaim: "claim",
		coin.ErrBinding: "binding", coin.ErrExpelled: "expelled", coin.ErrOfferExpired: "offer-expired", coin.ErrForeignOffer: "foreign-offer",
	} {
		if got := coin.Code(fmt.Errorf("coin 3: %w", err)); got != want {
			t.Errorf("%v has code %q, want %q", err, got, want)
		}
	}
	if got := coin.Code(errors.New("disk full")); got != "" {
		t.Errorf("a foreign error has code %q", got)
	}
}
