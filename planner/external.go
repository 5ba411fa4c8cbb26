package planner

import "hostctl/schema"

// PowerDNS is a PowerDNS that hostctl hasn't made. The key is never in a plan: only where the repository holds it
// encrypted.
type PowerDNS struct {
	URL    string     `json:"url"`
	CA     string     `json:"ca,omitempty"`
	Adopt  bool       `json:"adopt,omitempty"`
	Cipher string     `json:"cipher"` // of the key, as Secret.Cipher
	Key    Ciphertext `json:"key"`
}

// Secret returns the API's key, as executors.Secrets reveals it.
func (p PowerDNS) Secret() Secret { return Secret{Cipher: p.Cipher, Found: p.Key} }

// externalSuffix ends the name of the target of a PowerDNS that hostctl hasn't made. It is another one than that of managed
// name servers: what is in the ones isn't in the others.
const externalSuffix = "-powerdns"

// HAProxy is an HAProxy that hostctl hasn't made, on the machine that runs hostctl.
type HAProxy struct {
	Socket  string `json:"socket"`
	Map     string `json:"map"`               // file
	Rules   string `json:"rules,omitempty"`   // file
	CrtList string `json:"crtList,omitempty"` // file
	Adopt   bool   `json:"adopt,omitempty"`
}

// balancerSuffix ends the name of the target of an HAProxy that hostctl hasn't made.
const balancerSuffix = "-haproxy"

// externalBalancer returns the load balancers of a cluster that hostctl hasn't made, as nodes without a host: what is done on them
// is done by hostctl itself, and nothing of them is made, replaced or lost.
func externalBalancer(c *cluster, target string) *group {
	g := &group{name: target, role: schema.RoleLB, cluster: c}
	n := &node{name: target, group: g, owner: ownerOf(c.Meta)}
	g.nodes, g.serving, g.best = []*node{n}, []*node{n}, []*node{n}
	return g
}

// collectBalancers makes nodes of the load balancers that hostctl hasn't made, and of those that nobody declares any more
// and that have to be left.
func (x *expansion) collectBalancers() {
	for _, c := range x.clusters {
		if c.ExternalHAProxy != nil {
			c.lb = externalBalancer(c, c.Name+balancerSuffix)
			x.nodes[c.lb.name] = c.lb.nodes[0]
		}
	}
	for _, t := range x.live.Targets {
		if t.HAProxy != nil && x.nodes[t.Name] == nil {
			x.nodes[t.Name] = externalBalancer(&cluster{}, t.Name).nodes[0]
		}
	}
}

// balancerTarget is the target of a cluster's HAProxy that hostctl hasn't made.
func balancerTarget(c schema.Cluster) Target {
	e := c.ExternalHAProxy
	return Target{Name: c.Name + balancerSuffix, HAProxy: &HAProxy{Socket: e.Socket, Map: e.Map, Rules: e.Rules, CrtList: e.CrtList, Adopt: e.Adopt}}
}

// nameServers is where the zones of a cluster go.
type nameServers struct {
	target string
	ready  []Ref // what must be there before anything can be done
}

// nameServers returns where the zones of a cluster go; it is false where there are no name servers.
func (c *cluster) nameServers() (nameServers, bool) {
	switch {
	case c == nil:
		return nameServers{}, false
	case c.ExternalPowerDNS != nil:
		return nameServers{target: c.Name + externalSuffix}, true
	case len(c.dns.nodes) == 0:
		return nameServers{}, false
	case len(c.dns.best) == 0:
		return nameServers{target: c.dns.name}, true
	}
	return nameServers{c.dns.name, c.dns.best[0].ready}, true
}

// nameServersAt finds name servers by their target.
func (x *expansion) nameServersAt(target string) (nameServers, bool) {
	for _, c := range x.clusters {
		if s, ok := c.nameServers(); ok && s.target == target {
			return s, true
		}
	}
	return nameServers{}, false
}

// externalTarget is the target of a cluster's PowerDNS that hostctl hasn't made.
func externalTarget(c schema.Cluster) Target {
	e := c.ExternalPowerDNS
	p := PowerDNS{URL: e.URL, CA: e.CA, Adopt: e.Adopt}
	if ref := e.Key.Ref; ref != nil {
		p.Cipher, p.Key = ref.Cipher, Ciphertext{File: ref.Path, Blob: ref.Blob, Key: ref.Key}
	}
	return Target{Name: c.Name + externalSuffix, PowerDNS: &p}
}

// isExternal reports whether a target is a far side that hostctl hasn't made. Nobody knows beforehand whether it answers.
func (x *expansion) isExternal(target string) bool {
	for _, c := range x.m.Clusters {
		if c.ExternalPowerDNS != nil && c.Name+externalSuffix == target {
			return true
		}
	}
	for _, t := range x.live.Targets {
		if t.Name == target {
			return t.PowerDNS != nil
		}
	}
	return false
}

// adopts makes a step that would create an object one that takes over what is there of it.
func (d *draft) adopts(s *step) {
	there, ok := d.live.There[s.ref]
	if !ok || s.old != nil {
		return
	}
	old, err := Owned(there, s.new)
	if err != nil {
		return // it is no object of ours, and not to be taken over
	}
	s.action, s.old, s.adopt, s.why = Update, old, true, "adopted"
	if equal(old, s.new) {
		s.why = "adopted as it is"
	}
}
