// Package usage measures what tenants use of a node: the processes of their users, and their files on the shard's volume.
package usage

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hostctl/agent/beneath"
	"hostctl/executors"
)

const (
	// DiskEvery is the time between two measurements of one tenant's files, which reads all of their names.
	DiskEvery = 15 * time.Minute

	diskWithin = 20 * time.Second // of one round; the tenants that are left are measured in the next one

	ticks = 100 // a second; USER_HZ of proc(5) on Linux
)

// Meter measures. Its methods are for one caller at a time.
type Meter struct {
	Proc    string // where proc(5) is mounted
	Tenants string // the folder that has one for each tenant

	disk map[string]measured
}

type measured struct {
	size beneath.Size
	at   time.Time
}

// Measure returns what each of the tenants uses, given by the uids of their users.
func (m *Meter) Measure(ctx context.Context, tenants map[int]string) []executors.Usage {
	all := make(map[int]*executors.Usage, len(tenants))
	for uid, name := range tenants {
		all[uid] = &executors.Usage{Tenant: name, Disk: -1}
	}
	m.processes(all)
	m.measureDisks(ctx, tenants)
	out := make([]executors.Usage, 0, len(all))
	for _, u := range all {
		if d, ok := m.disk[u.Tenant]; ok {
			u.Disk, u.Files = d.size.Bytes, d.size.Files
		}
		out = append(out, *u)
	}
	slices.SortFunc(out, func(a, b executors.Usage) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return out
}

// processes adds up the processes of each uid.
func (m *Meter) processes(all map[int]*executors.Usage) {
	entries, err := os.ReadDir(m.Proc)
	if err != nil {
		return
	}
	page := int64(os.Getpagesize())
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join(m.Proc, e.Name())
		var st unix.Stat_t
		if unix.Stat(dir, &st) != nil || all[int(st.Uid)] == nil {
			continue
		}
		cpu, resident, ok := readStat(filepath.Join(dir, "stat"))
		if !ok {
			continue // it has ended
		}
		u := all[int(st.Uid)]
		u.Processes++
		u.Memory += resident * page
		u.CPU += cpu
	}
}

// readStat reads utime + stime and rss (proc(5): fields 14, 15 and 24 of stat). The name of the program, the second field,
// is in parentheses and may hold any character.
func readStat(path string) (cpu time.Duration, resident int64, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, false
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 22 {
		return 0, 0, false
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	resident, err3 := strconv.ParseInt(f[21], 10, 64)
	if errors.Join(err1, err2, err3) != nil {
		return 0, 0, false
	}
	return time.Duration(user+system) * time.Second / ticks, resident, true
}

// measureDisks measures the files of those tenants that it is time for, the longest waiting first.
func (m *Meter) measureDisks(ctx context.Context, tenants map[int]string) {
	ctx, cancel := context.WithTimeout(ctx, diskWithin)
	defer cancel()
	var due []string
	there := map[string]bool{}
	for _, name := range tenants {
		there[name] = true
		if time.Since(m.disk[name].at) >= DiskEvery {
			due = append(due, name)
		}
	}
	for name := range m.disk {
		if !there[name] {
			delete(m.disk, name)
		}
	}
	slices.SortFunc(due, func(a, b string) int {
		return cmp.Or(m.disk[a].at.Compare(m.disk[b].at), cmp.Compare(a, b))
	})
	for _, name := range due {
		size, err := m.measureDisk(ctx, name)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue // what was measured before stands
		}
		if m.disk == nil {
			m.disk = map[string]measured{}
		}
		m.disk[name] = measured{size, time.Now()}
	}
}

func (m *Meter) measureDisk(ctx context.Context, tenant string) (beneath.Size, error) {
	root, err := beneath.Open(m.Tenants)
	if err != nil {
		return beneath.Size{}, err
	}
	defer func() { _ = root.Close() }() // only held for its path
	dir, err := root.Sub(tenant)
	if err != nil {
		return beneath.Size{}, err
	}
	defer func() { _ = dir.Close() }() // only held for its path
	return dir.Measure(ctx)
}
