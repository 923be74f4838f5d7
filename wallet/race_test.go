//go:build race

package wallet_test

// slower is how many times fewer random lives are played: the race detector
// makes SQLite, which is Go here, several times slower.
const slower = 5
