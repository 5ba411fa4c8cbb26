package outbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	suffix  = ".json"
	newFile = ".new-" // begins the name of a file that isn't whole yet
)

// stored is a message as it lies in its file.
type stored struct {
	Message
	Seq int64 `json:"seq"` // a later message has a higher one
}

// path is the file of an id: its name says nothing of what is in it, and no key reaches the file system.
func (b *Box) path(i id) string {
	sum := sha256.Sum256([]byte(i.kind + "\x00" + i.key))
	return filepath.Join(b.dir, hex.EncodeToString(sum[:16])+suffix)
}

// load reads what is in the folder, and removes what a process has left that was killed while it wrote.
func (b *Box) load() error {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(b.dir, f.Name())
		switch {
		case strings.HasPrefix(f.Name(), newFile):
			if err := os.Remove(path); err != nil {
				return err
			}
		case strings.HasSuffix(f.Name(), suffix):
			s, err := read(path)
			if err != nil {
				b.log.Error("a file of the outbox is no message; it is left where it is", "file", path, "error", err)
				continue
			}
			b.seq = max(b.seq, s.Seq)
			b.entries[s.id()] = &entry{id: s.id(), seq: s.Seq, expires: s.Expires}
		}
	}
	return nil
}

func read(path string) (s stored, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, err
	}
	return s, s.check()
}

// write puts a message in its place whole, and on the disk.
func (b *Box) write(s stored) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(b.dir, newFile) // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = b.rename(f.Name(), b.path(s.id()))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return b.sync()
}

// remove takes a message out of the folder. One that is gone already is removed.
func (b *Box) remove(i id) error {
	if err := os.Remove(b.path(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil // a message that comes back after a power cut is sent twice, and not lost
}

// sync makes the folder's entries durable.
func (b *Box) sync() error {
	d, err := os.Open(b.dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", b.dir, err)
	}
	return nil
}
