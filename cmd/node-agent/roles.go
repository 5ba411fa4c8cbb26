package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hostctl/agent"
	"hostctl/agent/apps"
	"hostctl/agent/blobs"
	"hostctl/agent/cron"
	"hostctl/agent/identity"
	"hostctl/agent/logs"
	"hostctl/agent/mysql"
	"hostctl/agent/nginx"
	"hostctl/agent/php"
	"hostctl/agent/runtimes"
	"hostctl/agent/secrets"
	"hostctl/agent/transfer"
	"hostctl/agent/users"
	"hostctl/agent/valkey"
	"hostctl/agent/webroots"
	"hostctl/executors"
	"hostctl/executors/checked"
	"hostctl/executors/haproxy"
	"hostctl/executors/powerdns"
	"hostctl/planner"
	"hostctl/schema"
)

// executorsOf returns what a node of this role serves. Each looks at what is there before it touches it.
func executorsOf(ctx context.Context, c config, kept *blobs.Folder, log *slog.Logger) (map[planner.Kind]executors.Executor, error) {
	folder, err := secrets.Open(filepath.Join(c.State, "secrets"))
	if err != nil {
		return nil, err
	}
	served, err := roleExecutors(ctx, c, kept, folder, log)
	if err != nil {
		return nil, err
	}
	if served == nil {
		return nil, nil // it takes no changes
	}
	served[planner.KindSecret] = checked.New(secrets.New(secrets.Options{Node: c.Node, Folder: folder}))
	return served, nil
}

func roleExecutors(ctx context.Context, c config, kept *blobs.Folder, folder *secrets.Folder, log *slog.Logger) (map[planner.Kind]executors.Executor, error) {
	switch schema.Role(c.Role) {
	case schema.RoleWeb:
		return web(ctx, c, kept, folder, log)
	case schema.RoleDatabase:
		return databases(c, folder)
	case schema.RoleValkey:
		return instances(ctx, c, folder, log), nil
	case schema.RoleServiceDB:
		return nil, nil // its database is the image's; hostd only asks whether it is there
	case schema.RoleLB:
		lb := checked.New(haproxy.New(haproxy.Options{Target: c.Node, Instance: c.Instance, Up: upWithin, Key: folder.Value}))
		return map[planner.Kind]executors.Executor{planner.KindCert: lb, planner.KindBackend: lb, planner.KindServer: lb, planner.KindRoute: lb}, nil
	case schema.RoleDNS:
		dns := checked.New(powerdns.New(powerdns.Options{Target: c.Cluster + "-dns", Instance: c.Instance, Secret: folder.Value}))
		return map[planner.Kind]executors.Executor{planner.KindCatalog: dns, planner.KindZone: dns, planner.KindRRset: dns}, nil
	}
	return nil, fmt.Errorf("HOSTCTL_ROLE: this version knows no role %q", c.Role)
}

// databases is what a database node serves. Its objects are the shard's.
func databases(c config, folder *secrets.Folder) (map[planner.Kind]executors.Executor, error) {
	file := func(name string) string { return filepath.Join(c.TLS, name) }
	m, err := mysql.New(mysql.Options{
		Target: shardOf(c.Node), Secrets: folder,
		TLS: func(node string) (*tls.Config, error) {
			return identity.NodeTLS(file("ca.crt"), file("node.crt"), file("node.key"), c.Instance, node)
		},
	})
	if err != nil {
		return nil, err
	}
	server := checked.New(m)
	return map[planner.Kind]executors.Executor{planner.KindDatabase: server, planner.KindDatabaseUser: server}, nil
}

// instances is what a Valkey node serves.
func instances(ctx context.Context, c config, folder *secrets.Folder, log *slog.Logger) map[planner.Kind]executors.Executor {
	m := valkey.New(valkey.Options{Target: shardOf(c.Node), Secrets: folder, Pull: transfer.Puller{Instance: c.Instance, TLS: c.TLS}.Snapshot})
	if err := m.Start(ctx); err != nil { // the agent has to serve all the same, or nobody could repair it
		log.Error("start Valkey", "error", err)
	}
	server := checked.New(m)
	return map[planner.Kind]executors.Executor{planner.KindValkey: server, planner.KindValkeyUser: server}
}

// shardOf is the shard of a node, which is <shard>-<n>.
func shardOf(node string) string { return node[:max(strings.LastIndexByte(node, '-'), 0)] }

// upWithin is several health checks of a load balancer long.
const upWithin = 10 * time.Second

// webGroup is who nginx's workers are.
const webGroup = "www-data"

func web(ctx context.Context, c config, kept *blobs.Folder, folder *secrets.Folder, log *slog.Logger) (map[planner.Kind]executors.Executor, error) {
	u, err := user.LookupGroup(webGroup)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	pools := php.New(php.Options{Node: c.Node, Secrets: folder})
	if err := pools.Start(ctx); err != nil { // the agent has to serve all the same, or nobody could repair it
		log.Error("start PHP", "error", err)
	}
	go logs.Rotation{Log: log, Reopen: func(ctx context.Context) error { return scan.Signal(ctx, "nginx", "1") }}.Run(ctx)
	services := apps.New(apps.Options{Node: c.Node, Secrets: folder})
	if err := services.Start(ctx); err != nil {
		log.Error("start the sites' services", "error", err)
	}
	tenants := users.New(users.Options{Node: c.Node, WebGID: gid})
	if err := tenants.CloseCommon(); err != nil {
		log.Error("close the folders that all users share", "error", err)
	}
	jobs := cron.New(cron.Options{Node: c.Node, Secrets: folder, Log: log})
	go jobs.Run(ctx)
	return map[planner.Kind]executors.Executor{
		planner.KindUser:    checked.New(tenants),
		planner.KindWebroot: checked.New(webroots.New(webroots.Options{GID: gid, Blobs: kept, Pull: transfer.Puller{Instance: c.Instance, TLS: c.TLS}.Pull})),
		planner.KindRuntime: checked.New(runtimes.New(pools, services)),
		planner.KindVhost:   checked.New(nginx.New(nginx.Options{Node: c.Node})),
		planner.KindCron:    checked.New(jobs),
	}, nil
}

// sitesOf returns the sites' folders of a node that has some.
func sitesOf(served map[planner.Kind]executors.Executor) agent.Sites {
	if e, ok := served[planner.KindWebroot].(*checked.Executor); ok {
		sites, _ := e.Far.(agent.Sites)
		return sites
	}
	return nil
}

// instancesOf returns the Valkey instances of a node that has some.
func instancesOf(served map[planner.Kind]executors.Executor) agent.Instances {
	if e, ok := served[planner.KindValkey].(*checked.Executor); ok {
		instances, _ := e.Far.(agent.Instances)
		return instances
	}
	return nil
}
