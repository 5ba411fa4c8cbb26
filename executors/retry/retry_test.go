package retry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/executors/retry"
	"hostctl/planner"
)

// script is an executor that answers each change with the next of its errors, and then with success.
type script struct {
	answers map[string][]error
	calls   [][]string
	closed  bool
}

func (s *script) Apply(_ context.Context, cs []planner.Change) []error {
	errs := make([]error, len(cs))
	var names []string
	for i, c := range cs {
		name := c.Ref().Name
		names = append(names, name)
		if a := s.answers[name]; len(a) > 0 {
			errs[i], s.answers[name] = a[0], a[1:]
		}
	}
	s.calls = append(s.calls, names)
	return errs
}

func (s *script) Observe(ctx context.Context) ([]planner.Object, error) {
	err := s.Apply(ctx, batch("observe"))[0]
	return nil, err
}

func (s *script) Close() error { s.closed = true; return nil }

func batch(names ...string) []planner.Change {
	var cs []planner.Change
	for i, n := range names {
		cs = append(cs, planner.Change{ID: i, Action: planner.Create, New: planner.Route{Meta: planner.Meta{Target: "lb", Name: n}}})
	}
	return cs
}

func fails(k executors.Kind, times int) []error {
	var errs []error
	for i := range times {
		errs = append(errs, executors.Errorf(k, "failure %d", i+1))
	}
	return errs
}

func TestOnlyWhatMayPassIsTriedAgain(t *testing.T) {
	s := &script{answers: map[string][]error{
		"busy":        fails(executors.Busy, 3),
		"unreachable": fails(executors.Unreachable, 1),
		"refused":     fails(executors.Refused, 1),
		"conflict":    fails(executors.Conflict, 1),
		"unknown":     {errors.New("what?")},
	}}
	var waits []time.Duration
	e := retry.New(s, retry.Options{First: time.Second, Longest: 3 * time.Second, Sleep: func(_ context.Context, d time.Duration) bool {
		waits = append(waits, d)
		return true
	}})
	errs := e.Apply(t.Context(), batch("fine", "busy", "refused", "unreachable", "conflict", "unknown"))
	want := []executors.Kind{"", "", executors.Refused, "", executors.Conflict, executors.Unknown}
	for i, err := range errs {
		if executors.KindOf(err) != want[i] {
			t.Errorf("change %d: %v, want %q", i, err, want[i])
		}
	}
	wantCalls := "[[fine busy refused unreachable conflict unknown] [busy unreachable] [busy] [busy]]"
	if got := fmt.Sprint(s.calls); got != wantCalls {
		t.Errorf("calls %s, want %s", got, wantCalls)
	}
	for i, about := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		if i >= len(waits) || waits[i] < about*3/4 || waits[i] > about*5/4 {
			t.Fatalf("waits %v, want about 1 s, 2 s, 3 s", waits)
		}
	}
}

func TestGivesUp(t *testing.T) {
	s := &script{answers: map[string][]error{"busy": fails(executors.Busy, 99), "unreachable": fails(executors.Unreachable, 99)}}
	e := retry.New(s, retry.Options{Busy: 3, Unreachable: 1, Sleep: func(context.Context, time.Duration) bool { return true }})
	errs := e.Apply(t.Context(), batch("busy", "unreachable"))
	if got := fmt.Sprint(errs); got != "[failure 4 failure 2]" {
		t.Errorf("errors %s, want those of the fourth and the second try", got)
	}
	never := retry.New(&script{answers: map[string][]error{"busy": fails(executors.Busy, 1)}}, retry.Options{Busy: -1})
	if err := never.Apply(t.Context(), batch("busy"))[0]; executors.KindOf(err) != executors.Busy {
		t.Errorf("with no further tries: %v, want busy", err)
	}
}

func TestDoneContextAndDeadline(t *testing.T) {
	sleeping := func(ctx context.Context, _ time.Duration) bool { <-ctx.Done(); return false }
	for name, ctx := range map[string]func() (context.Context, context.CancelFunc){
		"canceled while it waits": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			return ctx, cancel
		},
		"deadline before the next try": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := ctx()
			defer cancel()
			s := &script{answers: map[string][]error{"busy": fails(executors.Busy, 9)}}
			e := retry.New(s, retry.Options{First: time.Hour, Sleep: sleeping})
			if err := e.Apply(ctx, batch("busy"))[0]; executors.KindOf(err) != executors.Busy {
				t.Errorf("%v, want the error of the only try", err)
			}
			if len(s.calls) != 1 {
				t.Errorf("%d tries, want 1", len(s.calls))
			}
		})
	}
}

func TestAbilitiesStay(t *testing.T) {
	s := &script{answers: map[string][]error{"observe": fails(executors.Unreachable, 2)}}
	e := retry.New(s, retry.Options{First: time.Microsecond})
	if _, err := e.(executors.Observer).Observe(t.Context()); err != nil {
		t.Errorf("observe: %v, want success on the third try", err)
	}
	if err := e.(interface{ Close() error }).Close(); err != nil || !s.closed {
		t.Errorf("close: %v, closed %v", err, s.closed)
	}
	blind := retry.New(executors.Each(func(context.Context, planner.Change) error { return nil }), retry.Options{})
	if _, ok := blind.(executors.Observer); ok {
		t.Error("an executor that can't observe became an observer")
	}
	if !slices.Equal(blind.Apply(t.Context(), batch("a")), []error{nil}) {
		t.Error("success didn't pass")
	}
}
