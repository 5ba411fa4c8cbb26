package git

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long the repository must be quiet before a change of it is told: one push touches several files.
	settle = 5 * time.Millisecond
	// lookEvery is how often a change is supposed without a sign of one: some file systems tell nothing.
	lookEvery = 30 * time.Second
)

// Watch implements reconciler.Source. It calls changed once it watches, so that nothing is missed between a Head before
// and the watch.
func (s *Source) Watch(ctx context.Context, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.gitDir, err)
	}
	defer func() { _ = w.Close() }()
	if err := s.watchFolders(w); err != nil {
		return fmt.Errorf("watch %s: %w", s.gitDir, err)
	}
	changed()

	look := time.NewTicker(lookEvery)
	defer look.Stop()
	quiet := time.NewTimer(settle)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return nil
			}
			if e.Has(fsnotify.Create) && s.leadsToBranch(e.Name) {
				_ = s.watchFolders(w) // a folder that is gone again is no harm: look finds what it held
			}
			if s.matters(e.Name) {
				quiet.Reset(settle)
			}
		case _, ok := <-w.Errors: // events were lost
			if !ok {
				return nil
			}
			quiet.Reset(settle)
		case <-quiet.C:
			changed()
		case <-look.C:
			changed()
		}
	}
}

// watchFolders watches the folder of HEAD, that of packed-refs, and those that lead to the branch's file, as far as they
// exist. Folders are watched and not files, for git replaces files.
func (s *Source) watchFolders(w *fsnotify.Watcher) error {
	folders := []string{s.gitDir}
	if s.commonDir != s.gitDir {
		folders = append(folders, s.commonDir)
	}
	refs := filepath.Join(s.commonDir, "refs")
	err := filepath.WalkDir(refs, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case !s.leadsToBranch(path):
			return fs.SkipDir
		}
		folders = append(folders, path)
		return nil
	})
	if err != nil {
		return err
	}
	for _, f := range folders {
		if err := w.Add(f); err != nil { // watching twice is watching once
			return err
		}
	}
	return nil
}

// leadsToBranch reports whether a path is a folder above the branch's file.
func (s *Source) leadsToBranch(path string) bool {
	return strings.HasPrefix(s.branchFile(), path+string(filepath.Separator))
}

func (s *Source) branchFile() string {
	return filepath.Join(s.commonDir, filepath.FromSlash(s.branch.String()))
}

// matters reports whether a file may say where the branch is. Locks and what a work tree writes don't.
func (s *Source) matters(path string) bool {
	switch path {
	case s.branchFile(), filepath.Join(s.commonDir, "packed-refs"), filepath.Join(s.gitDir, "HEAD"):
		return true
	}
	return s.leadsToBranch(path)
}
