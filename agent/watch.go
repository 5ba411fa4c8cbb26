package agent

import (
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hostctl/agent/agentpb"
	"hostctl/executors"
)

// Watch keeps the standing orders and streams how the node stands: what was seen last at once, then each new look.
func (a *Agent) Watch(r *agentpb.WatchRequest, stream grpc.ServerStreamingServer[agentpb.Report]) error {
	if r.GetInstance() != a.Instance {
		return status.Errorf(codes.PermissionDenied, "node %s belongs to instance %s, not %q", a.Node, a.Instance, r.GetInstance())
	}
	if err := a.keepPolicy(r.GetFence(), r.GetPolicy()); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	for seen := int64(0); ; {
		report, n, next := a.reports.after(seen)
		if n > seen {
			if err := stream.Send(message(report)); err != nil {
				return err
			}
			seen = n
		}
		select {
		case <-next:
		case <-a.stopping:
			return status.Error(codes.Unavailable, "the agent ends")
		case <-stream.Context().Done():
			return nil
		}
	}
}

// keepPolicy keeps what becomes of drift, where the message says so.
func (a *Agent) keepPolicy(run int64, m *agentpb.DriftPolicy) error {
	p, err := policyOf(m)
	if err != nil || p == nil {
		return err
	}
	return a.Store.SetPolicy(run, *p)
}

// Stop ends the streams of those who watch; they watch again when another agent answers.
func (a *Agent) Stop() { a.stop() }

// reports holds the newest report for those who wait for it.
type reports struct {
	mu     sync.Mutex
	newest executors.Report
	n      int64 // of reports so far
	next   chan struct{}
}

func (r *reports) publish(report executors.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest = report
	r.n++
	if r.next != nil {
		close(r.next)
		r.next = nil
	}
}

// after returns the newest report and its number, and what is closed when there is one with a higher number than seen.
func (r *reports) after(seen int64) (executors.Report, int64, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = make(chan struct{})
	}
	return r.newest, max(seen, r.n), r.next
}

// message is a report as it travels.
func message(r executors.Report) *agentpb.Report {
	m := &agentpb.Report{At: r.At.UnixMilli()}
	for _, p := range r.Health {
		m.Health = append(m.Health, &agentpb.Part{Name: p.Name, Ok: p.OK, Message: p.Message})
	}
	for _, d := range r.Drift {
		m.Drift = append(m.Drift, &agentpb.Difference{Ref: d.Ref.String(), Gone: d.Gone, Healed: d.Healed, Why: d.Why})
	}
	for _, u := range r.Usage {
		m.Usage = append(m.Usage, &agentpb.Usage{
			Tenant: u.Tenant, Processes: int64(u.Processes), Memory: u.Memory, Cpu: u.CPU.Milliseconds(), Disk: u.Disk, Files: u.Files,
		})
	}
	return m
}
