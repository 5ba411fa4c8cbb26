package reconciler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"hostctl/planner"
	"hostctl/schema"
)

// FrozenError tells of tenants whose files can't be read as they are. Nothing of theirs was changed.
type FrozenError struct{ Frozen []schema.Frozen }

func (e *FrozenError) Error() string {
	var lines []string
	for _, f := range e.Frozen {
		lines = append(lines, f.Errors...)
	}
	for _, f := range e.Frozen {
		lines = append(lines, fmt.Sprintf("nothing of tenant %s is changed until this is mended", f.Tenant))
	}
	return strings.Join(lines, "\n")
}

// tenants returns whom an error says to be frozen, nil where it says something else.
func tenants(err error) []string {
	var frozen *FrozenError
	if !errors.As(err, &frozen) {
		return nil
	}
	var names []string
	for _, f := range frozen.Frozen {
		names = append(names, f.Tenant)
	}
	return names
}

// frozen returns the *FrozenError of a plan, or nil.
func frozen(p planner.Plan) error {
	if len(p.Frozen) == 0 {
		return nil
	}
	return &FrozenError{Frozen: p.Frozen}
}

// load reads a tree. What is wrong in one tenant's folder stops nobody else and deletes nothing: that folder is read as
// the last commit that could be read had it (guarantee G8). Where that makes no whole, or something else is wrong, the
// schema.Errors of the tree itself are returned.
func (r *Reconciler) load(ctx context.Context, tree schema.Tree, live planner.Live) (schema.Manifest, error) {
	m, loadErr := schema.Load(tree, r.Cache)
	bad, ok := schema.InTenants(loadErr)
	if !ok || r.Source == nil {
		return m, loadErr
	}
	runs, err := r.Inventory.Runs(ctx, 1)
	if err != nil {
		return m, fmt.Errorf("read runs: %w", err)
	}
	from := map[string]schema.Tree{}
	defer closeTrees(from)
	var all []schema.Frozen
	for ok {
		for tenant, errs := range bad {
			commit := ""
			if len(runs) > 0 {
				commit = runs[0].Commit
			}
			if c := live.Memory.Frozen[tenant]; c != "" {
				commit = c
			}
			if from[tenant] != nil || commit == "" {
				return m, loadErr // that folder is not what is wrong, or there is none before
			}
			if from[tenant], err = r.Source.Tree(ctx, commit); err != nil {
				return m, fmt.Errorf("read commit %s: %w", short(commit), err)
			}
			all = append(all, frozenAt(tenant, commit, errs))
		}
		var again schema.Manifest
		if again, err = schema.Load(schema.WithTenants(tree, from), r.Cache); err == nil {
			slices.SortFunc(all, func(a, b schema.Frozen) int { return strings.Compare(a.Tenant, b.Tenant) })
			again.Frozen = all
			return again, nil
		}
		bad, ok = schema.InTenants(err)
	}
	return m, loadErr
}

func closeTrees(all map[string]schema.Tree) {
	for _, t := range all {
		if c, ok := t.(io.Closer); ok {
			_ = c.Close() // only read
		}
	}
}

func frozenAt(tenant, commit string, errs schema.Errors) schema.Frozen {
	f := schema.Frozen{Tenant: tenant, Commit: commit}
	for _, e := range errs {
		f.Errors = append(f.Errors, e.Error())
	}
	return f
}
