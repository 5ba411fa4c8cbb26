package planner

// compareDatabaseUser changes a user. Another password takes two steps, so that nobody is refused who has the one of before still:
// it is set before the sites that use it get it, and the one of before is valid until they have it.
func (d *draft) compareDatabaseUser(ref Ref, have Object, want DatabaseUser) {
	why, dirty := d.live.Dirty[ref]
	old, there := have.(DatabaseUser)
	if !there || want.Locked || old.Locked || !old.Retains && samePassword(old, want) {
		d.emit(d.toward(ref, have, want, why, dirty))
		return
	}
	last := step{ref: ref, action: Update, old: have, new: want, at: inStage(phaseDown, ref), why: "the password of before goes"}
	if !samePassword(old, want) {
		both := old
		both.From, both.On, both.Retains = want.From, want.On, true
		both.PasswordHash, both.Password = want.PasswordHash, want.Password
		s := d.toward(ref, have, both, why, dirty)
		s.at, s.why = inStage(phaseUp, Ref{Kind: KindSecret})+afterSecrets, "another password; the one of before is valid as well"
		d.emit(s)
		last.old = both
	}
	d.emit(last)
}

// afterSecrets is a position behind those of secrets, and before all that reads them.
const afterSecrets position = 5

func samePassword(a, b DatabaseUser) bool {
	return a.PasswordHash == b.PasswordHash && a.Password == b.Password
}

// afterRotations keeps the password of before valid where a site of the tenant couldn't be changed.
func (d *draft) afterRotations() {
	var runtimes map[string][]int // by tenant
	for i := range d.steps {
		u, ok := d.steps[i].old.(DatabaseUser)
		if !ok || d.steps[i].off || d.steps[i].new == nil || !u.Retains {
			continue
		}
		if runtimes == nil {
			runtimes = d.runtimeSteps()
		}
		for _, r := range runtimes[u.Tenant] {
			if d.steps[r].at < d.steps[i].at {
				d.steps[i].after = append(d.steps[i].after, r)
			}
		}
	}
}

func (d *draft) runtimeSteps() map[string][]int {
	out := map[string][]int{}
	for i := range d.steps {
		if r, ok := d.steps[i].new.(Runtime); ok && !d.steps[i].off {
			out[r.Tenant] = append(out[r.Tenant], i)
		}
	}
	return out
}
