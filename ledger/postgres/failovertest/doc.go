// Package failovertest loses the leader of a real cluster under load: two
// PostgreSQL nodes that replicate synchronously, under patroni, with one etcd,
// all on loopback. It holds tests only.
//
// What it shows: whatever was answered is there on the node that takes over,
// and nothing happened twice. What it does not: three etcds, real networks,
// disks that lie.
//
// # Trust
//
// The ports are open on loopback while the test runs, behind a password.
//
// # Errors
//
// Everything unexpected fails the test, with the ends of all logs.
//
// # Concurrency
//
// One test, one cluster.
package failovertest
