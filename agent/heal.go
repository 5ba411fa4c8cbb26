package agent

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// DefaultCheckEvery is the time between two looks of an agent at its own node.
const DefaultCheckEvery = time.Minute

// observeWithin is how long one executor may take to tell what is there: a batch may wait for it.
const observeWithin = 20 * time.Second

// An object that was healed healsAtMost times within healsWithin and differs again is left alone: somebody undoes it.
const (
	healsAtMost = 3
	healsWithin = time.Hour
)

// Look looks after the node until ctx is done: at once, then every CheckEvery, give or take a tenth. What differs from what
// the agent was last told to make is put right or told of, as the drift policy says; with nobody to tell, it does so all
// the same.
func (a *Agent) Look(ctx context.Context) {
	every := cmp.Or(a.CheckEvery, DefaultCheckEvery)
	for ctx.Err() == nil {
		a.reports.publish(a.look(ctx))
		select {
		case <-ctx.Done():
		case <-time.After(every - every/10 + rand.N(every/5+1)): // the nodes of a shard don't look in step
		}
	}
}

// look looks once and returns what it has seen.
func (a *Agent) look(ctx context.Context) executors.Report {
	drift, answers := a.heal(ctx)
	r := executors.Report{At: time.Now().UTC(), Health: answers, Drift: drift}
	if a.Health != nil {
		r.Health = append(r.Health, a.Health(ctx)...)
	}
	if a.Usage != nil {
		users := a.users()
		r.Usage = a.Usage(ctx, namesOf(users))
		r.Health = append(r.Health, over(users, r.Usage)...)
	}
	slices.SortFunc(r.Health, func(x, y executors.Part) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortFunc(r.Drift, func(x, y executors.NodeDrift) int { return x.Ref.Compare(y.Ref) })
	return r
}

// users returns the tenants' users on this node, by uid.
func (a *Agent) users() map[int]planner.User {
	records, err := a.Store.Records()
	if err != nil {
		a.Log.Error("read what is desired", "error", err)
		return nil
	}
	users := map[int]planner.User{}
	for _, r := range records {
		if u, ok := r.Applied.(planner.User); ok {
			users[u.UID] = u
		}
	}
	return users
}

func namesOf(users map[int]planner.User) map[int]string {
	names := make(map[int]string, len(users))
	for uid, u := range users {
		names[uid] = u.Name
	}
	return names
}

// heal compares the node with what is desired, up the ladder, and puts right what the policy says. It returns what
// differed, and whether each part that it asked answers. A batch waits until it is done, and it for the batch: what a run
// is changing is never healed.
func (a *Agent) heal(ctx context.Context) ([]executors.NodeDrift, []executors.Part) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return nil, nil
	}
	wanted, policy, err := a.wanted()
	if err != nil {
		a.Log.Error("read what is desired", "error", err)
		return nil, []executors.Part{{Name: "store", Message: err.Error()}}
	}
	var drift []executors.NodeDrift
	var parts []executors.Part
	for _, e := range a.distinct() {
		o, ok := e.(executors.Observer)
		if !ok || ctx.Err() != nil {
			continue
		}
		part := executors.Part{Name: "executor/" + a.nameOf(e), OK: true}
		found, err := a.observe(ctx, o, part.Name)
		if err != nil {
			part.OK, part.Message = false, err.Error()
		} else {
			drift = append(drift, a.healPart(ctx, e, a.differing(e, wanted, found, policy), policy)...)
		}
		parts = append(parts, part)
	}
	return drift, parts
}

// wanted returns what the agent was last told to make on this node alone (of a group of one, for the group too), and what
// becomes of drift. What a change has left unfinished is the controller's to mend; what the nodes of a group share, such as a
// shard's files, another node may have been told of since.
func (a *Agent) wanted() ([]planner.Object, schema.DriftPolicy, error) {
	policy, err := a.Store.Policy()
	if err != nil {
		return nil, policy, err
	}
	records, err := a.Store.Records()
	if err != nil {
		return nil, policy, err
	}
	var wanted []planner.Object
	for _, r := range records {
		if r.Applied != nil && r.Pending == nil && !r.Deleting && (r.Ref.Target == a.Node || a.Alone && a.serves(r.Ref.Target)) {
			wanted = append(wanted, r.Applied)
		}
	}
	return wanted, policy, nil
}

// nameOf names an executor after the first of the kinds that it serves.
func (a *Agent) nameOf(e executors.Executor) string {
	for _, k := range planner.Ladder {
		if a.Executors[k] != nil && same(a.Executors[k], e) {
			return string(k)
		}
	}
	return "unknown"
}

// observe asks an executor what is there. A panic in it is an error.
func (a *Agent) observe(ctx context.Context, o executors.Observer, doing string) (found planner.State, err error) {
	defer a.recovered("observe "+doing, &err)
	ctx, cancel := context.WithTimeout(ctx, observeWithin)
	defer cancel()
	objects, err := o.Observe(ctx)
	if err != nil {
		return nil, err
	}
	found = make(planner.State, len(objects))
	for _, x := range objects {
		found[x.Ref()] = x
	}
	return found, nil
}

// differing returns what of an executor isn't as it was applied, as changes that put it right, lower rungs first.
func (a *Agent) differing(e executors.Executor, wanted []planner.Object, found planner.State, p schema.DriftPolicy) []planner.Change {
	var cs []planner.Change
	for _, want := range wanted {
		ref := want.Ref()
		if x := a.Executors[ref.Kind]; x == nil || !same(x, e) || p.Of(string(ref.Kind)) == schema.DriftOff {
			continue
		}
		switch have := found[ref]; {
		case have == nil:
			cs = append(cs, planner.Change{Action: planner.Create, New: want, Force: true, Why: "gone"})
		case planner.HashOf(have) != planner.HashOf(want):
			cs = append(cs, planner.Change{Action: planner.Update, Old: want, New: want, Force: true, Why: "differs"})
		}
	}
	slices.SortFunc(cs, func(x, y planner.Change) int {
		a, _ := x.Ref().Kind.Rung()
		b, _ := y.Ref().Kind.Rung()
		return cmp.Or(cmp.Compare(a, b), x.Ref().Compare(y.Ref()))
	})
	for i := range cs {
		cs[i].ID = i
	}
	return cs
}

// healPart puts right what differs of one executor, as far as the policy says and nobody undoes it each time.
func (a *Agent) healPart(ctx context.Context, e executors.Executor, cs []planner.Change, p schema.DriftPolicy) []executors.NodeDrift {
	drift := make([]executors.NodeDrift, len(cs))
	var heal []planner.Change
	var at []int
	now := time.Now()
	for i, c := range cs {
		drift[i] = executors.NodeDrift{Ref: c.Ref(), Gone: c.Action == planner.Create}
		switch {
		case p.Of(string(c.Ref().Kind)) == schema.DriftReport:
			drift[i].Why = "the drift policy says report"
		case c.Ref().Kind == planner.KindSecret:
			drift[i].Why = "its value is kept nowhere on the node; it comes with the next run"
		case a.heals.many(c.New, now):
			drift[i].Why = fmt.Sprintf("it was put right %d times within %v, and somebody undoes it", healsAtMost, healsWithin)
		default:
			heal, at = append(heal, c), append(at, i)
		}
	}
	if len(heal) == 0 {
		return drift
	}
	for n, err := range a.act(ctx, part{executor: e, changes: heal}) {
		i := at[n]
		if err != nil {
			drift[i].Why = err.Error()
			a.Log.Warn("not healed", "ref", drift[i].Ref.String(), "found", heal[n].Why, "error", err)
			continue
		}
		drift[i].Healed = true
		a.heals.note(heal[n].New, now)
		a.Log.Info("healed", "ref", drift[i].Ref.String(), "found", heal[n].Why)
	}
	return drift
}

// heals remembers when each content was put right. It is used by one look at a time.
type heals map[planner.Hash][]time.Time

// many reports whether an object was put right too often of late.
func (h heals) many(o planner.Object, now time.Time) bool {
	return len(h.recent(planner.HashOf(o), now)) >= healsAtMost
}

func (h heals) note(o planner.Object, now time.Time) {
	hash := planner.HashOf(o)
	h[hash] = append(h.recent(hash, now), now)
}

// recent drops what no longer counts.
func (h heals) recent(hash planner.Hash, now time.Time) []time.Time {
	left := slices.DeleteFunc(h[hash], func(t time.Time) bool { return now.Sub(t) >= healsWithin })
	if len(left) == 0 {
		delete(h, hash)
		return nil
	}
	h[hash] = left
	return left
}
