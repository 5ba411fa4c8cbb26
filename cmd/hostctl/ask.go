package main

import (
	"context"
	"path/filepath"

	"hostctl/cmd/internal/wire"
	"hostctl/reconciler"
	"hostctl/reconciler/web"
)

// asked has a hostd that runs on the same state folder plan: it knows already what this process would have to read, and
// comes to the same, byte for byte. It is false where there is none, where that would come to something else, and where it
// gives no answer: then the caller plans by itself.
func (o *options) asked(ctx context.Context, q reconciler.Ask) (reconciler.Answer, bool) {
	if o.state == "" || q.Commit == "" {
		return reconciler.Answer{}, false
	}
	hostd, err := web.Dial(ctx, filepath.Join(o.state, web.SocketName))
	if err != nil {
		return reconciler.Answer{}, false
	}
	if q.AgentBinary, err = wire.AgentBinary(wire.Config{Agent: o.agent}); err != nil {
		return reconciler.Answer{}, false
	}
	q.AllowDestroy = o.destroy
	a, err := hostd.Ask(ctx, q)
	if err != nil || !o.isOurs(ctx, a.Instance) {
		return reconciler.Answer{}, false
	}
	return a, true
}

// isOurs reports whether an inventory is the one that this process would plan against. Without a database that was named
// it is the one of whoever runs on the state folder.
func (o *options) isOurs(ctx context.Context, instance string) bool {
	if o.database == "" {
		return true
	}
	store, err := o.inventory(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = store.Close() }() // only read
	ours, err := store.Instance(ctx)
	return err == nil && ours == instance
}
