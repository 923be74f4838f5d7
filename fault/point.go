//go:build !faultpoints

package fault

// Point does nothing; see the package comment.
func Point(name string) {}
