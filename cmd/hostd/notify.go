package main

import (
	"context"
	"net/http"
	"path/filepath"

	"hostctl/cmd/internal/wire"
	"hostctl/reconciler"
	"hostctl/reconciler/notify"
	"hostctl/reconciler/outbox"
	"hostctl/reconciler/web"
	"hostctl/schema"
)

// news is what the loop of a platform has to tell.
type news struct{ *reconciler.Loop }

// Audience implements notify.Source.
func (n news) Audience(ctx context.Context, commit string) (reconciler.Audience, error) {
	return n.Reconciler.Audience(ctx, commit)
}

// openOutbox opens what is to be told to others. Only the leader writes and sends.
func openOutbox(c config, t *term, platform *wire.Platform) (*outbox.Box, error) {
	box, err := outbox.Open(filepath.Join(c.State, "outbox"), platform.Log)
	if err != nil {
		return nil, err
	}
	box.Check = t.check
	return box, nil
}

// newTeller returns what tells people what happens.
func newTeller(c config, box *outbox.Box, loop *reconciler.Loop, platform *wire.Platform) *notify.Teller {
	keys := wire.Config{State: c.State, AgeKey: c.AgeKey}
	return &notify.Teller{
		Source: news{loop}, Box: box, File: filepath.Join(c.State, "notified.json"), Log: platform.Log,
		Reveal: func(ctx context.Context, commit string, ref schema.SecretRef) (string, error) {
			return keys.Reveal(ctx, platform.Source, commit, ref)
		},
	}
}

// local is what those may ask who can open the socket.
func local(loop *reconciler.Loop, teller *notify.Teller) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", web.Local(loop))
	mux.Handle("/local/v1/notify/", web.NotifyTest(teller.Test))
	return mux
}
