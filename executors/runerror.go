package executors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"hostctl/planner"
)

// RunError says what of a plan was not done. Everything that it doesn't list was.
type RunError struct {
	Failures []Failure // in the plan's order
	Total    int       // changes of the plan
	Failed   int       // of Failures: tried, with an error
	Blocked  int       // not tried, for a change that they come after failed
	Canceled int       // not tried, or cut off, for the run was stopped
	Cause    error     // what stopped the run: a journal that failed, or the cause of its context; nil if it came to its end
}

// Failure is one change with what became of it.
type Failure struct {
	Change planner.Change
	Err    error
}

// result sums a run up; nil if all is well.
func (r *run) result(ctx context.Context, p planner.Plan) error {
	e := &RunError{Total: len(p.Changes), Cause: cmp.Or(r.journal, context.Cause(ctx))}
	for _, c := range p.Changes {
		err := r.errs[c.ID]
		if err == nil {
			continue
		}
		e.Failures = append(e.Failures, Failure{Change: c, Err: err})
		switch KindOf(err) {
		case Blocked:
			e.Blocked++
		case Canceled:
			e.Canceled++
		default:
			e.Failed++
		}
	}
	if len(e.Failures) == 0 && r.journal == nil { // a context that is done when all is done took nothing away
		return nil
	}
	return e
}

// shown is how many failures the text of a RunError tells.
const shown = 5

func (e *RunError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d changes failed", e.Failed, e.Total)
	if e.Blocked > 0 {
		fmt.Fprintf(&b, ", %d that come after them were not tried", e.Blocked)
	}
	if e.Canceled > 0 {
		fmt.Fprintf(&b, ", %d were cut off or not tried because the run was stopped", e.Canceled)
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, "\n  stopped: %v", e.Cause)
	}
	told := 0
	for _, f := range e.Failures {
		if k := KindOf(f.Err); k == Blocked || k == Canceled {
			continue
		}
		if told++; told > shown {
			fmt.Fprintf(&b, "\n  and %d more", e.Failed-shown)
			break
		}
		fmt.Fprintf(&b, "\n  %s: %v", title(f.Change), f.Err)
	}
	return b.String()
}

// Unwrap returns the cause and the errors of all failures.
func (e *RunError) Unwrap() []error {
	var errs []error
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	for _, f := range e.Failures {
		errs = append(errs, f.Err)
	}
	return errs
}

// PanicError is a panic of an executor. Its text is one line; the stack is for the log.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("the executor panicked: %v", e.Value) }

// blockedError names the change that failed and so kept others from being tried.
type blockedError struct{ by planner.Change }

func (e *blockedError) Error() string {
	return "not tried: it comes after " + title(e.by) + ", which failed"
}

func title(c planner.Change) string { return string(c.Action) + " " + c.Ref().String() }

func isBatch(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Batch
}

// alone makes the error of a refused batch the error of the one owner that is left in it.
func alone(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	return &Error{Kind: e.Kind, Err: e.Err}
}
