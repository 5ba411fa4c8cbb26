// Package generation keeps a folder of configuration files in generations, so that a set of files changes in one step.
// A new generation is made beside the one in use (files that don't change are hard links), is checked as a whole, and then
// made current by the rename of one symlink. Until then the one in use is untouched, whatever happens.
//
//	<folder>/7/...
//	<folder>/current -> 7
package generation

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Folder holds generations.
type Folder string

// Dir returns the path of a generation.
func (f Folder) Dir(n int) string { return filepath.Join(string(f), strconv.Itoa(n)) }

// Current returns the generation in use; 0 where there was none yet.
func (f Folder) Current() (int, error) {
	target, err := os.Readlink(filepath.Join(string(f), "current"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(target)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s/current leads to %q", f, target)
	}
	return n, nil
}

// Differs reports whether a generation would be other than it is after put and remove.
func (f Folder) Differs(n int, put map[string][]byte, remove []string) (bool, error) {
	for name, data := range put {
		have, err := os.ReadFile(filepath.Join(f.Dir(n), name))
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if !bytes.Equal(have, data) {
			return true, nil
		}
	}
	for _, name := range remove {
		if _, err := os.Lstat(filepath.Join(f.Dir(n), name)); err == nil {
			return true, nil
		}
	}
	return false, nil
}

// Make makes generation to from generation from (0: from nothing): put are files that it has, remove those that it
// hasn't. What is left of an earlier attempt at it is cleared first.
func (f Folder) Make(from, to int, put map[string][]byte, remove []string) error {
	dir := f.Dir(to)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	without := maps.Collect(func(yield func(string, bool) bool) {
		for name := range put {
			if !yield(name, true) {
				return
			}
		}
		for _, name := range remove {
			if !yield(name, true) {
				return
			}
		}
	})
	names, err := f.Files(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if without[name] {
			continue
		}
		if err := os.Link(filepath.Join(f.Dir(from), name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(put)) {
		if err := write(filepath.Join(dir, name), put[name]); err != nil {
			return err
		}
	}
	return nil
}

// Files returns the names of a generation's files, sorted. Generation 0 has none.
func (f Folder) Files(n int) ([]string, error) {
	if n == 0 {
		return nil, nil
	}
	entries, err := os.ReadDir(f.Dir(n))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Use makes a generation the current one. 0 is none.
func (f Folder) Use(n int) error {
	current := filepath.Join(string(f), "current")
	if n == 0 {
		err := os.Remove(current)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return Point(current, strconv.Itoa(n))
}

// Point makes a symlink lead to target, from one moment to the next.
func Point(link, target string) error {
	next := link + ".next"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, next); err != nil {
		return err
	}
	return os.Rename(next, link)
}

// Numbers returns all generations there are, in order.
func (f Folder) Numbers() ([]int, error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ns []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 && e.IsDir() {
			ns = append(ns, n)
		}
	}
	slices.Sort(ns)
	return ns, nil
}

// InUse returns the generation in use (0 where there is none), and the others that are there.
func (f Folder) InUse() (now int, others []int, err error) {
	now, err = f.Current()
	if err != nil {
		return 0, nil, err
	}
	all, err := f.Numbers()
	return now, slices.DeleteFunc(all, func(n int) bool { return n == now }), err
}

// Below returns the names of the folders within a folder, sorted. One that isn't there has none.
func Below(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Drop removes a generation.
func (f Folder) Drop(n int) error { return os.RemoveAll(f.Dir(n)) }

// Keep removes all generations but one.
func (f Folder) Keep(n int) error {
	ns, err := f.Numbers()
	if err != nil {
		return err
	}
	for _, other := range ns {
		if other != n {
			if err := f.Drop(other); err != nil {
				return err
			}
		}
	}
	return nil
}

func write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
