package ceremony

// Interrupt lets after be called after every step of a run on real tokens; an
// error ends the run there and then, as a power cut would.
func (r *Runner) Interrupt(after func(step string) error) { r.interrupt = after }
