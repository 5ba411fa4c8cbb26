package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"hostctl/agent"
	"hostctl/agent/blobs"
	"hostctl/agent/cron"
	"hostctl/agent/health"
	"hostctl/agent/identity"
	"hostctl/agent/s6"
	"hostctl/agent/usage"
	"hostctl/cmd/internal/fault"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// scan is where the node's services are supervised.
const scan s6.Scan = "/run/service"

// grace is how long a batch that is being applied may take after the agent was told to stop.
const grace = 20 * time.Second

// serve runs the agent until ctx is done.
func serve(ctx context.Context) (err error) {
	c, err := readConfig()
	if err != nil {
		return err
	}
	log, err := c.logger()
	if err != nil {
		return err
	}
	store, err := agent.OpenStore(filepath.Join(c.State, "state.db"), c.Instance)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	a, err := newAgent(ctx, c, store, log)
	if err != nil {
		return err
	}
	tls, err := identity.ServerTLS(filepath.Join(c.TLS, "ca.crt"), filepath.Join(c.TLS, "node.crt"), filepath.Join(c.TLS, "node.key"), c.Instance, takesNodes(c))
	if err != nil {
		return err
	}
	outer, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	local, err := listenLocal(socket)
	if err != nil {
		return errors.Join(err, outer.Close())
	}
	log.Info("serving", "node", c.Node, "role", c.Role, "instance", c.Instance, "address", outer.Addr().String(), "binary", a.Binary)
	return lookAndServe(ctx, a, map[*grpc.Server]net.Listener{a.Server(tls): outer, a.LocalServer(): local})
}

// takesNodes reports whether other nodes may bring what this one has to theirs.
func takesNodes(c config) bool {
	return schema.Role(c.Role) == schema.RoleWeb || schema.Role(c.Role) == schema.RoleValkey
}

// lookAndServe serves, and looks after the node meanwhile.
func lookAndServe(ctx context.Context, a *agent.Agent, servers map[*grpc.Server]net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		a.Look(ctx)
	}()
	context.AfterFunc(ctx, a.Stop) // those who watch would keep a server from ending
	err := serveUntil(ctx, servers)
	cancel()
	<-looked
	return err
}

func newAgent(ctx context.Context, c config, store *agent.Store, log *slog.Logger) (*agent.Agent, error) {
	sum, err := binary()
	if err != nil {
		return nil, fmt.Errorf("read the running program: %w", err)
	}
	kept, err := blobs.Open(filepath.Join(c.State, "blobs"))
	if err != nil {
		return nil, err
	}
	if err := sweep(store, kept); err != nil {
		return nil, err
	}
	if err := moved(store, c.Node); err != nil {
		return nil, err
	}
	served, err := executorsOf(ctx, c, kept, log)
	if err != nil {
		return nil, err
	}
	return agent.New(agent.Options{
		Node: c.Node, Role: c.Role, Instance: c.Instance, Binary: sum,
		Store: store, Blobs: kept, Executors: fault.Executors(c.Node, served), Sites: sitesOf(served), Instances: instancesOf(served), Log: log,
		Alone:      schema.Role(c.Role) == schema.RoleValkey,
		CheckEvery: c.Check, Health: wellness, Usage: (&usage.Meter{Proc: "/proc", Tenants: planner.TenantsRoot}).Measure,
	}), nil
}

// filesystem is the file that tells one container of a node from the next one.
const filesystem = "/etc/hostctl/filesystem"

// moved tells the store whether the node's container was made anew since it was written to.
func moved(store *agent.Store, node string) error {
	name, err := agent.Filesystem(filesystem, rand.Text())
	if err != nil {
		return fmt.Errorf("name the node's filesystem: %w", err)
	}
	return store.MovedTo(name, node)
}

// wellness says how the parts of this node are.
func wellness(ctx context.Context) []executors.Part {
	return slices.Concat(
		health.Services(ctx, scan),
		health.Disks("/", "/var/lib/hostctl", planner.TenantsRoot, "/var/lib/postgresql/data", "/var/lib/mysql", "/var/lib/valkey"),
		health.Memory("/"),
		cron.New(cron.Options{}).Health(), // none where there are no jobs
	)
}

// sweep drops the files that no desired object needs any more.
func sweep(store *agent.Store, kept *blobs.Folder) error {
	records, err := store.Records()
	if err != nil {
		return err
	}
	wanted := map[schema.BlobID]bool{}
	for _, r := range records {
		for _, o := range []planner.Object{r.Applied, r.Pending} {
			if w, ok := o.(planner.Webroot); ok {
				for _, f := range w.Files {
					wanted[f.Blob] = true
				}
			}
		}
	}
	return kept.Sweep(wanted, time.Hour)
}

// listenLocal opens a unix socket for root alone. Its folder is closed first, so that it is never open to others.
func listenLocal(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	old := unix.Umask(0o177)
	l, err := net.Listen("unix", path)
	unix.Umask(old)
	return l, err
}

// serveUntil serves until ctx is done or one server fails, then lets what is under way finish.
func serveUntil(ctx context.Context, servers map[*grpc.Server]net.Listener) error {
	failed := make(chan error, len(servers))
	for s, l := range servers {
		go func() { failed <- s.Serve(l) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	for s := range servers {
		stop(s)
	}
	return err
}

func stop(s *grpc.Server) {
	hard := time.AfterFunc(grace, s.Stop)
	defer hard.Stop()
	s.GracefulStop()
}
