package wire

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// cacheFile is a file in the state folder with what one process leaves for the next one, under a key. It is safe for several
// processes: each writes a file of its own and puts it in place. Whatever is wrong with the file, or isn't of this very
// program, is as good as nothing. It is a reconciler.Unchanged.
type cacheFile struct {
	file    string
	program string // tells this program from any other one, which may plan otherwise
}

// cacheIn returns nil where this program can't be told from others.
func cacheIn(state, name string) *cacheFile {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	info, err := os.Stat(self)
	if err != nil {
		return nil
	}
	return &cacheFile{
		file:    filepath.Join(state, "cache", name),
		program: fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano()),
	}
}

// Get implements reconciler.Unchanged.
func (c *cacheFile) Get(key string) []byte {
	b, err := os.ReadFile(c.file)
	if err != nil {
		return nil
	}
	content, ok := bytes.CutPrefix(b, c.head(key))
	if !ok {
		return nil
	}
	return content
}

// Put implements reconciler.Unchanged. A state folder that can't be written to holds nothing.
func (c *cacheFile) Put(key string, content []byte) {
	dir := filepath.Dir(c.file)
	if os.Mkdir(dir, 0o700) != nil {
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
			return
		}
	}
	f, err := os.CreateTemp(dir, filepath.Base(c.file)+"-*")
	if err != nil {
		return
	}
	_, err = f.Write(append(c.head(key), content...))
	if closeErr := f.Close(); err != nil || closeErr != nil || os.Rename(f.Name(), c.file) != nil {
		_ = os.Remove(f.Name())
	}
}

// head is the first line of the file: who wrote it, and of what it is.
func (c *cacheFile) head(key string) []byte { return fmt.Appendf(nil, "%s %s\n", c.program, key) }
