// Package examples holds complete config repositories. Tests load, plan and apply them, so that they can't rot.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed all:minimal all:demo
var all embed.FS

// Minimal is the smallest platform that serves a site: what 'hostctl init' starts with.
func Minimal() fs.FS { return below("minimal") }

// Demo is the platform that 'make demo' runs: tenants with sites in each runtime, a database, zones.
func Demo() fs.FS { return below("demo") }

func below(name string) fs.FS {
	sub, err := fs.Sub(all, name)
	if err != nil {
		panic("examples: " + err.Error()) // the names above are valid paths
	}
	return sub
}
