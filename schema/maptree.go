package schema

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
)

// MapTree is a Tree in memory: the bytes of each file by its path.
type MapTree map[string]string

// Walk calls fn for every file in lexical order; all are regular.
func (t MapTree) Walk(fn func(path string, blob BlobID, mode fs.FileMode) error) error {
	for _, path := range slices.Sorted(maps.Keys(t)) {
		if err := fn(path, GitBlobID([]byte(t[path])), 0); err != nil {
			return err
		}
	}
	return nil
}

// Read returns the bytes of a blob. It looks at every file, so it is for tests and small trees.
func (t MapTree) Read(blob BlobID) ([]byte, error) {
	for _, data := range t {
		if GitBlobID([]byte(data)) == blob {
			return []byte(data), nil
		}
	}
	return nil, fmt.Errorf("read blob %s: %w", blob, fs.ErrNotExist)
}
