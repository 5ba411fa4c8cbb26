// Package limit says how a process of a tenant is held to its plan where there are no control groups to do it: by
// getrlimit(2), which every kernel has and nobody but root can raise again.
package limit

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"hostctl/planner"
)

const (
	// Tasks is how many processes and threads a tenant may have whose plan says nothing.
	Tasks = 512

	// OOMScore is oom_score_adj of proc(5): a kernel that is short of memory ends tenants' processes first.
	OOMScore = "500"

	// spare is what a runtime maps and doesn't use, which the kernel counts all the same: ruby 450 MiB as it starts, node 55.
	spare = 512 << 20
)

// Process are the limits of one process.
type Process struct {
	Tasks uint64 // RLIMIT_NPROC: of all that its user runs on the machine, whatever the container
	Data  uint64 // RLIMIT_DATA, bytes; RLIM_INFINITY: none
}

// Check refuses limits that aren't any.
func Check(r planner.Runtime) error {
	if r.MemoryLimit < 0 || r.TaskLimit < 0 {
		return fmt.Errorf("%d bytes and %d processes are no limits", r.MemoryLimit, r.TaskLimit)
	}
	return nil
}

// Of returns what a process of a runtime is held to.
func Of(r planner.Runtime) Process {
	p := Process{Tasks: Tasks, Data: unix.RLIM_INFINITY}
	if r.TaskLimit > 0 {
		p.Tasks = uint64(r.TaskLimit)
	}
	if r.MemoryLimit > 0 {
		p.Data = uint64(r.MemoryLimit) + spare
	}
	return p
}

// Or returns the limits of a process that may be one's or the other's.
func (p Process) Or(o Process) Process {
	return Process{Tasks: max(p.Tasks, o.Tasks), Data: max(p.Data, o.Data)}
}

// Hold returns the argument list of a command with the limits, that it and all that it starts have: prlimit(1), choom(1).
// Nobody who isn't root can be given more than this process may have.
func (p Process) Hold(command []string) ([]string, error) {
	words := []string{"choom", "-n", OOMScore, "--", "prlimit"}
	for _, l := range []struct {
		name string
		what int
		n    uint64
	}{{"core", unix.RLIMIT_CORE, 0}, {"nproc", unix.RLIMIT_NPROC, p.Tasks}, {"data", unix.RLIMIT_DATA, p.Data}} {
		var have unix.Rlimit
		if err := unix.Getrlimit(l.what, &have); err != nil {
			return nil, err
		}
		if n := min(l.n, have.Max); n != unix.RLIM_INFINITY {
			text := strconv.FormatUint(n, 10)
			words = append(words, "--"+l.name+"="+text+":"+text)
		}
	}
	return append(words, command...), nil
}
