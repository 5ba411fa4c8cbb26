package planner

// liveIndex answers questions about what is live, or may be: what a change that didn't finish was to make counts too.
type liveIndex struct {
	containers map[string][]Ref // node -> its containers
	occupied   map[string]bool  // nodes that something in a load balancer or in a container speaks of
	data       []Ref            // webroots, databases, Valkey instances, signed zones and data volumes
	dataHost   map[string]string
	unsettled  []Ref // dirty, and not in the live state: made halfway at most
}

func indexLive(live Live) liveIndex {
	x := liveIndex{containers: map[string][]Ref{}, occupied: map[string]bool{}, dataHost: map[string]string{}}
	for ref, o := range live.State {
		x.see(ref, o)
	}
	for ref, why := range live.Dirty {
		if live.State[ref] == nil && why.Pending != nil {
			x.unsettled = append(x.unsettled, ref)
			x.see(ref, why.Pending)
		}
	}
	sortRefs(x.unsettled)
	sortRefs(x.data)
	return x
}

func (x *liveIndex) see(ref Ref, o Object) {
	switch o := o.(type) {
	case Container:
		x.containers[o.Name] = append(x.containers[o.Name], ref)
	case Volume:
		if o.Data {
			x.data = append(x.data, ref)
			x.dataHost[o.Name] = o.Target
		}
	case Webroot, Database, Valkey:
		x.data = append(x.data, ref)
	case Zone:
		if o.Signed {
			x.data = append(x.data, ref)
		}
	case Server:
		x.occupied[o.Node] = true
	case Secret, User, Runtime, Vhost, Cron, Backend, Route:
		x.occupied[ref.Target] = true
	}
}

// was returns what is at a reference as far as one knows: what is live, else what a change that didn't finish was to make.
func (l Live) was(ref Ref) Object {
	if o, ok := l.State[ref]; ok {
		return o
	}
	return l.Dirty[ref].Pending
}
