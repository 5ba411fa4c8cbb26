package remote

import (
	"context"
	"fmt"
	"time"

	"hostctl/agent/agentpb"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// Watch implements executors.Reporter.
func (a *Agent) Watch(ctx context.Context, o executors.Orders, tell func(executors.Report)) error {
	stream, err := a.client.Watch(ctx, &agentpb.WatchRequest{Instance: a.Instance, Fence: o.Run, Policy: policy(&o.Policy)})
	if err != nil {
		return a.failed(ctx, err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return a.failed(ctx, err)
		}
		r, err := report(m)
		if err != nil {
			return fmt.Errorf("node %s: %w", a.Node, err)
		}
		tell(r)
	}
}

// policy is a drift policy as it travels.
func policy(p *schema.DriftPolicy) *agentpb.DriftPolicy {
	if p == nil {
		return nil
	}
	m := &agentpb.DriftPolicy{Default: string(p.Default), Kinds: make(map[string]string, len(p.Kinds))}
	for kind, mode := range p.Kinds {
		m.Kinds[kind] = string(mode)
	}
	return m
}

func report(m *agentpb.Report) (executors.Report, error) {
	r := executors.Report{At: time.UnixMilli(m.GetAt()).UTC()}
	for _, p := range m.GetHealth() {
		r.Health = append(r.Health, executors.Part{Name: p.GetName(), OK: p.GetOk(), Message: p.GetMessage()})
	}
	for _, d := range m.GetDrift() {
		ref, err := planner.ParseRef(d.GetRef())
		if err != nil {
			return r, err
		}
		r.Drift = append(r.Drift, executors.NodeDrift{Ref: ref, Gone: d.GetGone(), Healed: d.GetHealed(), Why: d.GetWhy()})
	}
	for _, u := range m.GetUsage() {
		r.Usage = append(r.Usage, executors.Usage{
			Tenant: u.GetTenant(), Processes: int(u.GetProcesses()), Memory: u.GetMemory(),
			CPU: time.Duration(u.GetCpu()) * time.Millisecond, Disk: u.GetDisk(), Files: u.GetFiles(),
		})
	}
	return r, nil
}
