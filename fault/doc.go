// Package fault owns the points at which a test ends a program: kill -9
// between what is written and what is sent, at every such boundary, shows that
// nothing is lost there.
//
// In ordinary builds [Point] does nothing and costs nothing. Built with the tag
// faultpoints, a program looks at the file that SPECIE_FAULT names whenever it
// arrives at a point. The file holds "NAME" or "NAME:N": at the N-th arrival at
// that point since it was named, the process kills itself with SIGKILL; nothing
// is flushed, closed or deferred. The names of points arrived at are appended to
// the file that SPECIE_FAULT_LOG names, if it does.
//
// # Trust
//
// A build with the tag does what its environment says and is for tests alone.
//
// # Errors
//
// There are none: a file that can't be read names no point.
//
// # Concurrency
//
// Points may be arrived at from many goroutines at once.
//
// The package imports nothing of Specie.
package fault
