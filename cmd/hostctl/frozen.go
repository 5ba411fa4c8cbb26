package main

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/schema"
)

// mistakes says that a plan leaves tenants out, whose files can't be read as they are. The plan has told which and why.
func mistakes(p planner.Plan) error {
	n := 0
	for _, f := range p.Frozen {
		n += len(f.Errors)
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%s to mend; check with 'hostctl validate'", count(n, "problem", "problems"))
}

// leftOut says what has become of a commit in which the files of some tenants can't be read.
func leftOut(tenants []string) string {
	return fmt.Sprintf("Frozen: %s. All else of this commit is applied. Mend it and push again.", strings.Join(tenants, ", "))
}

// brought returns the mistakes in tenants' files that a push brings itself. One that was on the branch before must not keep
// others from pushing.
func brought(ctx context.Context, source *git.Source, from, to string, p planner.Plan) error {
	if len(p.Frozen) == 0 {
		return nil
	}
	before := map[string]schema.BlobID{}
	if !zeros(from) {
		var err error
		if before, err = filesOf(ctx, source, from); err != nil {
			return err
		}
	}
	after, err := filesOf(ctx, source, to)
	if err != nil {
		return err
	}
	var all reconciler.FrozenError
	for _, f := range p.Frozen {
		elsewhere := func(path string, _ schema.BlobID) bool { return !strings.HasPrefix(path, "tenants/"+f.Tenant+"/") }
		a, b := maps.Clone(before), maps.Clone(after)
		maps.DeleteFunc(a, elsewhere)
		maps.DeleteFunc(b, elsewhere)
		if !maps.Equal(a, b) {
			all.Frozen = append(all.Frozen, f)
		}
	}
	if len(all.Frozen) == 0 {
		return nil
	}
	return &all
}

func filesOf(ctx context.Context, source *git.Source, commit string) (map[string]schema.BlobID, error) {
	tree, err := source.Tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	files := map[string]schema.BlobID{}
	err = tree.Walk(func(path string, blob schema.BlobID, mode fs.FileMode) error {
		files[path] = blob + schema.BlobID(mode.String())
		return nil
	})
	return files, err
}
