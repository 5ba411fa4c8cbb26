package planner

import "slices"

// noteSigning says what has to be done at the registrar where a plan signs a zone, or no longer does.
func (x *expansion) noteSigning(o Zone) {
	was, _ := x.live.State[o.Ref()].(Zone)
	switch {
	case o.Signed && !was.Signed:
		x.notef("zone %s gets signed: its DS records are known once this is applied; give what 'hostctl ds %s' shows to the registrar then", o.Name, o.Name)
	case !o.Signed && was.Signed:
		x.notef("zone %s is no longer signed and its keys are destroyed: have the registrar remove its DS records first, and wait for their TTL", o.Name)
	}
}

// keepZone keeps a signed zone that nobody declares any more, without its records, unless its time is over: while its parent
// points to its keys, no other key would do.
func (x *expansion) keepZone(o Zone) {
	if x.live.Dirty[o.Ref()].Gone {
		return
	}
	at, ok := x.nameServersAt(o.Target)
	_, due := slices.BinarySearchFunc(x.live.Due, o.Ref(), Ref.Compare)
	if o.Kept && due && ok {
		x.notef("zone %s and its keys are deleted for good: nobody has declared it for %s", o.Name, days(x.live.Memory.KeepOf(KindZone)))
		return
	}
	o.Kept, o.Transfer, o.On = true, nil, at.ready
	x.add(o)
}
