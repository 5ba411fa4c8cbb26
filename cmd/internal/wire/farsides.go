package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hostctl/agent/identity"
	"hostctl/executors"
	"hostctl/executors/checked"
	"hostctl/executors/docker"
	"hostctl/executors/remote"
	"hostctl/executors/retry"
	"hostctl/planner"
	"hostctl/reconciler"
)

// farSides opens Docker engines and node agents.
type farSides struct {
	ca         *identity.CA
	controller tls.Certificate
	instance   string
	agent      agentProgram
	config     Config
	keeper     reconciler.SecretKeeper
	turns      sync.Map // of each HAProxy that hostctl hasn't made, by its socket: *sync.Mutex
}

func newFarSides(ctx context.Context, c Config, inventory reconciler.Inventory, agent agentProgram) (*farSides, error) {
	instance, err := inventory.Instance(ctx)
	if err != nil {
		return nil, err
	}
	ca, err := identity.Open(filepath.Join(c.State, "ca"))
	if err != nil {
		return nil, err
	}
	controller, err := ca.Controller(instance)
	if err != nil {
		return nil, err
	}
	keeper, _ := inventory.(reconciler.SecretKeeper)
	return &farSides{ca: ca, controller: controller, instance: instance, agent: agent, config: c, keeper: keeper}, nil
}

// connect implements reconciler.Connect.
func (f *farSides) connect(t planner.Target, s reconciler.Session) (executors.Executor, error) {
	switch {
	case t.Docker != nil:
		engine, err := f.engine(t, s.Instance)
		if err != nil || s.Fence == 0 {
			return engine, err
		}
		return checked.New(engine), nil
	case t.Lost:
		return executors.Each(forget), nil
	case t.Address != "":
		return f.node(t, s)
	}
	if t.PowerDNS != nil {
		return f.powerdns(t, s)
	}
	if t.HAProxy != nil {
		return f.haproxy(t, s)
	}
	return nil, fmt.Errorf("target %s is neither an engine nor a node", t.Name)
}

// forget is all that can be done on a host that is no more.
func forget(_ context.Context, c planner.Change) error {
	if c.Action != planner.Delete {
		return executors.Errorf(executors.Refused, "%s: its host is declared to be lost; nothing is made there", c.Ref())
	}
	return nil
}

func (f *farSides) engine(t planner.Target, instance string) (*docker.Executor, error) {
	engine, err := docker.Dial(*t.Docker)
	if err != nil {
		return nil, err
	}
	return docker.New(engine, docker.Options{
		Target: t.Name, Instance: instance, Files: f.nodeFiles, AgentBinary: f.openAgent,
	}), nil
}

// nodeFiles makes a node's identity: what is copied into its container before it starts.
func (f *farSides) nodeFiles(c planner.Container) (map[string]docker.File, error) {
	ips := []net.IP{net.ParseIP(c.Address)}
	for _, p := range c.Ports {
		if ip := net.ParseIP(p.Address); ip != nil && p.Container == planner.AgentPort {
			ips = append(ips, ip)
		}
	}
	cert, key, err := f.ca.Node(c.Name, string(c.Role), f.instance, ips)
	if err != nil {
		return nil, fmt.Errorf("issue the certificate of node %s: %w", c.Name, err)
	}
	return map[string]docker.File{
		"/etc/hostctl/tls/ca.crt":   {Content: f.ca.PEM(), Mode: 0o444},
		"/etc/hostctl/tls/node.crt": {Content: cert, Mode: 0o444},
		"/etc/hostctl/tls/node.key": {Content: key, Mode: 0o400},
	}, nil
}

func (f *farSides) openAgent(sha256 string) (io.ReadCloser, int64, error) {
	if sha256 != f.agent.sha256 {
		return nil, 0, fmt.Errorf("the plan wants node-agent %.12s and this is %.12s: plan again", sha256, f.agent.sha256)
	}
	file, err := os.Open(f.agent.path)
	return file, f.agent.size, err
}

// patience is how often a node is tried that doesn't answer at once: its agent may be restarting, and a node that is
// really gone must not hold up the others.
var patience = retry.Options{Unreachable: 1, First: 200 * time.Millisecond}

func (f *farSides) node(t planner.Target, s reconciler.Session) (executors.Executor, error) {
	secure, err := f.ca.ClientTLS(f.controller, s.Instance, t.Name)
	if err != nil {
		return nil, err
	}
	far, err := remote.Dial(remote.Options{
		Address: t.Address, Node: t.Name, TLS: secure, Instance: s.Instance, Fence: s.Fence, Blobs: s.Blobs, Policy: s.Drift,
		Secrets: newRevealer(f.config, s.Blobs, f.keeper),
	})
	if err != nil {
		return nil, err
	}
	if s.Fence == 0 {
		return looker{far}, nil // wants to know at once
	}
	return retry.New(far, patience), nil
}

// looker asks an agent whether it is there.
type looker struct{ *remote.Agent }

// Ping implements reconciler.Pinger.
func (l looker) Ping(ctx context.Context) error {
	_, err := l.Hello(ctx)
	return err
}

// Fence implements reconciler.Fencer.
func (l looker) Fence(ctx context.Context) (int64, error) {
	hello, err := l.Hello(ctx)
	if err != nil {
		return 0, err
	}
	return hello.GetFence(), nil
}

// Kinds implements reconciler.Kinder.
func (l looker) Kinds(ctx context.Context) ([]planner.Kind, error) {
	hello, err := l.Hello(ctx)
	if err != nil {
		return nil, err
	}
	var kinds []planner.Kind
	for _, k := range hello.GetKinds() {
		kinds = append(kinds, planner.Kind(k))
	}
	return kinds, nil
}

// WatchEngines calls notify soon after something has happened to a container of ours on one of the engines, until ctx is
// done. The engines are asked for anew now and then, for plans change them.
func (p *Platform) WatchEngines(ctx context.Context, targets func() []planner.Target, notify func()) error {
	watched := map[string]context.CancelFunc{}
	for {
		for _, t := range targets() {
			if t.Docker == nil || watched[t.Docker.Endpoint] != nil {
				continue
			}
			one, cancel := context.WithCancel(ctx)
			watched[t.Docker.Endpoint] = cancel
			go p.watchEngine(one, t, notify)
		}
		select {
		case <-ctx.Done():
			for _, cancel := range watched {
				cancel()
			}
			return nil
		case <-time.After(time.Second):
		}
	}
}

// watchEngine follows one engine's events, again and again: an engine may be restarted.
func (p *Platform) watchEngine(ctx context.Context, t planner.Target, notify func()) {
	for ctx.Err() == nil {
		err := p.followEngine(ctx, t, notify)
		if err != nil && !errors.Is(err, context.Canceled) {
			p.Log.Warn("engine's events are not to be had", "host", t.Name, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second):
			notify() // what happened meanwhile wasn't told
		}
	}
}

func (p *Platform) followEngine(ctx context.Context, t planner.Target, notify func()) error {
	instance, err := p.Inventory.Instance(ctx)
	if err != nil {
		return err
	}
	engine, err := docker.Dial(*t.Docker)
	if err != nil {
		return err
	}
	far := docker.New(engine, docker.Options{Target: t.Name, Instance: instance})
	defer func() { _ = far.Close() }()
	return far.Watch(ctx, notify)
}
