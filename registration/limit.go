package registration

import (
	"context"
	"fmt"
)

// waitingEach is how many requests may wait for each that is at work.
const waitingEach = 16

// gate lets so many requests be verified at once, so that a crowd of strangers
// takes no more than its share of the machine.
type gate struct {
	work  chan struct{} // has a place for each at work
	queue chan struct{} // and for each at work or waiting
}

func newGate(parallel int) *gate {
	return &gate{work: make(chan struct{}, parallel), queue: make(chan struct{}, parallel*(1+waitingEach))}
}

// enter waits for a place. ErrBusy if too many wait already.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	select {
	case g.queue <- struct{}{}:
	default:
		return nil, fmt.Errorf("%w: too many requests", ErrBusy)
	}
	select {
	case g.work <- struct{}{}:
		return func() { <-g.work; <-g.queue }, nil
	case <-ctx.Done():
		<-g.queue
		return nil, ctx.Err()
	}
}
