package main

import (
	"errors"
	"fmt"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// warn prints what is allowed and probably not meant.
func (o *options) warn(ws []schema.Warning) {
	for _, w := range ws {
		fmt.Fprintf(o.err, "warning: %s: %s\n", w.Position, w.Text)
	}
}

// explain prints all that is wrong with a repository or a plan, one a line as compilers do, and returns what is left to
// say. Another error is returned as it is.
func (o *options) explain(err error) error {
	var (
		problems schema.Errors
		frozen   *reconciler.FrozenError
		refused  *planner.RefusedError
		unmade   planner.ProblemsError
	)
	switch {
	case errors.As(err, &problems):
		for _, p := range problems {
			fmt.Fprintln(o.err, p)
		}
		return fmt.Errorf("%s to mend; check with 'hostctl validate'", count(len(problems), "problem", "problems"))
	case errors.As(err, &frozen):
		for _, f := range frozen.Frozen {
			for _, p := range f.Errors {
				fmt.Fprintln(o.err, p)
			}
		}
		return mistakes(planner.Plan{Frozen: frozen.Frozen})
	case errors.As(err, &refused):
		for _, r := range refused.Refusals {
			fmt.Fprintf(o.err, "%s\n\n", r)
		}
		return fmt.Errorf("the plan is refused for %s; nothing was changed", count(len(refused.Refusals), "reason", "reasons"))
	case errors.As(err, &unmade):
		for _, text := range unmade {
			fmt.Fprintln(o.err, text)
		}
		return fmt.Errorf("there is no plan, for %s", count(len(unmade), "reason", "reasons"))
	}
	return err
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
