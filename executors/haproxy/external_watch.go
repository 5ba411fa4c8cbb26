package haproxy

import (
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// watchEvery is how soon it is noticed that HAProxy was started anew.
const watchEvery = 250 * time.Millisecond

// life tells one run of the process from the next: the number alone doesn't, for in a container it is always the same, and its
// start is known to the second only. A process that starts makes its socket anew.
type life struct {
	pid, started string
	socket       time.Time // of the socket's file
}

// Watch implements executors.Reporter. HAProxy forgets servers that were added while it ran when its owner reloads it or starts
// it anew, which he does when he likes. They are put back as soon as that is noticed, from what the file has, where drift is to
// be corrected; else they are told of. A HAProxy that doesn't answer is told of too.
func (x *External) Watch(ctx context.Context, o executors.Orders, tell func(executors.Report)) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var last life
	told := ""
	for first := true; ; first = false {
		now, err := x.life(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r := executors.Report{At: time.Now().UTC()}
		if err == nil && now != last {
			if r.Drift, err = x.restore(ctx, o.Policy); err == nil {
				last = now
			}
		}
		why := ""
		if err != nil {
			why = err.Error()
		}
		r.Health = []executors.Part{{Name: "service/haproxy", OK: why == "", Message: why}}
		if first || why != told || len(r.Drift) > 0 {
			tell(r)
		}
		told = why
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// life asks the process which one it is (management guide 9.3, "show info").
func (x *External) life(ctx context.Context) (life, error) {
	reply, err := x.process.socket.ask(ctx, "show", "info")
	if err != nil {
		return life{}, err
	}
	info, err := parseInfo(reply)
	if err != nil || info["Pid"] == "" {
		return life{}, unexpected("show info", reply)
	}
	file, err := os.Stat(x.process.socket.path)
	if err != nil {
		return life{}, executors.Errorf(executors.Unreachable, "haproxy: %w", err)
	}
	return life{info["Pid"], info["Start_time_sec"], file.ModTime()}, nil
}

// restore puts back what the file has of ours and the process hasn't, as far as drift of its kind is corrected, and returns it.
func (x *External) restore(ctx context.Context, p schema.DriftPolicy) ([]executors.NodeDrift, error) {
	x.turn.Lock()
	defer x.turn.Unlock()
	s, now, err := x.look(ctx)
	if err != nil {
		return nil, err
	}
	var drift []executors.NodeDrift
	lost := func(ref planner.Ref, put func() error) {
		d := executors.NodeDrift{Ref: ref, Gone: true}
		switch p.Of(string(ref.Kind)) {
		case schema.DriftOff:
			return
		case schema.DriftReport:
			d.Why = "HAProxy was started anew, and drift is only reported"
		default:
			if err := put(); err != nil {
				d.Why = err.Error()
			}
			d.Healed = d.Why == ""
		}
		drift = append(drift, d)
	}
	for _, host := range slices.Sorted(maps.Keys(s.ours.certs)) {
		if _, there := now.certs[host]; !there && now.certs != nil {
			lost(planner.Ref{Kind: planner.KindCert, Target: x.o.Target, Name: host}, func() error { return x.process.putCert(ctx, host, now.certs, false) })
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.ours.servers)) {
		if _, there := now.servers[name]; !there {
			lost(planner.Ref{Kind: planner.KindServer, Target: x.o.Target, Name: name}, func() error {
				return x.process.putServer(ctx, name, server{}, false, s.ours.servers[name])
			})
		}
	}
	for _, host := range slices.Sorted(maps.Keys(s.ours.routes)) {
		if now.lacks(host, s.ours.routes[host]) {
			lost(x.process.route(host), func() error { return x.putRoute(ctx, host, now, s.ours.routes[host]) })
		}
	}
	return drift, ctx.Err()
}
