package ledger

// Version is one version of a record that the journal tells of: its number, and
// the digest of its content.
type Version struct {
	Rev    uint64
	Digest [32]byte
}

// Versions are the newest versions that a journal knows, by the record's key.
// Drivers' Verify holds the rows of a table to them.
type Versions map[string]Version

// Add takes note of a version, whatever lane it came from.
func (known Versions) Add(key string, v Version) {
	if v.Rev > known[key].Rev {
		known[key] = v
	}
}

// Current checks that a row is the newest version, and strikes it off.
func (known Versions) Current(a *Audit, table, key string, row Version) {
	if known[key] != row {
		a.Problem("%s: row %q is not as the journal has it", table, key)
	}
	delete(known, key)
}

// Missing reports what no row was struck off for.
func (known Versions) Missing(a *Audit, table string) {
	for key := range known {
		a.Problem("%s: row %q is in the journal and gone", table, key)
	}
}
