package checked_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/executors/checked"
	"hostctl/executors/memory"
	"hostctl/planner"
)

func route(host, backend string) planner.Object {
	return planner.Route{Meta: planner.Meta{Target: "eu-1-lb-0", Name: host}, Backend: backend}
}

func change(from, to planner.Object) planner.Change {
	c := planner.Change{Action: planner.Update, Old: from, New: to, Expect: planner.HashOf(from)}
	switch {
	case from == nil:
		c.Action = planner.Create
	case to == nil:
		c.Action = planner.Delete
	}
	return c
}

func forced(c planner.Change) planner.Change { c.Force = true; return c }

// counted counts how often what is there is read.
type counted struct {
	*memory.Executor
	reads, refs int
	err         error
}

func (c *counted) Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	c.reads++
	c.refs += len(refs)
	if c.err != nil {
		return nil, c.err
	}
	return c.Executor.Present(ctx, refs)
}

func TestG05_WhatIsThereIsComparedBeforeItIsTouched(t *testing.T) {
	a, b, other := route("a.example", "web-1"), route("a.example", "web-2"), route("a.example", "web-9")
	for _, c := range []struct {
		name   string
		there  planner.Object
		change planner.Change
		want   string // "" goes on; else the conflict holds it
		after  planner.Object
		reads  int
	}{
		{"as expected", a, change(a, b), "", b, 1},
		{"done already", b, change(a, b), "", b, 1},
		{"something else", other, change(a, b), "found backend: web-1 → web-9; 'hostctl drift' shows it", other, 1},
		{"nothing", nil, change(a, b), "found nothing", nil, 1},
		{"something else, forced", other, forced(change(a, b)), "", b, 0},
		{"delete as expected", a, change(a, nil), "", nil, 1},
		{"delete of what is gone", nil, change(a, nil), "", nil, 1},
		{"delete of something else", other, change(a, nil), "found backend: web-1 → web-9", other, 1},
		{"create over something", other, change(nil, b), "", b, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			far := &counted{Executor: &memory.Executor{}}
			if c.there != nil {
				far.Put(c.there)
			}
			beside := route("beside.example", "web-1")
			errs := checked.New(far).Apply(t.Context(), []planner.Change{c.change, change(nil, beside)})
			conflict := executors.KindOf(errs[0]) == executors.Drifted
			if conflict != (c.want != "") || conflict && !strings.Contains(errs[0].Error(), c.want) || !conflict && errs[0] != nil {
				t.Errorf("%v, want %q", errs[0], c.want)
			}
			if conflict && !strings.Contains(errs[0].Error(), string(c.change.Expect[:12])) {
				t.Errorf("%v doesn't tell what was expected", errs[0])
			}
			state := far.State()
			if errs[1] != nil || planner.HashOf(state[beside.Ref()]) != planner.HashOf(beside) {
				t.Errorf("the change beside it: %v", errs[1])
			}
			if planner.HashOf(state[a.Ref()]) != planner.HashOf(c.after) {
				t.Errorf("%v is there, want %v", state[a.Ref()], c.after)
			}
			if far.reads != c.reads {
				t.Errorf("read %d times, want %d", far.reads, c.reads)
			}
		})
	}
}

// What follows the refused change in the plan isn't tried, and what doesn't is.
func TestG05_FollowersOfARefusedChangeAreNotTried(t *testing.T) {
	far := &memory.Executor{}
	for _, o := range []planner.Object{route("a.example", "edited"), route("b.example", "web-1")} {
		far.Put(o)
	}
	p := planner.Plan{Changes: []planner.Change{
		change(route("a.example", "web-1"), route("a.example", "web-2")),
		change(route("b.example", "web-1"), route("b.example", "web-2")),
		change(nil, route("c.example", "web-2")), change(nil, route("d.example", "web-2")),
	}}
	for i := range p.Changes {
		p.Changes[i].ID, p.Changes[i].Stage = i+1, i/2
	}
	p.Changes[2].After, p.Changes[3].After = []int{1}, []int{2}
	err := executors.Run(t.Context(), p, checked.New(far), silent{}, executors.Options{})
	var failed *executors.RunError
	if !errors.As(err, &failed) || failed.Failed != 1 || failed.Blocked != 1 || !strings.Contains(err.Error(), "changed since planned") {
		t.Fatalf("%v, want one change refused and one not tried", err)
	}
	var hosts []string
	for r, o := range far.State() {
		hosts = append(hosts, fmt.Sprint(r.Name, " ", o.(planner.Route).Backend))
	}
	slices.Sort(hosts)
	if want := []string{"a.example edited", "b.example web-2", "d.example web-2"}; !slices.Equal(hosts, want) {
		t.Errorf("%q, want %q", hosts, want)
	}
}

type silent struct{}

func (silent) Started(context.Context, []planner.Change) error           { return nil }
func (silent) Finished(context.Context, []planner.Change, []error) error { return nil }

// 10,000 changes are one read.
func TestABatchIsReadAtOnce(t *testing.T) {
	far := &counted{Executor: &memory.Executor{}}
	var cs []planner.Change
	for i := range 10_000 {
		host := fmt.Sprintf("h%d.example", i)
		far.Put(route(host, "web-1"))
		cs = append(cs, change(route(host, "web-1"), route(host, "web-2")))
	}
	for _, err := range checked.New(far).Apply(t.Context(), cs) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if far.reads != 1 || far.refs != len(cs) {
		t.Errorf("%d reads of %d objects, want 1 of %d", far.reads, far.refs, len(cs))
	}
}

// What can't be read isn't touched; what needs no look isn't stopped by that.
func TestWhatCantBeReadIsNotTouched(t *testing.T) {
	far := &counted{Executor: &memory.Executor{}, err: executors.Errorf(executors.Unreachable, "no answer")}
	far.Put(route("a.example", "web-1"))
	errs := checked.New(far).Apply(t.Context(), []planner.Change{
		change(route("a.example", "web-1"), route("a.example", "web-2")), change(nil, route("b.example", "web-1")),
	})
	if executors.KindOf(errs[0]) != executors.Unreachable || errs[1] != nil {
		t.Errorf("%v", errs)
	}
	if o := far.State()[route("a.example", "").Ref()]; o.(planner.Route).Backend != "web-1" {
		t.Errorf("it was touched: %v", o)
	}
}

// A change that was let through and failed in the middle is tried again, whatever it has left.
func TestAnotherTryGoesOnFromHalfAChange(t *testing.T) {
	from, to := route("a.example", "web-1"), route("a.example", "web-2")
	half := true
	far := &memory.Executor{}
	far.Fault = func(p memory.Point, _ planner.Change) error {
		if p == memory.After && half {
			half = false
			return executors.Errorf(executors.Busy, "in the middle")
		}
		return nil
	}
	far.Put(from)
	e := checked.New(far)
	if err := e.Apply(t.Context(), []planner.Change{change(from, to)})[0]; err == nil {
		t.Fatal("no fault")
	}
	far.Put(route("a.example", "half"))
	if err := e.Apply(t.Context(), []planner.Change{change(from, to)})[0]; err != nil {
		t.Fatal(err)
	}
	far.Put(route("a.example", "edited"))
	if err := e.Apply(t.Context(), []planner.Change{change(from, to)})[0]; executors.KindOf(err) != executors.Drifted {
		t.Errorf("after it has succeeded: %v, want a conflict", err)
	}
}

// Two changes of one object in one batch follow each other.
func TestChain(t *testing.T) {
	a, b, c := route("a.example", "web-1"), route("a.example", "web-2"), route("a.example", "web-3")
	for i, there := range []planner.Object{a, route("a.example", "edited")} {
		far := &memory.Executor{}
		far.Put(there)
		errs := checked.New(far).Apply(t.Context(), []planner.Change{change(a, b), change(b, c)})
		for _, err := range errs {
			if (err == nil) != (i == 0) {
				t.Errorf("from %v: %v", there, errs)
			}
		}
	}
}

// What somebody has put into a site's environment isn't told.
func TestG11_NoValuesOfEnvironments(t *testing.T) {
	pool := func(env string) planner.Object {
		return planner.Runtime{Meta: planner.Meta{Target: "web-1-0", Name: "acme.shop/php-8.4"}, Env: map[string]string{"TOKEN": env}}
	}
	far := &memory.Executor{}
	far.Put(pool("canary-secret"))
	err := checked.New(far).Apply(t.Context(), []planner.Change{change(pool("a"), pool("b"))})[0]
	if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "another env.TOKEN") {
		t.Errorf("%v", err)
	}
}
