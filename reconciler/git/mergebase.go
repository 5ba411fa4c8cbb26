package git

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// MergeBase returns the newest commit that two revisions have in common (git-merge-base(1)). Where they have none it
// is an error.
func (s *Source) MergeBase(ctx context.Context, a, b string) (string, error) {
	var ids [2]string
	for i, rev := range []string{a, b} {
		id, err := s.Resolve(ctx, rev)
		if err != nil {
			return "", err
		}
		ids[i] = id
	}
	repo, err := s.repository()
	if err != nil {
		return "", fmt.Errorf("open repository %s: %w", s.gitDir, err)
	}
	p, err := paint(ctx, repo, plumbing.NewHash(ids[0]), plumbing.NewHash(ids[1]))
	if err != nil {
		return "", fmt.Errorf("find what %s and %s have in common: %w", a, b, notFound(err))
	}
	if p.common == nil {
		return "", fmt.Errorf("%s and %s have no commit in common", a, b)
	}
	return p.common.Hash.String(), nil
}
