package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/web"
)

func convergeVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "converge NAME|REF",
		Short: "Apply again what a shard, node, tenant or object should be, whether it differs or not",
		Long: `converge marks every object of a shard, node or tenant, or one object, to be applied again, and applies it: for what was
changed by hand, or is suspected to be. Where hostd runs on the same state folder it does it.`,
		Example: `  hostctl converge --state DIR web-1
  hostctl converge --state DIR acme
  hostctl converge --state DIR vhost/web-1-0/acme.shop`,
		ValidArgsFunction: o.live(groupNames),
		Args:              needs("the name of a shard, node or tenant, or a reference: kind/target/name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.needState("converge"); err != nil {
				return err
			}
			platform, err := o.platform(cmd.Context(), o.dir)
			if err != nil {
				return err
			}
			refs, err := reconciler.Touch(cmd.Context(), platform.Inventory, args[0])
			if err = errors.Join(err, platform.Close()); err != nil {
				return err
			}
			if len(refs) == 0 {
				return fmt.Errorf("no shard, node, tenant or object is called %s; 'hostctl status' shows what there is", args[0])
			}
			return o.convergeNow(cmd.Context(), refs)
		},
	}
}

// convergeShardVerb is converge by its older name, for a shard.
func convergeShardVerb(o *options) *cobra.Command {
	cmd := convergeVerb(o)
	cmd.Use, cmd.Short = "converge-shard NAME", "Apply again what a shard should be: 'converge' by its older name"
	cmd.Example = "  hostctl converge-shard --state DIR web-1"
	cmd.ValidArgsFunction = o.live(shardNames)
	cmd.Args = needs("the name of a shard")
	return cmd
}

// convergeNow lets hostd do it where it runs, and else does it.
func (o *options) convergeNow(ctx context.Context, refs []planner.Ref) error {
	if hostd, err := web.Dial(ctx, filepath.Join(o.state, web.SocketName)); err == nil {
		if err := hostd.Wake(ctx); err != nil {
			return err
		}
		_, err := fmt.Fprintf(o.out, "hostd applies %s again; 'hostctl status' tells when it has.\n", count(len(refs), "object", "objects"))
		return err
	}
	p, err := o.plan(ctx, "")
	if err != nil {
		return o.explain(err)
	}
	show := newProgress(o.out, false)
	if err := o.present(show, p); err != nil || p.Empty() {
		return err
	}
	return o.apply(ctx, show, p, "")
}
