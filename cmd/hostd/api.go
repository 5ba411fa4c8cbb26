package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"hostctl/cmd/internal/wire"
	"hostctl/reconciler"
	"hostctl/reconciler/web"
	"hostctl/reconciler/web/api"
)

// apiConfig is what hostd is told of the read API, and of TLS of the listener that it is on.
type apiConfig struct {
	On   bool   `env:"HOSTD_API"`
	Cert string `env:"HOSTD_TLS_CERT"`
	Key  string `env:"HOSTD_TLS_KEY"`
}

func (c *apiConfig) flags(f *flag.FlagSet) {
	f.BoolVar(&c.On, "api", c.On, "serve the read API, /api/v1, at --listen (HOSTD_API)")
	f.StringVar(&c.Cert, "tls-cert", c.Cert, "`file` of the certificate that --listen answers with, and of its chain: PEM, read again when it changes (HOSTD_TLS_CERT)")
	f.StringVar(&c.Key, "tls-key", c.Key, "`file` of the certificate's key: PEM (HOSTD_TLS_KEY)")
}

// check refuses to show the platform to who listens on the way.
func (c apiConfig) check(listen string) error {
	switch {
	case (c.Cert == "") != (c.Key == ""):
		return errors.New("--tls-cert and --tls-key go together: name both, or none")
	case c.Cert != "" && listen == "":
		return errors.New("--tls-cert is for the listener of --listen: name its address")
	case !c.On || c.Cert != "":
		return nil
	case listen == "":
		return errors.New("--api is served at --listen: name its address")
	case !isLoopback(listen):
		return fmt.Errorf("--api without TLS answers on loopback only, and --listen is %s: name --tls-cert and --tls-key, or an address such as 127.0.0.1:9470", listen)
	}
	return nil
}

// isLoopback reports whether only this machine reaches an address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// secure puts TLS on a listener, where there is to be any.
func (c apiConfig) secure(l net.Listener, log *slog.Logger) (net.Listener, error) {
	if l == nil || c.Cert == "" {
		return l, nil
	}
	files := &certificate{cert: c.Cert, key: c.Key, log: log}
	if _, err := files.current(nil); err != nil {
		return nil, errors.Join(fmt.Errorf("read the certificate: %w; --tls-cert and --tls-key name its files", err), l.Close())
	}
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: files.current}), nil
}

// certificate is a certificate in two files, which others renew.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	have    *tls.Certificate
	stamps  [2]time.Time
	refused [2]time.Time // stamps of what was no certificate, which is told once
}

// current returns the certificate as the files have it now. Where they are none, for one is written after the other, it is
// the one of before.
func (c *certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamps, err := c.stampsNow()
	if err == nil && c.have != nil && stamps == c.stamps {
		return c.have, nil
	}
	var fresh tls.Certificate
	if err == nil {
		fresh, err = tls.LoadX509KeyPair(c.cert, c.key)
	}
	switch {
	case err == nil:
		c.have, c.stamps = &fresh, stamps
	case c.have == nil:
		return nil, err
	case stamps != c.refused:
		c.refused = stamps
		c.log.Error("the certificate can't be read again; the one of before still answers", "cert", c.cert, "key", c.key, "error", err)
	}
	return c.have, nil
}

func (c *certificate) stampsNow() (stamps [2]time.Time, err error) {
	for i, file := range []string{c.cert, c.key} {
		info, err := os.Stat(file)
		if err != nil {
			return stamps, err
		}
		stamps[i] = info.ModTime()
	}
	return stamps, nil
}

// standby serves what is public of a hostd that stands by.
func (c apiConfig) standby() http.Handler {
	if !c.On {
		return web.Standby()
	}
	mux := http.NewServeMux()
	mux.Handle("/", web.Standby())
	mux.Handle("/api/", api.Standby())
	return mux
}

// leading returns the API of the hostd that leads, until ctx is done; nil where there is to be none.
func (c apiConfig) leading(ctx context.Context, state string, loop *reconciler.Loop, platform *wire.Platform) *api.API {
	if !c.On {
		return nil
	}
	audit := api.OpenAudit(state)
	context.AfterFunc(ctx, func() { _ = audit.Close() }) // each line was written when Write returned
	return &api.API{Loop: loop, Store: platform.Store, Tokens: api.OpenTokens(state), Audit: audit, Log: platform.Log, Done: ctx.Done()}
}
