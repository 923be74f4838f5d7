package registration

// NewGate lets a test fill a gate.
var NewGate = newGate

// Enter is gate.enter.
var Enter = (*gate).enter

// Fill takes every place of a manager's gate, until the function that it
// returns is called.
func (m *Manager) Fill() (empty func()) {
	n := cap(m.gate.queue)
	for range n {
		m.gate.queue <- struct{}{}
	}
	return func() {
		for range n {
			<-m.gate.queue
		}
	}
}
