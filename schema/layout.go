package schema

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// topFolders are the folders that hooks, teams and this program agree on. Whatever stands beside them isn't read.
var topFolders = []string{"clusters", "platform", "tenants"}

func isTopFolder(name string) bool { return slices.Contains(topFolders, name) }

// nearestTopFolder is the folder that a top-level name is, or is likely meant to be, or "".
func nearestTopFolder(name string) string {
	if isTopFolder(name) {
		return name
	}
	return nearest(name, topFolders)
}

// file is a file below a top folder.
type file struct {
	path string
	blob BlobID
	mode fs.FileMode
}

// top and owner are the first two folders of the path: "tenants" and "acme".
func (f file) top() string { top, _, _ := strings.Cut(f.path, "/"); return top }

func (f file) owner() string {
	parts := strings.SplitN(f.path, "/", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

// folder is the part of the repository whose owner the file has: "platform", "clusters" or "tenants/acme".
func (f file) folder() string {
	if f.top() == "tenants" {
		return "tenants/" + f.owner()
	}
	return f.top()
}

// layout is which files there are.
type layout struct {
	all  []file // in lexical order
	yaml []file // those that declare resources, unless they are content
	odd  map[string]bool

	unread []string // folders that hold a file which can't be read
}

// collect walks the tree and checks names and modes of files.
func (l *loader) collect() error {
	l.layout = &layout{odd: map[string]bool{}}
	folded := map[string]string{}
	misspelled := map[string]bool{}
	err := l.tree.Walk(func(p string, blob BlobID, mode fs.FileMode) error {
		top, _, below := strings.Cut(p, "/")
		if !isTopFolder(top) {
			if below && nearestTopFolder(top) != "" && !misspelled[top] {
				misspelled[top] = true
				l.fail(p, "the folder %q isn't read; did you mean %q?", top, nearestTopFolder(top))
			}
			return nil
		}
		f := file{p, blob, mode}
		if text := l.oddFile(f, folded); text != "" {
			l.fail(p, "%s", text)
			l.layout.odd[p] = true
			l.layout.unread = append(l.layout.unread, f.folder())
		} else if isYAML(p) {
			l.layout.yaml = append(l.layout.yaml, f)
		}
		l.layout.all = append(l.layout.all, f)
		return nil
	})
	slices.SortFunc(l.layout.all, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return err
}

// oddFile says why a file can't be used whatever is in it, or "".
func (l *loader) oddFile(f file, folded map[string]string) string {
	if !isPrintable(f.path) {
		return "the file's name holds a line break, control or invisible character; rename it"
	}
	if !fs.ValidPath(f.path) || strings.Contains(f.path, `\`) {
		return "the file's path isn't a clean relative path; rename it"
	}
	if text := oddMode(f.mode); text != "" {
		return text
	}
	lower := strings.ToLower(f.path)
	if other, ok := folded[lower]; ok {
		return fmt.Sprintf("differs from %s in upper and lower case only, so that not every machine can check both out; rename one", other)
	}
	folded[lower] = f.path
	switch {
	case f.blob == "" && isYAML(f.path):
		return tooLarge
	case !strings.Contains(f.path, "/"):
		return "is a file; " + f.path + " must be a folder"
	}
	return ""
}

// oddMode says what a file is that isn't regular.
func oddMode(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "is a symlink; links aren't followed: commit the file itself"
	case mode&fs.ModeIrregular != 0 || mode.IsDir():
		return "is a submodule; other repositories aren't read: commit the files themselves"
	case !mode.IsRegular():
		return "isn't a regular file; take it out"
	}
	return ""
}

func isYAML(p string) bool {
	ext := path.Ext(p)
	return ext == ".yaml" || ext == ".yml"
}

func (l *loader) fail(file, text string, args ...any) {
	l.errors = append(l.errors, &Error{File: file, Line: 1, Column: 1, Text: fmt.Sprintf(text, args...)})
}
