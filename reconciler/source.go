package reconciler

import (
	"context"
	"errors"

	"hostctl/schema"
)

// ErrNoCommit says that the watched branch has no commit yet.
var ErrNoCommit = errors.New("the branch has no commit yet; push one")

// Source is the config repository.
type Source interface {
	// Head returns the newest commit of the watched branch, 40 hex digits, or ErrNoCommit.
	Head(ctx context.Context) (string, error)
	// Resolve returns the commit that a revision names.
	Resolve(ctx context.Context, rev string) (string, error)
	// Tree returns the files of a commit. A tree that can be closed (io.Closer) is closed after use.
	Tree(ctx context.Context, commit string) (schema.Tree, error)
	// Relation tells how commit b stands to commit a.
	Relation(ctx context.Context, a, b string) (Relation, error)
	// Watch calls changed soon after the branch has moved, and now and then without cause, until ctx is done. It is a
	// hint: the caller asks Head. It returns nil when ctx is done.
	Watch(ctx context.Context, changed func()) error
}

// Relation is how one commit stands to another.
type Relation string

// The relations of b to a.
const (
	Same     Relation = "same"
	Ahead    Relation = "ahead"    // a is an ancestor of b
	Behind   Relation = "behind"   // b is an ancestor of a
	Diverged Relation = "diverged" // neither; or a is not in the repository
)

// Incoming is the ability of a Source to read what is pushed before it is accepted.
type Incoming interface {
	// Incoming returns the source together with the objects of a push, which git keeps apart in a folder of its own within
	// the repository. Any other folder is an error.
	Incoming(objects string) (Source, error)
}
