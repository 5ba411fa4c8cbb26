package reconciler

import (
	"context"
	"fmt"

	"hostctl/planner"
	"hostctl/schema"
)

// Declared returns what a commit declares, as it is made true: of a tenant that is frozen, what the commit before had.
// Nothing of it is remembered.
func (r *Reconciler) Declared(ctx context.Context, live planner.Live, commit string) (schema.Manifest, error) {
	aside, err := r.besides(ctx, Ask{})
	if err != nil {
		return schema.Manifest{}, err
	}
	tree, err := r.Source.Tree(ctx, commit)
	if err != nil {
		return schema.Manifest{}, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	defer done(tree)
	m, err := aside.load(ctx, tree, live)
	if err != nil {
		return schema.Manifest{}, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	m.Commit = commit
	return m, nil
}

// CommitInfo is what a commit says of itself.
type CommitInfo struct {
	Commit  string   `json:"commit"`
	Author  string   `json:"author,omitempty"`
	Time    string   `json:"time"` // of the author, RFC 3339, UTC
	Subject string   `json:"subject,omitempty"`
	Folders []string `json:"folders,omitempty"` // that it changes: tenants/acme, clusters/eu-1, platform; sorted
}

// Historian is the ability of a Source to tell which commits have changed a file.
type Historian interface {
	// History returns the commits that have changed a file, from one on and back from it, the newest first, at most limit;
	// next is where the page after this one begins, "" where there is none.
	History(ctx context.Context, from, path string, limit int) (commits []CommitInfo, next string, err error)
}
