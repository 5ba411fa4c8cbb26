package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// Delegation is what the parent of a signed zone has to have.
type Delegation struct {
	Zone string   `json:"zone"`
	DS   []string `json:"ds"` // "tag algorithm digest-type digest", RFC 4034 5.3; none where the zone isn't signed yet
}

// Delegations asks the name servers for the DS records of the zones that are signed, or of the one with that domain. What
// they answer for is told even where others don't answer, with an error.
func (r *Reconciler) Delegations(ctx context.Context, zone string) ([]Delegation, error) {
	live, err := r.Inventory.Live(ctx)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	asked := map[string][]planner.Ref{} // by target
	for ref, o := range live.State {
		if z, ok := o.(planner.Zone); ok && z.Signed && (zone == "" || zone == z.Name) {
			asked[ref.Target] = append(asked[ref.Target], planner.Ref{Kind: planner.KindRRset, Target: ref.Target, Name: z.Name + "/" + z.Name + "/CDS"})
		}
	}
	var out []Delegation
	var errs []error
	for _, target := range slices.Sorted(maps.Keys(asked)) {
		present, err := r.presentAt(ctx, live, target, asked[target])
		if err != nil {
			errs = append(errs, fmt.Errorf("ask the name servers %s: %w", target, err))
			continue
		}
		for _, ref := range asked[target] {
			d := Delegation{DS: []string{}}
			d.Zone, _, _ = strings.Cut(ref.Name, "/")
			if set, ok := present[ref].(planner.RRset); ok {
				d.DS = append(d.DS, set.Values...)
			}
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b Delegation) int { return strings.Compare(a.Zone, b.Zone) })
	return out, errors.Join(errs...)
}

// delegationTimeout is how long one name server may take to answer.
const delegationTimeout = 10 * time.Second

// presentAt asks the nodes of a target, one after the other, until one answers.
func (r *Reconciler) presentAt(ctx context.Context, live planner.Live, target string, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	nodes := []string{target}
	at := map[string]planner.Target{}
	for _, t := range live.Targets {
		at[t.Name] = t
		if t.Name == target && len(t.AnyOf) > 0 {
			nodes = t.AnyOf
		}
	}
	errs := []error{errors.New("none was asked")}
	for _, n := range nodes {
		present, err := r.presentOn(ctx, live, at[n], refs)
		if err == nil {
			return present, nil
		}
		if errs = append(errs, fmt.Errorf("%s: %w", n, err)); len(errs) == 2 {
			errs = errs[1:]
		}
	}
	return nil, errors.Join(errs...)
}

func (r *Reconciler) presentOn(ctx context.Context, live planner.Live, t planner.Target, refs []planner.Ref) (map[planner.Ref]planner.Object, error) {
	if t.Name == "" {
		return nil, errors.New("no plan has told where it is")
	}
	ctx, cancel := context.WithTimeout(ctx, delegationTimeout)
	defer cancel()
	session, close := r.looking(ctx, live.Instance, live.Commit, []planner.Target{t})
	defer close()
	far, err := r.Connect(t, session)
	if err != nil {
		return nil, err
	}
	defer done(far)
	reader, ok := far.(executors.Reader)
	if !ok {
		return nil, errors.New("it can't be asked for single objects")
	}
	return reader.Present(ctx, refs)
}
