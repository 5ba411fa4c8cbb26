// Package wire puts the program together: the inventory in the state folder, the repository, the certificates, and the
// far sides. hostctl and hostd are wired by it alike, so that one does what the other shows.
package wire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/reconciler/inventory"
	"hostctl/schema"
)

// Config is what a program is told on its command line or in its environment.
type Config struct {
	State    string      // folder of the inventory, the CA and hostd's socket
	Database string      // "sqlite:FILE" or "postgres://…"; "" is inventory.db in State
	Agent    string      // the node-agent program; "" looks beside this program
	AgeKey   string      // file of the age key that opens secrets; "" is age.key in State
	Repo     string      // the config repository; "" for none: then only files can be planned
	Remote   *git.Remote // how Repo is reached where that is a URL; then the state folder holds a mirror of it
	Branch   string
	Program  string        // for the holder of the run lock: hostctl or hostd
	Grace    time.Duration // how long what runs may go on when a run is stopped; 0 for executors.DefaultGrace
	Log      *slog.Logger
	Short    bool // the program plans once and ends: what it would remember is kept in the state folder
}

// Platform is a wired reconciler with what must be closed after use.
type Platform struct {
	*reconciler.Reconciler
	Store  *inventory.Store
	Mirror *git.Mirror // the source, where the config repository lies elsewhere; else nil

	parsed *cacheFile // nil: nothing is kept
	blobs  *schema.MemoryCache
}

// Open wires a reconciler. The state folder is made where it isn't there.
func Open(ctx context.Context, c Config) (*Platform, error) {
	if err := os.MkdirAll(c.State, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	source, mirror, err := openSource(ctx, c)
	if err != nil {
		return nil, err
	}
	agent, err := findAgent(c.Agent)
	if err != nil {
		return nil, err
	}
	store, err := OpenInventory(ctx, c)
	if err != nil {
		return nil, err
	}
	far, err := newFarSides(ctx, c, store, agent)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	p := &Platform{Store: store, Mirror: mirror, Reconciler: &reconciler.Reconciler{
		Source:    source,
		Inventory: withFaults(store),
		Connect:   far.connect,
		Policy:    planner.Policy{AgentBinary: agent.sha256},
		Holder:    holder(c.Program),
		Grace:     c.Grace,
		Log:       c.Log,
		Cache:     schema.NewCache(),
		Memo:      &planner.Memo{},
	}}
	if u := cacheIn(c.State, "unchanged"); u != nil && c.Short {
		p.Unchanged = u
	}
	if p.parsed = cacheIn(c.State, "parsed-"+c.Program); p.parsed != nil {
		p.blobs = schema.NewCacheOf(func() []byte { return p.parsed.Get("blobs") })
		p.Cache = p.blobs
	}
	return p, nil
}

// Close releases the inventory, and leaves what was parsed for the next process.
func (p *Platform) Close() error {
	if p.parsed != nil {
		if b, worth := p.blobs.Save(); worth {
			p.parsed.Put("blobs", b)
		}
	}
	return p.Store.Close()
}

// mirrorFolder is where the state folder has the mirror of a config repository that lies elsewhere.
const mirrorFolder = "repository.git"

func openSource(ctx context.Context, c Config) (reconciler.Source, *git.Mirror, error) {
	switch {
	case c.Repo == "":
		return nil, nil, nil
	case c.Remote == nil:
		source, err := git.Open(c.Repo, c.Branch)
		return source, nil, err
	}
	mirror, err := git.OpenMirror(ctx, *c.Remote, filepath.Join(c.State, mirrorFolder), c.Log)
	return mirror, mirror, err
}

// OpenInventory opens the inventory alone.
func OpenInventory(ctx context.Context, c Config) (*inventory.Store, error) {
	if file := c.InventoryFile(); file != "" {
		return inventory.Open(ctx, file)
	}
	if !inventory.IsURL(c.Database) {
		return nil, errors.New("--database: want postgres://USER@HOST:PORT/DATABASE or sqlite:FILE")
	}
	return inventory.Open(ctx, c.Database)
}

// sqlite begins the name of a database that is a file.
const sqlite = "sqlite:"

// InventoryFile returns the file of the inventory, "" where it stands in a database server.
func (c Config) InventoryFile() string {
	if c.Database == "" {
		return filepath.Join(c.State, "inventory.db")
	}
	file, ok := strings.CutPrefix(c.Database, sqlite)
	if !ok {
		return ""
	}
	return file
}

func holder(program string) reconciler.Holder {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return reconciler.Holder{Name: fmt.Sprintf("%s@%s:%d", program, host, os.Getpid())}
}

// agentProgram is the node-agent that goes to the nodes.
type agentProgram struct {
	path   string
	sha256 string // hex
	size   int64
}

// AgentBinary returns the SHA-256 of the node-agent program that a Platform with this configuration would plan with, in hex.
func AgentBinary(c Config) (string, error) {
	agent, err := findAgent(c.Agent)
	return agent.sha256, err
}

// findAgent reads the node-agent program beside this one, or the one that was named.
func findAgent(path string) (agentProgram, error) {
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return agentProgram{}, fmt.Errorf("find the node-agent program: %w", err)
		}
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		path = filepath.Join(filepath.Dir(self), "node-agent")
	}
	f, err := os.Open(path)
	if err != nil {
		return agentProgram{}, fmt.Errorf("read the node-agent program: %w; build it with 'make build' or name it with --agent", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return agentProgram{}, fmt.Errorf("read the node-agent program: %w", err)
	}
	return agentProgram{path: path, sha256: hex.EncodeToString(h.Sum(nil)), size: n}, nil
}
