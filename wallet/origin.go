package wallet

import (
	"context"
	"database/sql"

	"github.com/speciecash/specie/coin"
)

// origin says what the coins of an exchange are promised to, if anything: the
// payment that it voids, or the refused exchange that it repeats.
type origin struct {
	payment, refused ID       // the payment may be an envelope that was sent, which has no offer
	offer            [32]byte // of the payment
	// part is what some of the new coins are to be worth exactly; nought is no
	// matter.
	part coin.Amount
	// refunds is the payment that a claim for a refund is about.
	refunds *coin.Spend
	// recoup is where coins that are claimed come from; nil if none is.
	recoup *sources
	// stead stands in for the owners of coins whose TPM is gone; nil if there are
	// none.
	stead *stead
	// toAccount says that what they are worth goes to the account that withdrew
	// them.
	toAccount bool
	// repeated says that it was tried with coin numbers that were used.
	repeated bool
}

// kind is the kind of operation.
func (o origin) kind() string {
	if o.stead != nil {
		return KindRecover
	}
	if o.recoup != nil {
		return KindRecoup
	}
	return KindExchange
}

// head is what the spend is for. A void has the payment's op: a bank can't
// make a double spend of the two; and so has a recoup or recover that names the
// payment's offer.
func (o origin) head() coin.Spend {
	if o.stead != nil {
		return coin.Spend{Purpose: coin.Recover, OfferDigest: o.offer}
	}
	if o.recoup != nil {
		return coin.Spend{Purpose: coin.Recoup, OfferDigest: o.offer}
	}
	if o.payment != nil && o.offer != ([32]byte{}) {
		return coin.Spend{Purpose: coin.Void, OfferDigest: o.offer}
	}
	return coin.Spend{Purpose: coin.Exchange}
}

// claim promises the coins to a new operation.
func (o origin) claim(ctx context.Context, tx *sql.Tx, coins [][]byte, op ID) error {
	switch {
	case o.payment != nil:
		return passCoins(ctx, tx, coins, o.payment, op)
	case o.refused != nil:
		return passCoins(ctx, tx, coins, o.refused, op)
	}
	return commitCoins(ctx, tx, coins, op)
}
