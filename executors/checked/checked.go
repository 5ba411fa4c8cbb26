// Package checked wraps an executor: what is really there is looked at before it is touched, and a change that starts from
// something else is refused. A plan is a promise about what it changes; what nobody planned isn't overwritten.
package checked

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"hostctl/executors"
	"hostctl/planner"
)

// Far is what can be wrapped: every far side of this program.
type Far interface {
	executors.Executor
	executors.Observer
	executors.Reader
}

// Executor is a Far that compares before it applies.
type Executor struct {
	Far

	mu    sync.Mutex
	begun map[planner.Ref]planner.Object // what changes that were let through and haven't succeeded are to make
}

// New returns an executor that applies a change only if what is there is what the change starts from (Change.Expect), or
// is already what it leads to. Otherwise that change is executors.Drifted, and the others go on. Not compared are
// changes that start from nothing (whether something of that name may be taken over is the wrapped executor's decision),
// those that overwrite whatever is there (Change.Force), and another try of one that was let through and failed, for
// what is there may be half of it. All that is to be compared of a batch is read at once.
func New(far Far) *Executor { return &Executor{Far: far, begun: map[planner.Ref]planner.Object{}} }

// Close closes the executor that is wrapped.
func (e *Executor) Close() error {
	if c, ok := e.Far.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Apply implements executors.Executor.
func (e *Executor) Apply(ctx context.Context, cs []planner.Change) []error {
	errs := make([]error, len(cs))
	e.check(ctx, cs, errs)
	var let []planner.Change
	var at []int
	for i, c := range cs {
		if errs[i] == nil {
			let, at = append(let, c), append(at, i)
		}
	}
	if len(let) == 0 && len(cs) > 0 {
		return errs
	}
	e.begin(let)
	answers := e.Far.Apply(ctx, let)
	if len(answers) != len(let) {
		return answers // which says that there is a bug in it
	}
	e.end(let, answers)
	for n, i := range at {
		errs[i] = answers[n]
	}
	return errs
}

// check writes the errors of those changes that must not be applied.
func (e *Executor) check(ctx context.Context, cs []planner.Change, errs []error) {
	var refs []planner.Ref
	for _, c := range cs {
		if e.compared(c) {
			refs = append(refs, c.Ref())
		}
	}
	if len(refs) == 0 {
		return
	}
	present, err := e.Present(ctx, refs)
	if err == nil && present == nil {
		present = map[planner.Ref]planner.Object{}
	}
	refused := map[planner.Ref]bool{}
	for i, c := range cs {
		switch {
		case refused[c.Ref()]: // a change before it in the batch
			errs[i] = executors.Errorf(executors.Drifted, "it comes after a change that was refused")
		case !e.compared(c):
		case err != nil:
			errs[i] = err
		default:
			errs[i] = compare(c, present[c.Ref()])
		}
		refused[c.Ref()] = errs[i] != nil
		if errs[i] == nil && present != nil {
			present[c.Ref()] = c.New // from which a second change of the batch starts
		}
	}
}

// compared reports whether a change has to start from what it expects.
func (e *Executor) compared(c planner.Change) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	half, tried := e.begun[c.Ref()]
	return c.Expect != "" && !c.Force && (!tried || planner.HashOf(half) != planner.HashOf(c.New))
}

func (e *Executor) begin(cs []planner.Change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range cs {
		e.begun[c.Ref()] = c.New
	}
}

// end forgets what has succeeded.
func (e *Executor) end(cs []planner.Change, errs []error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, c := range cs {
		if errs[i] == nil {
			delete(e.begun, c.Ref())
		}
	}
}

// compare returns what is Drifted unless a change may go on from what is there; nil is nothing.
func compare(c planner.Change, there planner.Object) error {
	if there == nil && c.New == nil {
		return nil // it is gone already
	}
	if found := planner.HashOf(there); found == c.Expect || c.New != nil && found == planner.HashOf(c.New) {
		return nil
	}
	return executors.Errorf(executors.Drifted, "changed since planned: expected %.12s, found %s; 'hostctl drift' shows it; plan again or, where the drift policy only reports, 'hostctl converge %s'",
		string(c.Expect), describe(c, there), c.Ref())
}

// describe says in few words what there is in place of what a change starts from.
func describe(c planner.Change, there planner.Object) string {
	if there == nil {
		return "nothing"
	}
	if a, ok := there.(executors.Altered); ok {
		return a.How
	}
	var lines []string
	if c.Old != nil && planner.HashOf(c.Old) == c.Expect {
		lines = planner.Differences(planner.Change{Old: c.Old, New: there})
	}
	if len(lines) == 0 {
		return fmt.Sprintf("%.12s", string(planner.HashOf(there)))
	}
	const most, longest = 3, 120
	for i, l := range lines {
		if path, _, _ := strings.Cut(l, ":"); private(path) {
			lines[i] = "another " + path
		} else if r := []rune(l); len(r) > longest {
			lines[i] = string(r[:longest]) + "…"
		}
	}
	if n := len(lines); n > most {
		lines = append(lines[:most], fmt.Sprintf("and %d more", n-most))
	}
	return strings.Join(lines, ", ")
}

// private reports whether the values of a field aren't told: what somebody put there by hand may be a secret.
func private(path string) bool {
	field, _, _ := strings.Cut(path, ".")
	return field == "env" || field == "ini"
}
