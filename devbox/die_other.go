//go:build !linux

package devbox

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
