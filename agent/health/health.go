// Package health says whether what a node needs is well: the services that s6 supervises, its disks, their inodes, and its
// memory. Whether services answer, the executors that speak to them tell.
package health

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"hostctl/agent/s6"
	"hostctl/executors"
)

// Low is the percentage of a disk, of its inodes, or of the memory that must be left.
const Low = 5

// Services returns a part for each service of a scan folder: well when its process runs.
func Services(ctx context.Context, scan s6.Scan) []executors.Part {
	names, err := scan.List()
	if err != nil {
		return []executors.Part{{Name: "services", Message: err.Error()}}
	}
	var parts []executors.Part
	for _, name := range names {
		p := executors.Part{Name: "service/" + name}
		state, err := scan.State(ctx, name)
		switch {
		case err != nil:
			p.Message = err.Error()
		case !state.Up && scan.WantedDown(name):
			p.OK, p.Message = true, "down, as it is meant to be"
		case !state.Up:
			p.Message = "down"
		default:
			p.OK = true
		}
		parts = append(parts, p)
	}
	return parts
}

// Disks returns two parts for each folder's file system, the space that is left and the inodes. A folder that isn't there
// is left out, and so is a file system that was told of already.
func Disks(folders ...string) []executors.Part {
	var parts []executors.Part
	seen := map[unix.Fsid]bool{}
	for _, dir := range folders {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			if !os.IsNotExist(err) {
				parts = append(parts, executors.Part{Name: "disk" + dir, Message: err.Error()})
			}
			continue
		}
		if seen[st.Fsid] {
			continue
		}
		seen[st.Fsid] = true
		parts = append(parts, left("disk"+dir, st.Bavail, st.Blocks, "of the space"))
		if st.Files > 0 { // not every file system counts them
			parts = append(parts, left("inodes"+dir, st.Ffree, st.Files, "of the inodes"))
		}
	}
	return parts
}

// Memory returns the part of the memory that is left: of the node's own limit (cgroup v2 memory.max, v1
// memory.limit_in_bytes), else of the machine (MemAvailable of proc(5)).
func Memory(root string) []executors.Part {
	for _, files := range [][3]string{
		{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat"},
		{"sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes", "sys/fs/cgroup/memory/memory.stat"},
	} {
		limit, err := readNumber(filepath.Join(root, files[0]))
		if err != nil || limit > 1<<50 { // "max", or as good as none
			continue
		}
		used, err := readNumber(filepath.Join(root, files[1]))
		if err != nil {
			continue
		}
		cache := field(filepath.Join(root, files[2]), "inactive_file") // is given back when it is needed
		return []executors.Part{left("memory", limit-min(limit, used-min(used, cache)), limit, "of the node's memory")}
	}
	info := filepath.Join(root, "proc/meminfo")
	total, available := field(info, "MemTotal:"), field(info, "MemAvailable:")
	if total == 0 {
		return nil
	}
	return []executors.Part{left("memory", available, total, "of the machine's memory")}
}

func left(name string, free, total uint64, what string) executors.Part {
	if total == 0 {
		return executors.Part{Name: name, OK: true}
	}
	percent := float64(free) * 100 / float64(total)
	p := executors.Part{Name: name, OK: percent >= Low}
	if !p.OK {
		p.Message = fmt.Sprintf("%.1f %% %s is left", percent, what)
	}
	return p
}

func readNumber(path string) (uint64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
}

// field returns the number behind a word at the beginning of a line, 0 where there is none.
func field(path, word string) uint64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == word {
			n, _ := strconv.ParseUint(f[1], 10, 64)
			return n
		}
	}
	return 0
}
