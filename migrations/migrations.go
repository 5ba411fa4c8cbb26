// Package migrations holds the SQL that makes and changes the tables of the inventory, numbered, in goose's format. The
// two dialects keep the same tables; what differs is types.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// SQLite returns the migrations of the embedded inventory.
func SQLite() fs.FS { return dialect("sqlite") }

// Postgres returns the migrations of the inventory on PostgreSQL.
func Postgres() fs.FS { return dialect("postgres") }

func dialect(name string) fs.FS {
	sub, err := fs.Sub(files, name)
	if err != nil {
		panic("migrations: " + err.Error()) // the name is a constant
	}
	return sub
}
