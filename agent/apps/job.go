package apps

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"hostctl/agent/limit"
)

// Become becomes the program of a job: as Exec does, and without a socket. It returns only an error.
func Become(l Launch, hold limit.Process) error {
	runtime.LockOSThread() // no_new_privs is a thread's, and the one that executes the program needs it
	if err := takeLog(l); err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(limit.OOMScore), 0o600); err != nil {
		return err
	}
	if err := drop(l.UID, hold); err != nil {
		return fmt.Errorf("become user %d: %w", l.UID, err)
	}
	if err := os.Chdir(l.Dir); err != nil {
		return err
	}
	env := inVenv(l)
	program, err := find(l.Argv[0], env)
	if err != nil {
		return err
	}
	return fmt.Errorf("execute %s: %w", program, unix.Exec(program, l.Argv, env))
}
