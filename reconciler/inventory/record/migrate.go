package record

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// Migrate runs the numbered SQL that a database has not seen yet. The caller keeps other processes from doing the same.
func Migrate(ctx context.Context, d goose.Dialect, db *sql.DB, migrations fs.FS) error {
	p, err := goose.NewProvider(d, db, migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read table version: %w", err)
	}
	if have > want {
		return fmt.Errorf("its tables have version %d and this program knows %d: a newer hostctl made them; use that one", have, want)
	}
	if have == want {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate tables: %w", err)
	}
	return nil
}
