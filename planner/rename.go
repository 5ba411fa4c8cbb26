package planner

import (
	"slices"
	"strings"

	"hostctl/schema"
)

// scopeSite is the scope of the names that webroots have on their shards, where these aren't their own: key is
// "<tenant>.<webroot>", value the name it had when its folder was made.
const scopeSite = "site"

// siteOf returns the name of a webroot's objects and folder. A webroot that was renamed goes by the name that it had: its
// files don't move.
func (x *expansion) siteOf(w *schema.Webroot, shard string) string {
	own := siteName(w.Tenant, w.Name)
	if site, ok := x.alloc.get(scopeSite, own); ok {
		return site
	}
	if w.FormerName != "" {
		former := siteName(w.Tenant, w.FormerName)
		if site, ok := x.alloc.get(scopeSite, former); ok {
			former = site
		}
		if former == own { // it has its old name again
			return own
		}
		if x.live.was(Ref{KindWebroot, shard, former}) != nil {
			x.alloc.set(scopeSite, own, former)
			return former
		}
	}
	if holder, taken := x.alloc.holder(scopeSite, own); taken && holder != own {
		_, name, _ := strings.Cut(holder, ".")
		x.problemf("%s: webroot %s of tenant %s: its folder would be that of webroot %s, which had this name until it was renamed; choose another name",
			w.Position, w.Name, w.Tenant, name)
	}
	return own
}

// siteReleased reports whether a name that a renamed webroot has is free again: nobody declares the webroot, and its files
// aren't kept either, or are served under the old name again.
func (x *expansion) siteReleased(a Allocation, declared map[string]bool) bool {
	if declared[a.Key] {
		return false
	}
	for ref, o := range x.desired {
		if ref.Kind == KindWebroot && ref.Name == a.Value && !active(o) {
			return false
		}
	}
	return true
}

func (x *expansion) declaredSites() map[string]bool {
	out := make(map[string]bool, len(x.m.Webroots))
	for i := range x.m.Webroots {
		out[siteName(x.m.Webroots[i].Tenant, x.m.Webroots[i].Name)] = true
	}
	return out
}

// renamed returns the name that an object's webroot had when the object was last changed; "" if it has it still.
func renamed(have, want Object) string {
	if have == nil || have.Ref().Kind != KindWebroot {
		return ""
	}
	a, b := have.Owner(), want.Owner()
	if a.Kind != b.Kind || a.Name == b.Name || IsKept(have) || IsKept(want) {
		return ""
	}
	return a.Name
}

// hintRenames tells of webroots that go while one of the same content comes: that may be meant as a rename.
func (x *expansion) hintRenames() {
	gone := map[string][]Webroot{}
	for _, ref := range x.index.data {
		old, isWebroot := x.live.State[ref].(Webroot)
		if now, ok := x.desired[ref].(Webroot); isWebroot && active(old) && (!ok || now.Kept) {
			gone[old.Tenant] = append(gone[old.Tenant], old)
		}
	}
	if len(gone) == 0 {
		return
	}
	came := map[string][]Webroot{}
	for ref, o := range x.desired {
		w, ok := o.(Webroot)
		if ok && len(gone[w.Tenant]) > 0 && active(w) && x.live.was(ref) == nil {
			came[w.Tenant] = append(came[w.Tenant], w)
		}
	}
	for tenant, olds := range gone {
		for _, old := range olds {
			same := slices.DeleteFunc(slices.Clone(came[tenant]), func(w Webroot) bool {
				return w.Target != old.Target || w.DocumentRoot != old.DocumentRoot || !slices.Equal(w.Files, old.Files)
			})
			if len(same) == 1 {
				x.notef("webroot %s of tenant %s goes and %s comes, with the same content: if that is a rename, write metadata.formerName: %s, and its files stay with it",
					ownerName(old), tenant, ownerName(same[0]), ownerName(old))
			}
		}
	}
}

func ownerName(w Webroot) string { return w.Owner().Name }
