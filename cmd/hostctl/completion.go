package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler"
)

// completer names what may stand at a place of a command line, each with what it is after a tab.
type completer func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// completionWait is how long somebody who has pressed tab waits at most.
const completionWait = 3 * time.Second

// live completes the first operand with names from the inventory. Where it can't be read there are none: a completion has
// nowhere to say why.
func (o *options) live(names func(planner.Live, []reconciler.Run) map[string]string) completer {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 || o.state == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionWait)
		defer cancel()
		store, err := o.inventory(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer func() { _ = store.Close() }() // only read
		live, err := store.Live(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		runs, err := store.Runs(ctx, 20)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offered(names(live, runs), begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// offered lists the names that go on from what was typed, sorted.
func offered(names map[string]string, begun string) []string {
	var out []string
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if strings.HasPrefix(n, begun) {
			out = append(out, planner.Printable(n)+"\t"+names[n])
		}
	}
	return out
}

// refNames are the objects.
func refNames(live planner.Live, _ []reconciler.Run) map[string]string {
	names := map[string]string{}
	for ref, obj := range live.State {
		names[ref.String()] = ownerName(obj.Owner())
	}
	return names
}

// hostNames are the host names, and the objects.
func hostNames(live planner.Live, _ []reconciler.Run) map[string]string {
	names := refNames(live, nil)
	for ref, obj := range live.State {
		if ref.Kind == planner.KindRoute {
			names[ref.Name] = ownerName(obj.Owner())
		}
		if set, ok := obj.(planner.RRset); ok && names[set.FQDN] == "" {
			names[set.FQDN] = "records of " + ownerName(obj.Owner())
		}
	}
	return names
}

// groupNames are the tenants, shards and nodes, and the objects.
func groupNames(live planner.Live, _ []reconciler.Run) map[string]string {
	names := refNames(live, nil)
	for ref, obj := range live.State {
		owner := obj.Owner()
		if owner.Tenant != "" {
			names[owner.Tenant] = "tenant"
		}
		if owner.Kind == "Shard" {
			names[owner.Name] = "shard"
		}
		if ref.Kind == planner.KindContainer {
			names[ref.Name] = "node"
		}
	}
	return names
}

// shardNames are the shards.
func shardNames(live planner.Live, _ []reconciler.Run) map[string]string {
	names := map[string]string{}
	for _, obj := range live.State {
		if owner := obj.Owner(); owner.Kind == "Shard" {
			names[owner.Name] = "shard"
		}
	}
	return names
}

// runNames are the runs.
func runNames(_ planner.Live, runs []reconciler.Run) map[string]string {
	names := map[string]string{}
	for _, r := range runs {
		names[fmt.Sprint(r.ID)] = fmt.Sprintf("%s, commit %.12s", r.State, r.Commit)
	}
	return names
}

func ownerName(o planner.Owner) string {
	if o.Tenant == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Name + " of " + o.Tenant
}

// completeField completes KIND.field, a part after the other.
func completeField(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	const goesOn = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	i := strings.LastIndex(begun, ".")
	if i < 0 {
		return kindNames(), goesOn
	}
	f, err := findField(begun[:i])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, name := range f.children() {
		child, _ := f.child(name)
		out = append(out, begun[:i+1]+name+"\t"+child.kind())
	}
	return out, goesOn
}
