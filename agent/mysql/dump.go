package mysql

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hostctl/agent/argv"
)

// keepDumps is how long the trash keeps a dump.
const keepDumps = 30 * 24 * time.Hour

// dump writes a database to the trash, <schema>.<time>.sql.gz, that only root can read. A dump has its name only when it is
// whole. Dumps that are older than keepDumps go.
func (m *Manager) dump(ctx context.Context, name string) (err error) {
	if err := os.MkdirAll(m.o.Trash, 0o700); err != nil {
		return err
	}
	if err := m.sweep(); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(m.o.Trash, ".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tmp.Close(), os.Remove(tmp.Name()))
		}
	}()
	zip := gzip.NewWriter(tmp)
	// Consistent without a lock for InnoDB's tables; all that belongs to the database, and nothing that needs more rights
	// than a load as its own user has (mysqldump's manual).
	err = argv.Stream(ctx, zip, "mysqldump", "--no-defaults", "--socket="+m.o.Socket, "--user=root", "--single-transaction",
		"--routines", "--events", "--triggers", "--hex-blob", "--no-tablespaces", "--set-gtid-purged=OFF", "--", name)
	if err != nil {
		return fmt.Errorf("dump of %s: %w", name, err)
	}
	if err := errors.Join(zip.Close(), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("dump of %s: %w", name, err)
	}
	return os.Rename(tmp.Name(), filepath.Join(m.o.Trash, name+"."+time.Now().UTC().Format("20060102T150405.000Z")+".sql.gz"))
}

// sweep removes dumps whose time is over, and halves of dumps that were cut off.
func (m *Manager) sweep() error {
	entries, err := os.ReadDir(m.o.Trash)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && (strings.HasPrefix(e.Name(), ".new-") || time.Since(info.ModTime()) > keepDumps) {
			err = os.Remove(filepath.Join(m.o.Trash, e.Name()))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
