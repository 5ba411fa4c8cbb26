package planner

// account is who logs in with a password that sites may have: another one takes two changes.
type account interface {
	Object
	tenant() string
	locked() bool
	retains() bool // the password of before is valid as well
	passwordOf(other Object) bool
	beside(want Object) Object // it with the password of another content, its own valid as well
}

// compareLogin changes a user. Another password takes two steps, so that nobody is refused who has the one of before still: it is set
// before the sites that use it get it, and the one of before is valid until they have it.
func (d *draft) compareLogin(ref Ref, have Object, want account) {
	why, dirty := d.live.Dirty[ref]
	old, there := have.(account)
	if !there || want.locked() || old.locked() || !old.retains() && old.passwordOf(want) || moves(old, want) {
		d.emit(d.toward(ref, have, want, why, dirty))
		return
	}
	last := step{ref: ref, action: Update, old: have, new: want, at: inStage(phaseDown, ref), why: "the password of before goes"}
	if !old.passwordOf(want) {
		both := old.beside(want)
		s := d.toward(ref, have, both, why, dirty)
		s.at, s.why = inStage(phaseUp, Ref{Kind: KindSecret})+afterSecrets, "another password; the one of before is valid as well"
		d.emit(s)
		last.old = both
	}
	d.emit(last)
}

func (o DatabaseUser) tenant() string { return o.Tenant }
func (o DatabaseUser) locked() bool   { return o.Locked }
func (o DatabaseUser) retains() bool  { return o.Retains }

func (o DatabaseUser) passwordOf(other Object) bool {
	b, ok := other.(DatabaseUser)
	return ok && o.PasswordHash == b.PasswordHash && o.Password == b.Password
}

func (o DatabaseUser) beside(want Object) Object {
	b, _ := want.(DatabaseUser)
	o.From, o.On, o.Retains = b.From, b.On, true
	o.PasswordHash, o.Password = b.PasswordHash, b.Password
	return o
}

func (o ValkeyUser) tenant() string { return o.Tenant }
func (o ValkeyUser) locked() bool   { return o.Locked }
func (o ValkeyUser) retains() bool  { return o.Retains }

func (o ValkeyUser) passwordOf(other Object) bool {
	b, ok := other.(ValkeyUser)
	return ok && o.PasswordHash == b.PasswordHash && o.Password == b.Password
}

func (o ValkeyUser) beside(want Object) Object {
	b, _ := want.(ValkeyUser)
	o.From, o.On, o.Retains = b.From, b.On, true
	o.PasswordHash, o.Password = b.PasswordHash, b.Password
	return o
}

// moves reports whether a user of Valkey leaves its instance: there is no password of before in the other one.
func moves(old, want account) bool {
	a, ok := old.(ValkeyUser)
	b, also := want.(ValkeyUser)
	return ok && also && a.Instance != b.Instance
}

// afterSecrets is a position behind those of secrets, and before all that reads them.
const afterSecrets position = 5

// afterRotations keeps the password of before valid where a site of the tenant couldn't be changed.
func (d *draft) afterRotations() {
	var runtimes map[string][]int // by tenant
	for i := range d.steps {
		u, ok := d.steps[i].old.(account)
		if !ok || d.steps[i].off || d.steps[i].new == nil || !u.retains() {
			continue
		}
		if runtimes == nil {
			runtimes = d.runtimeSteps()
		}
		for _, r := range runtimes[u.tenant()] {
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
