package warrant

// Read reads a payload that was not signed.
func Read(payload []byte) (*Warrant, error) { return read(payload) }
