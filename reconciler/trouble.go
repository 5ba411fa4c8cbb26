package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// Trouble is what somebody should know of, as long as it lasts.
type Trouble struct {
	Commit string
	Items  []TroubleItem // at least one
}

// TroubleItem is one thing of a Trouble.
type TroubleItem struct {
	Tenant string // whose it is; "" for the platform's
	Object string // what it is about: an object, a resource, a place in a file; "" for the whole
	Text   string // what is wrong
}

// Troubles is all that a Loop knows to be wrong; nil where nothing is.
type Troubles struct {
	Tried   bool     // an attempt has ended since the loop began: Failed and Refused are known
	Failed  *Trouble // the last run, or nodes that can't be reached
	Refused *Trouble // the newest commit
	Looked  bool     // all far sides were looked at since the loop began: Drift is known
	Drift   *Trouble
}

// Troubles returns what is wrong now. What it returns is not changed any more.
func (l *Loop) Troubles() Troubles {
	drift := l.LastDrift()
	l.mu.Lock()
	t := l.troubles
	l.mu.Unlock()
	t.Looked, t.Drift = !drift.Looked.IsZero(), driftTrouble(drift)
	return t
}

func (l *Loop) setTroubles(set func(*Troubles)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	set(&l.troubles)
	l.troubles.Tried = true
}

// failedTrouble tells what failed, object by object where it is a run.
func failedTrouble(commit string, err error) *Trouble {
	t := &Trouble{Commit: commit}
	var run *executors.RunError
	if errors.As(err, &run) {
		for _, f := range run.Failures {
			if k := executors.KindOf(f.Err); k == executors.Blocked || k == executors.Canceled {
				continue // the consequence of another
			}
			t.Items = append(t.Items, TroubleItem{Tenant: f.Change.Owner().Tenant, Object: f.Change.Ref().String(), Text: f.Err.Error()})
		}
	}
	if len(t.Items) == 0 {
		t.Items = []TroubleItem{{Text: err.Error()}}
	}
	return t
}

// awayTrouble tells of nodes that can't be reached; nil where there are none.
func awayTrouble(commit string, down map[string]string) *Trouble {
	if len(down) == 0 {
		return nil
	}
	t := &Trouble{Commit: commit}
	for _, node := range slices.Sorted(maps.Keys(down)) {
		t.Items = append(t.Items, TroubleItem{Object: "node " + node, Text: "can't be reached: " + down[node]})
	}
	return t
}

// refusedTrouble tells why a commit is refused, tenant by tenant where that is known.
func refusedTrouble(commit string, err error) *Trouble {
	t := &Trouble{Commit: commit}
	var (
		input  schema.Errors
		plan   *planner.RefusedError
		frozen *FrozenError
	)
	switch {
	case errors.As(err, &frozen):
		for _, f := range frozen.Frozen {
			t.Items = append(t.Items, TroubleItem{Tenant: f.Tenant, Text: strings.Join(f.Errors, "\n")})
		}
	case errors.As(err, &input):
		for _, e := range input {
			t.Items = append(t.Items, TroubleItem{Tenant: tenantOfFile(e.File), Text: e.Error()})
		}
	case errors.As(err, &plan):
		for _, r := range plan.Refusals {
			tenant, _, _ := strings.Cut(r.Owner, "/")
			t.Items = append(t.Items, TroubleItem{Tenant: strings.TrimPrefix(tenant, "-"), Object: r.Owner, Text: r.String()})
		}
	}
	if len(t.Items) == 0 {
		t.Items = []TroubleItem{{Text: err.Error()}}
	}
	return t
}

func tenantOfFile(file string) string {
	below, ok := strings.CutPrefix(path.Clean(file), "tenants/")
	tenant, _, in := strings.Cut(below, "/")
	if !ok || !in {
		return ""
	}
	return tenant
}

// driftTrouble tells of drift; nil where there is none.
func driftTrouble(d Drift) *Trouble {
	if len(d.Found) == 0 {
		return nil
	}
	t := &Trouble{Commit: d.Commit}
	for _, f := range d.Found {
		text := string(f.State)
		if len(f.Differences) > 0 {
			text += ": " + strings.Join(f.Differences, "; ")
		}
		switch {
		case f.Fighting != nil:
			text += fmt.Sprintf("; it came back %d times and is no longer corrected", f.Fighting.Times)
		case f.Mode == schema.DriftCorrect:
			text += "; it is corrected"
		}
		t.Items = append(t.Items, TroubleItem{Tenant: f.Owner.Tenant, Object: f.Ref.String(), Text: text})
	}
	return t
}

// Audience is who is told what happens to a platform, as one commit has it.
type Audience struct {
	Platform      string // its domain
	Notifications []schema.Notification
}

// Audience returns who is told, by what a commit says.
func (r *Reconciler) Audience(ctx context.Context, commit string) (Audience, error) {
	p, ok := r.drift.policy(commit)
	if !ok {
		live, err := r.Inventory.Live(ctx)
		if err == nil {
			p, err = r.policies(ctx, live, commit)
		}
		if err != nil {
			return Audience{}, fmt.Errorf("read who is told: %w", err)
		}
	}
	return p.audience, nil
}
