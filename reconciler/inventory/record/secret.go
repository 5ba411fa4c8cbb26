package record

import "hostctl/planner"

// AddGeneration notes the latest generation of a generated secret for the next plan. The first one of those that are there
// is as good as none.
func AddGeneration(l *planner.Live, g planner.Generated, generation int, lost bool) {
	if generation > 1 {
		if l.Generations == nil {
			l.Generations = map[planner.Generated]int{}
		}
		l.Generations[g] = generation
	}
	if lost {
		if l.Lost == nil {
			l.Lost = map[planner.Generated]bool{}
		}
		l.Lost[g] = true
	}
}
