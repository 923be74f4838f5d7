package order

// Read reads a payload that was not signed.
func Read(payload []byte) (*Order, error) { return read(payload) }
