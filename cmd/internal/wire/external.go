package wire

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

	"hostctl/executors"
	"hostctl/executors/checked"
	"hostctl/executors/powerdns"
	"hostctl/executors/retry"
	"hostctl/planner"
	"hostctl/reconciler"
)

// powerdns opens a PowerDNS that hostctl hasn't made. Its key is opened when it is asked for.
func (f *farSides) powerdns(t planner.Target, s reconciler.Session) (executors.Executor, error) {
	p := t.PowerDNS
	roots, err := authorities(p.CA)
	if err != nil {
		return nil, executors.Errorf(executors.Unreachable, "%s: %w", t.Name, err)
	}
	secrets := newRevealer(f.config, s.Blobs, f.keeper)
	const conns = 4
	far := powerdns.New(powerdns.Options{
		Target: t.Name, Instance: s.Instance, URL: p.URL, External: true, Zones: conns, HTTP: powerdns.NewHTTP(roots, conns),
		Key: func(ctx context.Context) (string, error) {
			key, err := secrets.Reveal(ctx, p.Secret())
			return string(key), err
		},
	})
	if s.Fence == 0 {
		return far, nil // wants to know at once
	}
	return retry.New(checked.New(far), patience), nil
}

// authorities reads a file of certificate authorities; none is the system's.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read its certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return roots, nil
}
