package executors

import (
	"fmt"
	"strings"

	"hostctl/planner"
)

// ConflictError tells which objects aren't what a batch of changes starts from, as the journal has them. Nothing of the
// batch was recorded.
type ConflictError struct{ Objects []Changed }

// Changed is one object that is not what a change of it was planned against. "" stands for "is not there".
type Changed struct {
	Ref             planner.Ref
	Expected, Found planner.Hash
}

func (c Changed) String() string {
	return fmt.Sprintf("%s (expected %s, found %s)", c.Ref, brief(c.Expected), brief(c.Found))
}

func (e *ConflictError) Error() string {
	var b strings.Builder
	b.WriteString("changed since planned: ")
	for i, c := range e.Objects {
		if i == shown {
			fmt.Fprintf(&b, "; and %d more", len(e.Objects)-shown)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.String())
	}
	return b.String()
}

// of returns the error of those changes of a batch whose objects are named, by reference.
func (e *ConflictError) of(cs []planner.Change) map[planner.Ref]error {
	named := map[planner.Ref]error{}
	for _, o := range e.Objects {
		named[o.Ref] = Errorf(Conflict, "changed since planned: %s; plan again", o)
	}
	out := map[planner.Ref]error{}
	for _, c := range cs {
		if err, ok := named[c.Ref()]; ok {
			out[c.Ref()] = err
		}
	}
	return out
}

func brief(h planner.Hash) string {
	if h == "" {
		return "nothing"
	}
	return string(h[:min(len(h), 12)])
}
