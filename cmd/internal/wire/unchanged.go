package wire

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// unchanged is a file in the state folder that remembers the last plan of nothing to do. It is a reconciler.Unchanged, safe
// for several processes: each writes a file of its own and puts it in place. Whatever is wrong with the file, or isn't of
// this very program, is as good as nothing.
type unchanged struct {
	file    string
	program string // tells this program from any other one, which may plan otherwise
}

// openUnchanged returns nil where this program can't be told from others.
func openUnchanged(state string) *unchanged {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	info, err := os.Stat(self)
	if err != nil {
		return nil
	}
	return &unchanged{
		file:    filepath.Join(state, "cache", "unchanged"),
		program: fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano()),
	}
}

// Get implements reconciler.Unchanged.
func (u *unchanged) Get(key string) []byte {
	b, err := os.ReadFile(u.file)
	if err != nil {
		return nil
	}
	plan, ok := bytes.CutPrefix(b, u.head(key))
	if !ok {
		return nil
	}
	return plan
}

// Put implements reconciler.Unchanged. A state folder that can't be written to holds nothing.
func (u *unchanged) Put(key string, plan []byte) {
	dir := filepath.Dir(u.file)
	if os.Mkdir(dir, 0o700) != nil {
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
			return
		}
	}
	f, err := os.CreateTemp(dir, "unchanged-*")
	if err != nil {
		return
	}
	_, err = f.Write(append(u.head(key), plan...))
	if closeErr := f.Close(); err != nil || closeErr != nil || os.Rename(f.Name(), u.file) != nil {
		_ = os.Remove(f.Name())
	}
}

// head is the first line of the file: what the plan is of, and who made it.
func (u *unchanged) head(key string) []byte { return fmt.Appendf(nil, "%s %s\n", u.program, key) }
