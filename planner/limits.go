package planner

import (
	"strings"

	"hostctl/schema"
)

// Limits are what a tenant may use of a node; 0 means no limit. Tasks hold for all of its processes there, Memory for each
// of them. The others only are measured: without a control group of its own (cgroups(7)), and on a volume without quotas,
// a container can't hold one of its users to them.
type Limits struct {
	Memory   int64 `json:"memory,omitempty"`   // bytes
	NanoCPUs int64 `json:"nanoCpus,omitempty"` // 1e-9 cores
	Tasks    int64 `json:"tasks,omitempty"`    // processes and threads
	Disk     int64 `json:"disk,omitempty"`     // bytes, on the shard
	Inodes   int64 `json:"inodes,omitempty"`
}

func limitsOf(plan *schema.HostingPlan) Limits {
	if plan == nil {
		return Limits{}
	}
	r := plan.Resources
	return Limits{Memory: r.Memory, NanoCPUs: int64(r.CPU * 1e9), Tasks: r.Pids, Disk: r.Disk, Inodes: r.Inodes}
}

// noteUnenforced says which limits of a HostingPlan nodes can't hold a tenant to, where a tenant gets them anew.
func (x *expansion) noteUnenforced(u User, plan string) {
	var only []string
	for _, l := range []struct {
		name string
		set  bool
	}{{"cpu", u.Limits.NanoCPUs > 0}, {"disk", u.Limits.Disk > 0}, {"inodes", u.Limits.Inodes > 0}} {
		if l.set {
			only = append(only, l.name)
		}
	}
	if was, ok := x.live.was(u.Ref()).(User); len(only) == 0 || ok && was.Limits == u.Limits {
		return
	}
	x.notef("HostingPlan %s: nodes can't hold a tenant to resources.%s: what is used is measured, and 'hostctl status' tells who is over disk and inodes", plan, strings.Join(only, ", resources."))
}
