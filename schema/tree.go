package schema

import "io/fs"

// BlobID names the content of a file: git's id of the blob, 40 hex digits. The same id is always the same bytes.
type BlobID string

// Tree is the repository at one commit, as paths with blob ids.
type Tree interface {
	// Walk calls fn for every file in lexical order of its path (slash separated, relative to the root). What isn't a
	// regular file (a symlink, a submodule) is passed with its mode and must not be followed.
	Walk(fn func(path string, blob BlobID, mode fs.FileMode) error) error
	// Read returns the bytes of a blob that Walk has named.
	Read(blob BlobID) ([]byte, error)
}
