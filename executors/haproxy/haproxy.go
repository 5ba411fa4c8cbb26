package haproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// Options say where a load balancer is. The zero value is right inside a node of role lb, but for Target and Instance.
type Options struct {
	Target   string // name of the node, for what is observed
	Instance string // id of the inventory this load balancer belongs to

	Socket string   // of the running process; default /run/haproxy/admin.sock
	Master string   // socket of the master process; default /run/haproxy/master.sock
	Config string   // default /etc/haproxy/haproxy.cfg
	Maps   string   // folder of maps; default /etc/haproxy/maps
	Certs  string   // folder of certificates; default /etc/haproxy/certs
	List   string   // file of the list of certificates; default list in the folder
	Bind   string   // what to listen on; default :80
	TLS    string   // what to listen on with TLS; default :443
	Check  []string // argv that checks the configuration whose name is appended; default haproxy -c -f, for -q would hide the reason

	// Reload makes the running process one with the present configuration. It returns when the new process has started.
	// Default: `reload` on the master's socket (management guide 9.4).
	Reload func(context.Context) error

	// Key returns the PEM of a certificate's private key. Nil: there are none but those of certificates that are made here.
	Key func(planner.Held) ([]byte, error)

	// Wait bounds one command, and how long requests may take to end on a server that is removed. Default 5 s.
	Wait time.Duration

	// Drain is how long requests may take to end on a server that is drained. Default 20 s.
	Drain time.Duration

	// Up is how long a server that was out of rotation may take, once it is ready, until its checks say that it is up: the
	// next one may be taken out only then. 0 doesn't wait.
	Up time.Duration
}

func (o Options) withDefaults() Options {
	o.Socket = cmp.Or(o.Socket, "/run/haproxy/admin.sock")
	o.Master = cmp.Or(o.Master, "/run/haproxy/master.sock")
	o.Config = cmp.Or(o.Config, "/etc/haproxy/haproxy.cfg")
	o.Maps = cmp.Or(o.Maps, "/etc/haproxy/maps")
	o.Certs = cmp.Or(o.Certs, "/etc/haproxy/certs")
	o.Bind = cmp.Or(o.Bind, ":80")
	o.TLS = cmp.Or(o.TLS, ":443")
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	o.Drain = cmp.Or(o.Drain, 20*time.Second)
	if o.Check == nil {
		o.Check = []string{"haproxy", "-c", "-f"}
	}
	return o
}

// Executor applies certificates, backends, servers and routes to the HAProxy beside it. It is the only one that writes its files.
type Executor struct {
	o      Options
	socket socket
	master socket
	lock   sync.Mutex // of files and process together
}

var (
	_ executors.Executor = (*Executor)(nil)
	_ executors.Observer = (*Executor)(nil)
	_ executors.Reader   = (*Executor)(nil)
)

// New returns the executor of a load balancer. It touches nothing.
func New(o Options) *Executor {
	o = o.withDefaults()
	e := &Executor{
		o:      o,
		socket: socket{o.Socket, o.Wait},
		master: socket{o.Master, reloadWait},
	}
	if e.o.Reload == nil {
		e.o.Reload = e.reloadByMaster
	}
	return e
}

// Apply implements executors.Executor. A change that can't be right is refused by itself; a configuration that HAProxy
// refuses is refused for the batch. Where HAProxy doesn't answer, the files are right already.
func (e *Executor) Apply(ctx context.Context, cs []planner.Change) []error {
	e.lock.Lock()
	defer e.lock.Unlock()
	errs := make([]error, len(cs))
	for _, step := range order(cs) {
		e.step(ctx, cs, step, errs)
	}
	return errs
}

// step applies the changes at the places of a step.
func (e *Executor) step(ctx context.Context, cs []planner.Change, places []int, errs []error) {
	fail := func(err error) {
		for _, i := range places {
			errs[i] = cmp.Or(errs[i], err)
		}
	}
	if len(places) == 0 {
		return
	}
	if ctx.Err() != nil {
		fail(executors.Errorf(executors.Canceled, "%w", ctx.Err()))
		return
	}
	m, err := e.load()
	if err == nil {
		m, err = e.claim(ctx, m)
	}
	if err != nil {
		fail(fmt.Errorf("haproxy: %w", err))
		return
	}
	var good []int
	for _, i := range places {
		if errs[i] = e.change(m, cs[i]); errs[i] == nil {
			good = append(good, i)
		}
	}
	if len(good) == 0 {
		return
	}
	if err := e.save(ctx, m); err != nil {
		fail(batchError(err))
		return
	}
	problems, err := e.converge(ctx, m, refs(cs, good))
	if err != nil {
		fail(err)
		return
	}
	for _, i := range good {
		errs[i] = problems[cs[i].Ref()]
	}
}

// batchError marks a refusal as one of the whole batch.
func batchError(err error) error {
	if executors.KindOf(err) == executors.Refused {
		return executors.RefuseBatch(1, err)[0]
	}
	return fmt.Errorf("haproxy: %w", err)
}

func refs(cs []planner.Change, places []int) []planner.Ref {
	var out []planner.Ref
	for _, i := range places {
		out = append(out, cs[i].Ref())
	}
	return out
}

// claim makes sure that this load balancer is ours. Where the file has lost the mark and the running process has it, what
// the process has is the truth: a map must not become empty since its file did.
func (e *Executor) claim(ctx context.Context, m model) (model, error) {
	if e.o.Instance == "" {
		return m, nil
	}
	if !isWord(e.o.Instance) {
		return m, executors.Errorf(executors.Refused, "instance %s isn't a word", quote(e.o.Instance))
	}
	if m.routes[instanceKey] == "" {
		if running, err := e.runningMap(ctx); err == nil {
			if t, _ := tableOf(running); t[instanceKey] != "" {
				m.routes = t
			}
		}
	}
	if owner := m.routes[instanceKey]; owner != "" && owner != e.o.Instance {
		return m, executors.Errorf(executors.Conflict, "this load balancer belongs to the inventory %s, not to %s", owner, e.o.Instance)
	}
	m.routes[instanceKey] = e.o.Instance
	return m, nil
}

// converge makes the running process what the files say, and looks. problems are those of single changes.
func (e *Executor) converge(ctx context.Context, m model, touched []planner.Ref) (problems map[planner.Ref]error, err error) {
	if err := e.ensureGeneration(ctx, e.o.generation(m)); err != nil {
		return nil, err
	}
	problems = map[planner.Ref]error{}
	if err := e.convergeCerts(ctx, m, touched, problems); err != nil {
		return nil, err
	}
	if err := e.convergeServers(ctx, m, touched, problems); err != nil {
		return nil, err
	}
	if err := e.convergeRoutes(ctx, m, touched, problems); err != nil {
		return nil, err
	}
	return problems, nil
}

// reloadWait bounds a reload, and the time until the new process has the socket.
const reloadWait = 30 * time.Second

// ensureGeneration reloads where the process runs another set of backends than the file has.
func (e *Executor) ensureGeneration(ctx context.Context, want string) error {
	if got, err := e.runningGeneration(ctx); err != nil || got == want {
		return err
	}
	if err := e.o.Reload(ctx); err != nil {
		return fmt.Errorf("haproxy: reload: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, reloadWait)
	defer cancel()
	for {
		got, err := e.runningGeneration(ctx)
		if got == want {
			return nil
		}
		if end := pause(ctx); end != nil {
			return executors.Errorf(executors.Busy, "haproxy: reload: the process still runs %q, not %q: %w", got, want, cmp.Or(err, end))
		}
	}
}

func (e *Executor) runningGeneration(ctx context.Context) (string, error) {
	reply, err := e.socket.ask(ctx, "show", "info")
	if err != nil {
		return "", err
	}
	info, err := parseInfo(reply)
	if err != nil {
		return "", unexpected("show info", reply)
	}
	return info["description"], nil
}

// reloadByMaster asks the master process, which answers once the new process runs, or why it doesn't. Right after a start
// there is a moment in which the process answers already and its master not yet.
func (e *Executor) reloadByMaster(ctx context.Context) error {
	var reply string
	deadline := time.Now().Add(e.o.Wait)
	for {
		var err error
		if reply, err = e.master.ask(ctx, "reload"); err == nil {
			break
		}
		if executors.KindOf(err) != executors.Unreachable || time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	if first, _, _ := strings.Cut(reply, "\n"); first != "Success=1" {
		return errors.New(tail(reply))
	}
	return nil
}

// pause waits a little between two looks.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Millisecond):
		return nil
	}
}
