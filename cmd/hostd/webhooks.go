package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"

	"hostctl/reconciler"
	"hostctl/reconciler/forge"
	"hostctl/reconciler/web"
	"hostctl/reconciler/web/api"
)

// webhooks is what hostd can be told of webhooks.
type webhooks struct {
	Secret string `env:"HOSTD_WEBHOOK_SECRET"`
}

func (c *webhooks) flags(f *flag.FlagSet) {
	f.StringVar(&c.Secret, "webhook-secret", c.Secret,
		"`file` of the secret that webhooks are signed with, a line; a second one while it becomes another. Without it none are taken (HOSTD_WEBHOOK_SECRET)")
}

const minWebhookSecret = 16 // bytes

// secrets reads the secrets that webhooks may be signed with, as they are now.
func (c webhooks) secrets() ([][]byte, error) {
	data, err := readPrivate(c.Secret, "the webhook secret")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no webhook secret: write 32 random characters to %s, and to the forge's webhook", c.Secret)
	case err != nil:
		return nil, err
	}
	secrets := bytes.Split(bytes.TrimRight(data, "\r\n"), []byte("\n"))
	if len(secrets) > 2 {
		return nil, fmt.Errorf("%s has %d lines; want the webhook secret, and the one before it while forges still use that", c.Secret, len(secrets))
	}
	for i, s := range secrets {
		secrets[i] = bytes.TrimRight(s, "\r")
		if len(secrets[i]) < minWebhookSecret {
			return nil, fmt.Errorf("%s:%d: a webhook secret of %d bytes; want at least %d", c.Secret, i+1, len(secrets[i]), minWebhookSecret)
		}
	}
	return secrets, nil
}

// handler takes webhooks and tells what they hint at; nil where there is no secret.
func (c webhooks) handler(tell func(forge.Hint), log *slog.Logger) (*web.HookHandler, error) {
	if c.Secret == "" {
		return nil, nil
	}
	if _, err := c.secrets(); err != nil {
		return nil, err
	}
	forges := map[string]web.Hook{}
	for _, kind := range forge.Kinds {
		forges[string(kind)] = func(header http.Header, body []byte) (web.News, error) { return c.read(kind, header, body, tell) }
	}
	return web.Hooks(web.HookConfig{Forges: forges, Log: log}), nil
}

// read reads a webhook that is signed with one of the secrets that are in the file now.
func (c webhooks) read(kind forge.Kind, header http.Header, body []byte, tell func(forge.Hint)) (web.News, error) {
	secrets, err := c.secrets()
	if err != nil {
		return web.News{}, err
	}
	err = forge.ErrSignature
	for _, secret := range secrets {
		var hint forge.Hint
		if hint, err = forge.ParseHook(kind, header, body, secret); err == nil {
			return web.News{Delivery: hint.Delivery, Tell: func() { tell(hint) }}, nil
		}
		if !errors.Is(err, forge.ErrSignature) {
			break
		}
	}
	switch {
	case errors.Is(err, forge.ErrSignature):
		return web.News{}, web.ErrUnsigned
	case errors.Is(err, forge.ErrNoNews):
		return web.News{}, web.ErrNoNews
	}
	return web.News{}, err
}

// public is what answers on the public listener; hooks and reads are nil where there are none.
func public(loop *reconciler.Loop, hooks *web.HookHandler, reads *api.API) http.Handler {
	var parts []web.Part
	if hooks != nil {
		parts = append(parts, web.Part{Path: "/hooks/", Handler: hooks, Metrics: hooks})
	}
	if reads != nil {
		parts = append(parts, web.Part{Path: "/api/", Handler: reads, Metrics: reads.Metrics()})
	}
	return web.Public(loop, parts...)
}

// hinted looks where a webhook has hinted. A repository elsewhere is asked at once; of one that is here the loop looks. A
// branch that moves matters to all pull requests.
func hinted(loop *reconciler.Loop, previews *forge.Previews) func(forge.Hint) {
	look := loop.Wake
	if remote, ok := loop.Reconciler.Source.(interface{ Hint() }); ok {
		look = remote.Hint
	}
	return func(h forge.Hint) {
		look()
		if previews != nil && (h.Pull > 0 || h.Branch == previews.Branch) {
			previews.Look(h.Pull)
		}
	}
}
