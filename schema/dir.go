package schema

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Folder is a Tree over a folder on disk. Close it when it is read no more.
type Folder struct {
	root  *os.Root
	files []folderFile
	paths map[BlobID]string
}

type folderFile struct {
	path string
	blob BlobID
	mode fs.FileMode
}

// MaxFileSize is the most bytes a file below platform/, clusters/ or tenants/ may have.
const MaxFileSize = 4 << 20

// Dir reads the folder root as a Tree. Blob ids are those git would give (SHA-1 of "blob <size>\0" and the bytes), so a
// Cache is shared with commits. Only files below the folders that Load reads are in it. Nothing is opened through a
// symlink: it is handed to Walk with its mode and no blob, as are devices and sockets. A file above MaxFileSize is
// named with no blob, too.
func Dir(root string) (*Folder, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("open the config repository: %w", err)
	}
	f := &Folder{root: r, paths: map[BlobID]string{}}
	if err := fs.WalkDir(r.FS(), ".", f.add); err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("read the config repository %s: %w", root, err)
	}
	slices.SortFunc(f.files, func(a, b folderFile) int { return strings.Compare(a.path, b.path) })
	return f, nil
}

// add notes one entry of the folder.
func (f *Folder) add(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if d.IsDir() {
		if d.Name() == ".git" || (path != "." && !strings.Contains(path, "/") && nearestTopFolder(path) == "") {
			return fs.SkipDir
		}
		return nil
	}
	if d.Name() == ".git" {
		return nil // of a linked work tree
	}
	file := folderFile{path: path, mode: d.Type()}
	if file.mode.IsRegular() && strings.Contains(path, "/") {
		if file.blob, err = f.hash(path); err != nil {
			return err
		}
	}
	f.files = append(f.files, file)
	return nil
}

// hash computes git's id of a file and remembers where its bytes are.
func (f *Folder) hash(path string) (BlobID, error) {
	data, err := f.open(path)
	if err != nil || len(data) > MaxFileSize {
		return "", err
	}
	id := GitBlobID(data)
	if _, ok := f.paths[id]; !ok {
		f.paths[id] = path
	}
	return id, nil
}

// open reads a file, at most one byte more than MaxFileSize.
func (f *Folder) open(path string) ([]byte, error) {
	file, err := f.root.OpenFile(path, os.O_RDONLY|openNoFollow, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file any more", path)
	}
	data := make([]byte, 0, min(info.Size(), MaxFileSize)+1)
	return readAll(io.LimitReader(file, MaxFileSize+1), data)
}

// readAll appends all of r to data.
func readAll(r io.Reader, data []byte) ([]byte, error) {
	for {
		if len(data) == cap(data) {
			data = slices.Grow(data, 512)
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Walk calls fn for every file in lexical order.
func (f *Folder) Walk(fn func(path string, blob BlobID, mode fs.FileMode) error) error {
	for _, file := range f.files {
		if err := fn(file.path, file.blob, file.mode); err != nil {
			return err
		}
	}
	return nil
}

// Read returns the bytes of a file that Walk has named. It is an error if the file was changed since.
func (f *Folder) Read(blob BlobID) ([]byte, error) {
	path, ok := f.paths[blob]
	if !ok {
		return nil, fmt.Errorf("read blob %s: %w", blob, fs.ErrNotExist)
	}
	data, err := f.open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if GitBlobID(data) != blob {
		return nil, fmt.Errorf("read %s: the file changed while it was read; try again", path)
	}
	return data, nil
}

// Close releases the folder.
func (f *Folder) Close() error { return f.root.Close() }

// GitBlobID returns git's id of a file with these bytes (gitformat-pack, "blob <size>\0<bytes>").
func GitBlobID(data []byte) BlobID {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return BlobID(hex.EncodeToString(h.Sum(nil)))
}
