// Package blobs keeps the bytes of files that a plan puts in place, each under its git blob id.
package blobs

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // git's ids are SHA-1
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hostctl/agent/allow"
	"hostctl/schema"
)

// Limit is the most bytes of one blob.
const Limit = 1 << 20

// Folder is a folder with one file for each blob.
type Folder struct{ path string }

// Open returns the blobs kept in a folder, which it makes where there is none.
func Open(path string) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	return &Folder{path: path}, nil
}

// ID returns git's id of a blob with these bytes.
func ID(data []byte) schema.BlobID {
	id, _ := Sum(bytes.NewReader(data), int64(len(data))) // a reader of bytes never fails
	return id
}

// Sum returns git's id of a blob of size bytes that r gives.
func Sum(r io.Reader, size int64) (schema.BlobID, error) {
	h := sha1.New() //nolint:gosec // see above
	fmt.Fprintf(h, "blob %d\x00", size)
	n, err := io.Copy(h, io.LimitReader(r, size))
	if err != nil {
		return "", err
	}
	if n != size {
		return "", io.ErrUnexpectedEOF
	}
	return schema.BlobID(hex.EncodeToString(h.Sum(nil))), nil
}

// Has reports whether a blob is there.
func (f *Folder) Has(id schema.BlobID) bool {
	if allow.Blob(string(id)) != nil {
		return false
	}
	_, err := os.Lstat(filepath.Join(f.path, string(id)))
	return err == nil
}

// Put keeps a blob. Bytes that aren't what the id says are refused.
func (f *Folder) Put(id schema.BlobID, data []byte) error {
	if len(data) > Limit {
		return fmt.Errorf("blob %s has %d bytes, more than %d", id, len(data), Limit)
	}
	if got := ID(data); got != id {
		return fmt.Errorf("blob %q: the bytes are those of %s", id, got)
	}
	if f.Has(id) {
		return nil
	}
	tmp, err := os.CreateTemp(f.path, ".new-")
	if err != nil {
		return fmt.Errorf("keep blob %s: %w", id, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already where all went well
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("keep blob %s: %w", id, err)
	}
	return os.Rename(tmp.Name(), filepath.Join(f.path, string(id)))
}

// Read returns the bytes of a blob, checked against its id; a blob that was damaged on disk is dropped.
func (f *Folder) Read(id schema.BlobID) ([]byte, error) {
	if err := allow.Blob(string(id)); err != nil {
		return nil, err
	}
	path := filepath.Join(f.path, string(id))
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read blob: %w", err)
	}
	if ID(data) != id {
		return nil, errors.Join(fmt.Errorf("blob %s was damaged on disk", id), os.Remove(path))
	}
	return data, nil
}

// Sweep removes blobs that wanted doesn't name and that have been there for longer than age.
func (f *Folder) Sweep(wanted map[schema.BlobID]bool, age time.Duration) error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return fmt.Errorf("sweep blobs: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("sweep blobs: %w", err)
		}
		ours := allow.Blob(e.Name()) == nil || strings.HasPrefix(e.Name(), ".new-")
		if !ours || wanted[schema.BlobID(e.Name())] || time.Since(info.ModTime()) < age {
			continue
		}
		if err := os.Remove(filepath.Join(f.path, e.Name())); err != nil {
			return fmt.Errorf("sweep blobs: %w", err)
		}
	}
	return nil
}
