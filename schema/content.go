package schema

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
)

// MaxContent is the most bytes the files of one Webroot's content folder may have together.
const MaxContent = 1 << 20

// contentFolder is the folder that a Webroot in a file names, with a trailing slash.
func contentFolder(file, content string) string {
	return path.Join(path.Dir(file), content) + "/"
}

// isContent reports whether a file stands in a content folder, so that it declares nothing.
func (l *loader) isContent(p string) bool {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if _, ok := slices.BinarySearch(l.content, dir+"/"); ok {
			return true
		}
	}
	return false
}

// contents gives each Webroot the files of its content folder.
func (l *loader) contents(c *catalog) error {
	for _, w := range c.webroots.list {
		if w.content == "" {
			continue
		}
		files, err := l.folder(c, w, contentFolder(w.meta.Position.File, w.content))
		if err != nil {
			return err
		}
		w.v.Content = files
	}
	return nil
}

// folder lists a content folder. What is wrong with it is reported at content.path.
func (l *loader) folder(c *catalog, w *decl[Webroot], dir string) ([]ContentFile, error) {
	const field = "spec.content.path"
	all := l.layout.all
	start, _ := slices.BinarySearchFunc(all, dir, func(f file, dir string) int { return strings.Compare(f.path, dir) })
	var out []ContentFile
	var total int64
	for _, f := range all[start:] {
		rel, ok := strings.CutPrefix(f.path, dir)
		if !ok {
			break
		}
		if l.layout.odd[f.path] {
			continue // reported
		}
		if err := CheckRelPath(rel); err != nil {
			c.fail(&w.origin, field, "the file %s: %v; rename it", printable(f.path), err)
			continue
		}
		size, pointer, err := l.size(f)
		if err != nil {
			return nil, err
		}
		if pointer {
			l.fail(f.path, "is a git LFS pointer, not the file itself; take the file out of LFS (git lfs untrack) and commit it")
		}
		if f.blob == "" {
			l.fail(f.path, "the file has more than %d bytes; take it out of the content folder", MaxFileSize)
		}
		total += size
		out = append(out, ContentFile{Path: rel, Blob: f.blob, Size: size})
	}
	switch {
	case len(out) == 0:
		c.fail(&w.origin, field, "the folder %s holds no files; it must stand beside this file", printable(dir))
	case total > MaxContent:
		c.fail(&w.origin, field, "the files of %s have %d bytes; at most %d are allowed: leave content out and let the tenant bring them", printable(dir), total, MaxContent)
	}
	return out, nil
}

// size tells how many bytes a file has, and whether it is an LFS pointer.
func (l *loader) size(f file) (int64, bool, error) {
	if f.blob == "" {
		return 0, false, nil // too large for Dir; the caller tells
	}
	if p, ok := l.known(f.blob); ok {
		return p.size, p.pointer, nil
	}
	data, err := l.tree.Read(f.blob)
	if err != nil {
		return 0, false, fmt.Errorf("read %s: %w", printable(f.path), err)
	}
	p := &Parsed{size: int64(len(data)), pointer: bytes.HasPrefix(data, []byte(lfsPrefix))}
	if l.cache != nil {
		l.cache.Put(f.blob, p)
	}
	return p.size, p.pointer, nil
}
