package planner

import (
	"fmt"
	"slices"
	"strings"
)

// Summary counts the objects that a plan changes, each once, and says who is affected.
type Summary struct {
	Create   int      `json:"create"`
	Update   int      `json:"update"`
	Replace  int      `json:"replace"`
	Delete   int      `json:"delete"`
	Platform bool     `json:"platform"` // the platform's own objects are affected
	Tenants  []string `json:"tenants"`  // sorted
}

// Summary sums a plan up. An object with several changes counts as what becomes of it in the end.
func (p Plan) Summary() Summary {
	s := Summary{Tenants: []string{}}
	objects := make(map[Ref]Action, len(p.Changes))
	tenants := map[string]bool{}
	for _, c := range p.Changes {
		objects[c.Ref()] = together(objects[c.Ref()], c)
		if t := c.Owner().Tenant; t != "" {
			tenants[t] = true
		} else {
			s.Platform = true
		}
	}
	for _, a := range objects {
		switch a {
		case Create:
			s.Create++
		case Update:
			s.Update++
		case Replace:
			s.Replace++
		case Delete:
			s.Delete++
		}
	}
	for t := range tenants {
		s.Tenants = append(s.Tenants, t)
	}
	slices.Sort(s.Tenants)
	return s
}

// together returns what an earlier action and the next change of one object come to.
func together(before Action, c Change) Action {
	switch {
	case before == "", c.Action == Delete, c.Action == Replace:
		return c.Action
	}
	return before
}

// String returns the last line of a plan's text.
func (s Summary) String() string {
	text := fmt.Sprintf("Plan: %d to create, %d to update, %d to replace, %d to delete.", s.Create, s.Update, s.Replace, s.Delete)
	var who []string
	if s.Platform {
		who = append(who, "platform")
	}
	switch {
	case len(s.Tenants) == 1:
		who = append(who, "tenant "+printable(s.Tenants[0]))
	case len(s.Tenants) > maxNamed:
		who = append(who, fmt.Sprintf("tenants %s and %d more", printable(strings.Join(s.Tenants[:maxNamed], ", ")), len(s.Tenants)-maxNamed))
	case len(s.Tenants) > 1:
		who = append(who, "tenants "+printable(strings.Join(s.Tenants, ", ")))
	}
	if len(who) == 0 {
		return text
	}
	return text + " Affects: " + strings.Join(who, ", ") + "."
}

// maxNamed is how many tenants a summary names.
const maxNamed = 10
