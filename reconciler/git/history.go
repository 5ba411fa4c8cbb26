package git

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"hostctl/reconciler"
)

// Info is who changed what, and when.
type Info struct {
	Commit  string
	Author  string
	Email   string
	Time    time.Time // of the author
	Subject string    // first line of the message
	Body    string    // the rest of it
	Parents []string
}

// Commit returns what a revision's commit says of itself. A revision that names none is ErrNoRevision.
func (s *Source) Commit(ctx context.Context, rev string) (Info, error) {
	id, err := s.Resolve(ctx, rev)
	if err != nil {
		return Info{}, err
	}
	repo, err := s.repository()
	if err != nil {
		return Info{}, fmt.Errorf("open repository %s: %w", s.gitDir, err)
	}
	c, err := repo.CommitObject(plumbing.NewHash(id))
	if err != nil {
		return Info{}, fmt.Errorf("read commit %s: %w", id, notFound(err))
	}
	return infoOf(c), nil
}

func infoOf(c *object.Commit) Info {
	subject, body, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	info := Info{
		Commit: c.Hash.String(), Author: c.Author.Name, Email: c.Author.Email, Time: c.Author.When,
		Subject: strings.TrimSpace(subject), Body: strings.TrimSpace(body),
	}
	for _, p := range c.ParentHashes {
		info.Parents = append(info.Parents, p.String())
	}
	return info
}

// Relation implements reconciler.Source.
func (s *Source) Relation(ctx context.Context, a, b string) (reconciler.Relation, error) {
	if a == b {
		return reconciler.Same, nil
	}
	rel, err := s.relation(ctx, plumbing.NewHash(a), plumbing.NewHash(b))
	if err != nil {
		return "", fmt.Errorf("compare commits %s and %s: %w", a, b, err)
	}
	return rel, nil
}

func (s *Source) relation(ctx context.Context, a, b plumbing.Hash) (reconciler.Relation, error) {
	repo, err := s.repository()
	if err != nil {
		return "", err
	}
	if _, err := repo.CommitObject(a); errors.Is(err, plumbing.ErrObjectNotFound) {
		return reconciler.Diverged, nil
	}
	p, err := paint(ctx, repo, a, b)
	switch {
	case err != nil:
		return "", notFound(err)
	case p.colours[a] == ofBoth:
		return reconciler.Ahead, nil
	case p.colours[b] == ofBoth:
		return reconciler.Behind, nil
	}
	return reconciler.Diverged, nil
}

// Between returns the commits that b has and a doesn't, the newest first: those whose trailers count when b follows a.
// With a "" it is all of b's history.
func (s *Source) Between(ctx context.Context, a, b string) ([]Info, error) {
	infos, err := s.between(ctx, a, b)
	if err != nil {
		return nil, fmt.Errorf("read commits from %s to %s: %w", a, b, notFound(err))
	}
	return infos, nil
}

func (s *Source) between(ctx context.Context, a, b string) (infos []Info, err error) {
	err = s.eachBetween(ctx, a, b, func(c *object.Commit) { infos = append(infos, infoOf(c)) })
	return infos, err
}

// walk passes a commit and its ancestors to fn, newer ones first, until fn returns false. It enters nothing that is in
// seen, and adds what it enters. Where a shallow clone ends, history ends.
func walk(ctx context.Context, repo *gogit.Repository, from plumbing.Hash, seen map[plumbing.Hash]bool, fn func(*object.Commit) bool) error {
	if seen[from] {
		return nil
	}
	first, err := repo.CommitObject(from)
	if err != nil {
		return err
	}
	ends, err := shallowEnds(repo)
	if err != nil {
		return err
	}
	seen[from] = true
	queue := newestFirst{first}
	for len(queue) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := heap.Pop(&queue).(*object.Commit)
		if !fn(c) {
			return nil
		}
		if ends[c.Hash] {
			continue
		}
		for _, h := range c.ParentHashes {
			if seen[h] {
				continue
			}
			p, err := repo.CommitObject(h)
			if err != nil {
				return err
			}
			seen[h] = true
			heap.Push(&queue, p)
		}
	}
	return nil
}

// newestFirst is a heap of commits by commit time: a recent ancestor is found before the whole history is read.
type newestFirst []*object.Commit

func (q newestFirst) Len() int           { return len(q) }
func (q newestFirst) Less(i, j int) bool { return q[i].Committer.When.After(q[j].Committer.When) }
func (q newestFirst) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *newestFirst) Push(c any)        { *q = append(*q, c.(*object.Commit)) }
func (q *newestFirst) Pop() any {
	old := *q
	c := old[len(old)-1]
	*q = old[:len(old)-1]
	return c
}
