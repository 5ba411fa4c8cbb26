package main

import (
	"context"
	"fmt"
	"log/slog"
	"os/user"
	"strconv"

	"hostctl/agent/blobs"
	"hostctl/agent/nginx"
	"hostctl/agent/users"
	"hostctl/agent/webroots"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// executorsOf returns what a node of this role serves.
func executorsOf(ctx context.Context, c config, kept *blobs.Folder, log *slog.Logger) (map[planner.Kind]executors.Executor, error) {
	switch schema.Role(c.Role) {
	case schema.RoleWeb:
		return web(ctx, c, kept, log)
	case schema.RoleServiceDB:
		return nil, nil // its database is the image's; hostd only asks whether it is there
	}
	return nil, fmt.Errorf("HOSTCTL_ROLE: this version knows no role %q", c.Role)
}

// webUser is who nginx's workers are.
const webUser = "www-data"

func web(_ context.Context, c config, kept *blobs.Folder, _ *slog.Logger) (map[planner.Kind]executors.Executor, error) {
	u, err := user.Lookup(webUser)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	return map[planner.Kind]executors.Executor{
		planner.KindUser:    users.New(users.Options{Node: c.Node}),
		planner.KindWebroot: webroots.New(webroots.Options{GID: gid, Blobs: kept}),
		planner.KindVhost:   nginx.New(nginx.Options{Node: c.Node, LogUID: uid, LogGID: gid}),
	}, nil
}
