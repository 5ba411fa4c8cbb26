package executors_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/executors/memory"
	"hostctl/planner"
)

type closing struct {
	memory.Executor
	closed int
}

func (c *closing) Close() error { c.closed++; return errors.New("bye") }

func TestSet(t *testing.T) {
	asked := map[string]int{}
	a := &closing{}
	b := &memory.Executor{}
	s := executors.NewSet(func(target string) (executors.Executor, error) {
		asked[target]++
		switch target {
		case "a":
			return a, nil
		case "b":
			return b, nil
		}
		return nil, fmt.Errorf("no route to %s", target)
	})
	for range 2 {
		errs := s.Apply(t.Context(), []planner.Change{route(1, 0, "a", "x"), route(2, 0, "b", "x"), route(3, 0, "c", "x"), route(4, 0, "a", "y")})
		for i, want := range []executors.Kind{"", "", executors.Unreachable, ""} {
			if executors.KindOf(errs[i]) != want {
				t.Errorf("change %d: %v, want %q", i, errs[i], want)
			}
		}
	}
	if fmt.Sprint(asked) != "map[a:1 b:1 c:2]" {
		t.Errorf("look-ups %v, want one each, and another for one that failed", asked)
	}
	if len(a.State()) != 2 || len(b.State()) != 1 {
		t.Errorf("a has %v, b has %v", a.State(), b.State())
	}
	if err := s.Close(); err == nil || err.Error() != "close a: bye" || a.closed != 1 {
		t.Errorf("close: %v, %d times", err, a.closed)
	}
	if err := s.Apply(t.Context(), []planner.Change{route(1, 0, "a", "x")})[0]; executors.KindOf(err) != executors.Unreachable {
		t.Errorf("after close: %v", err)
	}
}

func TestEachStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	errs := executors.Each(func(context.Context, planner.Change) error { cancel(); return nil }).
		Apply(ctx, []planner.Change{route(1, 0, "a", "x"), route(2, 0, "a", "y")})
	if errs[0] != nil || executors.KindOf(errs[1]) != executors.Canceled {
		t.Errorf("%v", errs)
	}
}

func TestAnyOf(t *testing.T) {
	x, y := route(1, 0, "web-1", "x"), route(2, 0, "web-1", "y")
	down := executors.Each(func(context.Context, planner.Change) error {
		return executors.Errorf(executors.Unreachable, "no answer")
	})
	half := executors.Each(func(_ context.Context, c planner.Change) error {
		if c.ID == 2 {
			return executors.Errorf(executors.Unreachable, "it went away")
		}
		return nil
	})
	up := &memory.Executor{}
	nodes := map[string]executors.Executor{"down": down, "half": half, "up": up}
	lookup := func(n string) (executors.Executor, error) {
		if e, ok := nodes[n]; ok {
			return e, nil
		}
		return nil, errors.New("unknown node")
	}
	for _, c := range []struct {
		nodes string
		want  []executors.Kind
		text  string
		made  int
	}{
		{"up", []executors.Kind{"", ""}, "", 2},
		{"down unknown up", []executors.Kind{"", ""}, "", 2},
		{"half up", []executors.Kind{"", executors.Unreachable}, "it went away", 0}, // it has begun: what is done isn't done twice
		{"down unknown", []executors.Kind{executors.Unreachable, executors.Unreachable}, "no node of down, unknown answers: down: no answer\nunknown: unknown node", 0},
		{"", []executors.Kind{executors.Unreachable, executors.Unreachable}, "no node serves web-1", 0},
	} {
		*up = memory.Executor{}
		errs := executors.AnyOf(strings.Fields(c.nodes), lookup).Apply(t.Context(), []planner.Change{x, y})
		for i, want := range c.want {
			if executors.KindOf(errs[i]) != want {
				t.Errorf("%q: change %d: %v, want %q", c.nodes, i, errs[i], want)
			}
		}
		if c.text != "" && !strings.Contains(errs[1].Error(), c.text) {
			t.Errorf("%q: %q, want %q", c.nodes, errs[1], c.text)
		}
		if len(up.State()) != c.made {
			t.Errorf("%q: %d made, want %d", c.nodes, len(up.State()), c.made)
		}
	}
}
