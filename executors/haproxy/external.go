package haproxy

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// ExternalOptions say where a load balancer is that hostctl hasn't made.
type ExternalOptions struct {
	Target   string // name of the target, for what is observed
	Instance string // id of the inventory
	Socket   string // of the running process, level admin
	Map      string // file that leads host names to backends, under the name that haproxy.cfg has for it
	Rules    string // file of what HAProxy answers by itself, in the same way; "": routes with such answers are refused
	CrtList  string // file of the list of certificates, in the same way; "": certificates are refused
	Adopt    bool   // a change of Change.Adopt may take over what is there

	Key  func(planner.Held) ([]byte, error) // as Options.Key
	Turn sync.Locker                        // of all executors of this process; nil: there is no other one

	Wait  time.Duration // as Options.Wait
	Drain time.Duration // as Options.Drain
	Up    time.Duration // as Options.Up
}

// External applies certificates, backends, servers and routes to an HAProxy that hostctl hasn't made: its haproxy.cfg stays as it is. A
// backend is one that haproxy.cfg declares. What is hostctl's stands in a section of the map's file, of the rules' and of the
// list's, beside the lines of others, which are never touched; so what isn't in such a section isn't ours. Certificates with
// their keys are in a folder beside the list.
//
// What is made is written to the files first, and what is removed leaves them last: a crash in between leaves nothing
// running that they don't know of.
type External struct {
	o       ExternalOptions
	process *Executor
	turn    sync.Locker // of file and process together
}

var (
	_ executors.Executor = (*External)(nil)
	_ executors.Observer = (*External)(nil)
	_ executors.Reader   = (*External)(nil)
	_ executors.Reporter = (*External)(nil)
)

// NewExternal returns the executor of a load balancer that hostctl hasn't made. It touches nothing.
func NewExternal(o ExternalOptions) *External {
	turn := o.Turn
	if turn == nil {
		turn = &sync.Mutex{}
	}
	return &External{o: o, turn: turn, process: New(Options{
		Target: o.Target, Instance: o.Instance, Socket: o.Socket, Certs: o.CrtList + ".hostctl", List: o.CrtList, Key: o.Key, Wait: o.Wait, Drain: o.Drain, Up: o.Up,
	})}
}

// Apply implements executors.Executor.
func (x *External) Apply(ctx context.Context, cs []planner.Change) []error {
	x.turn.Lock()
	defer x.turn.Unlock()
	errs := make([]error, len(cs))
	s, now, err := x.look(ctx)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	before := s.ours.clone()
	var good []int
	for _, i := range slices.Concat(order(cs)...) {
		if cs[i].New == nil && !s.has(cs[i].Ref()) {
			continue // it is gone, and what is there of that name isn't ours
		}
		if errs[i] = x.change(s, now, cs[i]); errs[i] == nil {
			good = append(good, i)
		}
	}
	if len(good) == 0 {
		return errs
	}
	problems, err := x.converge(ctx, s, before, now, refs(cs, good))
	for _, i := range good {
		errs[i] = cmp.Or(err, problems[cs[i].Ref()])
	}
	return errs
}

// change carries one change out in what is ours. An entry of others that is taken over leaves their lines.
func (x *External) change(s shared, now running, c planner.Change) error {
	if err := x.mayTake(s, now, c); err != nil {
		return err
	}
	if err := x.process.change(s.ours, c); err != nil {
		return err
	}
	if ref := c.Ref(); ref.Kind == planner.KindRoute && c.New != nil && len(s.theirs[ref.Name])+len(s.theirRules[ref.Name]) > 0 {
		s.taken[ref.Name] = true
	}
	return nil
}

// mayTake refuses a change that needs what haproxy.cfg doesn't have, or would touch what isn't ours.
func (x *External) mayTake(s shared, now running, c planner.Change) error {
	switch o := c.New.(type) {
	case planner.Backend:
		if _, there := now.balances[o.Name]; !there && checkBackend("backend", o.Name) == nil {
			return executors.Errorf(executors.Refused, "haproxy.cfg has no backend %s, and HAProxy takes none while it runs; put 'backend %s' there, below it 'balance hash req.hdr(host),host_only,lower,rtrim(.)' and 'hash-type consistent', and reload it", o.Name, o.Name)
		}
	case planner.Server:
		if _, there := now.servers[o.Name]; there && !s.has(o.Ref()) {
			return x.mayAdopt(c, "server "+o.Name)
		}
	case planner.Route:
		if err := x.mayAnswer(o, now); err != nil {
			return err
		}
		if !s.has(o.Ref()) && len(now.entries[o.Name])+len(s.theirs[o.Name])+len(now.rules[o.Name])+len(s.theirRules[o.Name]) > 0 {
			return x.mayAdopt(c, "entry "+o.Name+" of "+x.o.Map)
		}
	case planner.Cert:
		return x.mayCertify(o, s, now)
	}
	return nil
}

// mayAdopt refuses to take over what is there, unless the plan has shown it.
func (x *External) mayAdopt(c planner.Change, what string) error {
	switch {
	case x.o.Adopt && c.Adopt:
		return nil
	case x.o.Adopt:
		return executors.Errorf(executors.Conflict, "%s was there before, and this plan doesn't say what taking it over would change; plan again", what)
	}
	return executors.Errorf(executors.Conflict, "%s was there before and isn't ours; to take it over set adopt: true in infrastructure.haproxy.external of the Cluster: the plan shows what that changes", what)
}

// mayAnswer refuses a route that HAProxy is to answer by itself where it isn't set up for that.
func (x *External) mayAnswer(o planner.Route, now running) error {
	switch {
	case o.Redirect == "" && !o.ForceHTTPS && o.HSTS == nil:
		return nil
	case x.o.Rules == "":
		return executors.Errorf(executors.Refused, "route %s: what HAProxy answers by itself takes a map of rules; name it as rules in infrastructure.haproxy.external of the Cluster", o.Name)
	case now.rules == nil:
		return executors.Errorf(executors.Refused, "route %s: haproxy.cfg doesn't use the map %s; put the lines about rules of docs/external.md into its frontend, from 'http-request set-var(txn.route) var(txn.host),map(%s)' on, and reload it", o.Name, x.o.Rules, x.o.Rules)
	}
	return nil
}

// mayCertify refuses a certificate where HAProxy has no list for it, or where somebody else's is for that name.
func (x *External) mayCertify(o planner.Cert, s shared, now running) error {
	switch {
	case x.o.CrtList == "":
		return executors.Errorf(executors.Refused, "certificate %s: it takes a list of certificates; name it as crtList in infrastructure.haproxy.external of the Cluster", o.Name)
	case now.certs == nil:
		return executors.Errorf(executors.Refused, "certificate %s: haproxy.cfg doesn't use the list %s; put 'bind :443 ssl crt-list %s alpn h2,http/1.1 strict-sni' into its frontend, and reload it", o.Name, x.o.CrtList, x.o.CrtList)
	case !s.has(o.Ref()) && (s.theirCerts[o.Name] || now.theirCerts[o.Name]):
		return executors.Errorf(executors.Conflict, "certificate %s: %s has one for that name already, which isn't ours and would go before it; take the name out of its entry there", o.Name, x.o.CrtList)
	}
	return nil
}
