package users

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// common are the folders of a node in which everybody may make files. Tenants' programs have folders of their own for that
// (TMPDIR); these are for what asks for them by name, such as the C library's semaphores (sem_open(3)).
var common = []string{"/tmp", "/var/tmp", "/dev/shm", "/run/lock"}

// CloseCommon makes the folders that all users share such that nobody but root can see what is in them. Who knows the name of a
// file may still open it, as its mode allows.
func (m *Manager) CloseCommon() error {
	var errs []error
	for _, dir := range common {
		dir = filepath.Join(m.o.Root, dir)
		info, err := os.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.IsDir() {
			err = os.Chmod(dir, fs.ModeSticky|0o733)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
