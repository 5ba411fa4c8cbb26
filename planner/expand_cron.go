package planner

import (
	"crypto/sha256"
	"strings"

	"hostctl/schema"
)

// Cron is a job of a site, on the one node of its shard that runs it. Name: "<tenant>.<webroot>/<job>".
type Cron struct {
	Meta
	Tenant      string             `json:"tenant"`
	Site        string             `json:"site"`
	Job         string             `json:"job"` // the CronJob resource's name
	Login       string             `json:"login"`
	Type        schema.RuntimeType `json:"type"` // of the site
	Version     string             `json:"version,omitempty"`
	Env         map[string]string  `json:"env,omitempty"`         // the site's
	Secrets     map[string]Held    `json:"secrets,omitempty"`     // the site's variables that are secrets of the same node
	MemoryLimit int64              `json:"memoryLimit,omitempty"` // bytes, of each process
	TaskLimit   int64              `json:"taskLimit,omitempty"`   // processes and threads of all that the tenant's user runs
	Schedule    string             `json:"schedule"`
	Timezone    string             `json:"timezone"`
	Argv        []string           `json:"argv"`
	Timeout     int                `json:"timeout"` // seconds
	Concurrency schema.Concurrency `json:"concurrency"`
}

// Ref implements Object.
func (o Cron) Ref() Ref { return o.ref(KindCron) }

// expandCronJobs makes jobs, each on one node of its site's shard.
func (x *expansion) expandCronJobs() {
	if len(x.m.CronJobs) == 0 {
		return
	}
	sites := make(map[[2]string]*site, len(x.sites))
	for i := range x.sites {
		if w := x.sites[i].webroot; w != nil {
			sites[[2]string{w.Tenant, w.Name}] = &x.sites[i]
		}
	}
	for i := range x.m.CronJobs {
		j := &x.m.CronJobs[i]
		s := sites[[2]string{j.Tenant, j.Webroot}]
		if s == nil || len(s.shard.nodes) == 0 || x.isSuspended(j.Tenant) {
			continue // nowhere to run, which was said, or not to run
		}
		x.add(x.cronJob(j, s))
	}
}

func (x *expansion) cronJob(j *schema.CronJob, s *site) Cron {
	name := s.name + "/" + j.Name
	n, w := x.cronNode(s.shard, name), s.webroot
	o := Cron{
		Meta:   Meta{Target: n.name, Name: name, From: ownerOf(j.Meta)},
		Tenant: j.Tenant, Site: strings.TrimPrefix(s.name, j.Tenant+"."), Job: j.Name, Login: login(j.Tenant),
		Type: w.Runtime.Type, Version: w.Runtime.Version,
		Schedule: j.Schedule, Timezone: j.Timezone, Argv: j.Argv, Timeout: j.Timeout, Concurrency: j.Concurrency,
	}
	if u, ok := x.desired[Ref{KindUser, n.name, j.Tenant}].(User); ok {
		o.MemoryLimit, o.TaskLimit = u.Limits.Memory, u.Limits.Tasks
	}
	o.On = []Ref{{KindUser, n.name, j.Tenant}, {KindWebroot, s.shard.name, s.name}}
	if r, ok := x.desired[Ref{KindRuntime, n.name, runtimeName(s.name, w.Runtime)}].(Runtime); ok {
		o.Env, o.Secrets, o.On = r.Env, r.Secrets, r.On
	}
	return o
}

// cronNode returns the node that runs a job: the one that has it, as long as that serves, else one of those that do. The
// jobs of a shard spread over its nodes by their names.
func (x *expansion) cronNode(g *group, name string) *node {
	for _, n := range g.nodes {
		has := x.live.was(Ref{KindCron, n.name, name}) != nil
		if has && (n.class == steady || n.class == rolled) {
			return n
		}
	}
	sum := sha256.Sum256([]byte(name))
	return g.serving[(int(sum[0])<<8|int(sum[1]))%len(g.serving)]
}
