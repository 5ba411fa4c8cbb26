package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"hostctl/reconciler"
)

// Merged is what comes of merging one commit into another.
type Merged struct {
	Commit    string   // the merge; "" where there are conflicts
	Conflicts []string // paths that both sides changed, sorted
}

// mergeTimeout is how long git may take to merge two trees. A configuration takes it milliseconds.
const mergeTimeout = time.Minute

// Merge merges head into base and moves no branch. Where base already leads to head, that is head itself, and where head
// is in base, it is base. Else it is a commit that exists for whoever knows its id: made of the same two commits it is the
// same each time, by whomever. git merges (git-merge-tree(1), since 2.38), in a folder of its own, so that nothing that
// the repository holds or configures is run: no hook, filter, textconv or merge driver.
func (s *Source) Merge(ctx context.Context, base, head string) (Merged, error) {
	m, err := s.merge(ctx, base, head)
	if err != nil {
		return Merged{}, fmt.Errorf("merge %s into %s: %w", head, base, err)
	}
	return m, nil
}

func (s *Source) merge(ctx context.Context, base, head string) (Merged, error) {
	if s.incoming != "" {
		return Merged{}, errors.New("nothing is merged before the push is accepted")
	}
	base, errBase := s.Resolve(ctx, base)
	head, errHead := s.Resolve(ctx, head)
	if err := errors.Join(errBase, errHead); err != nil {
		return Merged{}, err
	}
	switch relation, err := s.Relation(ctx, base, head); {
	case err != nil:
		return Merged{}, err
	case relation == reconciler.Same, relation == reconciler.Ahead:
		return Merged{Commit: head}, nil
	case relation == reconciler.Behind:
		return Merged{Commit: base}, nil
	}
	tree, conflicts, err := s.mergeTree(ctx, base, head)
	if err != nil || len(conflicts) > 0 {
		return Merged{Conflicts: conflicts}, err
	}
	commit, err := s.mergeCommit(tree, base, head)
	return Merged{Commit: commit}, err
}

// mergeTree has git merge the files of two commits, and returns the tree, or the paths in conflict.
func (s *Source) mergeTree(ctx context.Context, base, head string) (tree plumbing.Hash, conflicts []string, err error) {
	aside, err := bareAside()
	if err != nil {
		return tree, nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	ctx, cancel := context.WithTimeout(ctx, mergeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", base, head)
	cmd.Dir = aside
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + aside, "LC_ALL=C",
		"GIT_DIR=" + aside, "GIT_OBJECT_DIRECTORY=" + filepath.Join(s.commonDir, "objects"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
	}
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	var stderr said
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return tree, nil, ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return tree, nil, errors.New("there is no git on this machine, which merges; install git 2.38 or newer")
	case errors.As(err, &exit) && exit.ExitCode() == 1: // in conflict
	case err != nil:
		return tree, nil, mergeFailed(stderr.String(), err)
	}
	return readMerge(out.Bytes())
}

// mergeFailed makes an error of what git says.
func mergeFailed(said string, err error) error {
	switch {
	case strings.Contains(said, "unrelated histories"):
		return errors.New("they have no commit in common")
	case strings.Contains(said, "usage: git merge-tree"), strings.Contains(said, "unknown option"):
		return errors.New("this machine's git is older than 2.38 and can't merge without a work tree; install a newer one")
	case said != "":
		return fmt.Errorf("git merge-tree: %s", said)
	}
	return fmt.Errorf("git merge-tree: %w", err)
}

// readMerge reads what git merge-tree -z --name-only prints: the tree, then the paths in conflict.
func readMerge(out []byte) (tree plumbing.Hash, conflicts []string, err error) {
	fields := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	if !plumbing.IsHash(fields[0]) {
		return tree, nil, errors.New("git merge-tree printed no tree")
	}
	conflicts = fields[1:]
	slices.Sort(conflicts)
	return plumbing.NewHash(fields[0]), slices.Compact(conflicts), nil
}

// bareAside makes an empty repository in a folder of its own, for git to run in: without configuration, attributes and
// hooks.
func bareAside() (string, error) {
	dir, err := os.MkdirTemp("", "hostctl-merge-")
	if err != nil {
		return "", err
	}
	err = errors.Join(
		os.MkdirAll(filepath.Join(dir, "refs"), 0o700), os.MkdirAll(filepath.Join(dir, "objects"), 0o700),
		os.WriteFile(filepath.Join(dir, "HEAD"), []byte("ref: refs/heads/none\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "config"), []byte("[core]\n\tbare = true\n\trepositoryformatversion = 0\n"), 0o600),
	)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// These make merges. The time is the head's, so that the commit has the same id each time.
const mergerName, mergerEmail = "hostctl", "hostctl@localhost"

func (s *Source) mergeCommit(tree plumbing.Hash, base, head string) (string, error) {
	repo, err := s.repository()
	if err != nil {
		return "", err
	}
	c, err := repo.CommitObject(plumbing.NewHash(head))
	if err != nil {
		return "", notFound(err)
	}
	by := object.Signature{Name: mergerName, Email: mergerEmail, When: c.Committer.When.UTC()}
	merge := &object.Commit{
		Author: by, Committer: by, TreeHash: tree,
		Message:      fmt.Sprintf("Merge %s into %s\n", head, base),
		ParentHashes: []plumbing.Hash{plumbing.NewHash(base), plumbing.NewHash(head)},
	}
	o := repo.Storer.NewEncodedObject()
	if err := merge.Encode(o); err != nil {
		return "", err
	}
	id, err := repo.Storer.SetEncodedObject(o)
	if err != nil {
		return "", fmt.Errorf("write the merge: %w", err)
	}
	return id.String(), nil
}

// said keeps the first lines that a program writes on its standard error, up to a size.
type said struct{ bytes.Buffer }

// maxSaid is how much of what another program says is kept, in bytes.
const maxSaid = 4 << 10

var _ io.Writer = (*said)(nil)

// Write implements io.Writer.
func (t *said) Write(p []byte) (int, error) {
	t.Buffer.Write(p[:min(len(p), maxSaid-t.Len())])
	return len(p), nil
}

// String returns what was said in one line.
func (t *said) String() string { return strings.Join(strings.Fields(t.Buffer.String()), " ") }
