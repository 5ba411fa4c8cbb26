package reconciler

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// Status is where a Loop stands.
type Status struct {
	Head        string    `json:"head,omitempty"`       // newest commit that was seen
	Applied     string    `json:"applied,omitempty"`    // newest commit that is true, but for nodes that can't be reached
	Converged   bool      `json:"converged"`            // Head is Applied and nothing is known to differ
	Message     string    `json:"message,omitempty"`    // of the last failure or refusal
	Since       time.Time `json:"since,omitzero"`       // of Converged
	NextAttempt time.Time `json:"nextAttempt,omitzero"` // after a failure
	Runs        int       `json:"runs"`                 // since hostd started
	Failed      int       `json:"failed"`

	Drift *DriftSummary `json:"drift,omitempty"` // of the latest look at all far sides

	Remote *RemoteStatus `json:"remote,omitempty"` // of the repository that is followed; missing where it is on this machine

	Nodes map[string]executors.Report `json:"nodes,omitempty"` // what each node has told last

	Impossible []string `json:"impossible,omitempty"` // records of the inventory that can't be; see Impossible
}

// Status returns where the loop stands.
func (l *Loop) Status() Status {
	reports := l.NodeReports()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.Nodes, s.Remote = reports, l.Reconciler.remote()
	return s
}

func (l *Loop) setStatus(set func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.status.Converged
	set(&l.status)
	if was != l.status.Converged {
		l.status.Since = time.Now().UTC()
	}
}

// Targets returns the far sides of the last plan.
func (l *Loop) Targets() []planner.Target {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.targets
}

// setTargets notes where the last plan goes, and what becomes of drift there.
func (l *Loop) setTargets(p planner.Plan) {
	policy, known := l.Reconciler.drift.policy(p.Commit)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.targets = p.Targets
	if known {
		l.policy = policy.drift
	}
}

// outOfReach tells of nodes that can't be reached; "" where there are none.
func outOfReach(down map[string]string) string {
	lines := make([]string, 0, len(down))
	for _, node := range slices.Sorted(maps.Keys(down)) {
		lines = append(lines, fmt.Sprintf("node %s can't be reached: %s", node, down[node]))
	}
	return strings.Join(lines, "\n")
}
