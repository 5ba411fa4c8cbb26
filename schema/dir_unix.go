//go:build unix

package schema

import "syscall"

// openNoFollow refuses a last path element that is a symlink, and never waits for a pipe's other end.
const openNoFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
