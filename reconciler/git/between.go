package git

import (
	"container/heap"
	"context"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// eachBetween calls fn for the commits that b has and a doesn't, the newest first. It reads about as many commits as have
// come since the two parted, however long the history before is. It misses none, whatever times commits claim; where
// a commit claims to be older than what it contains, one that a has may be among them, as with git rev-list a..b.
func (s *Source) eachBetween(ctx context.Context, a, b string, fn func(*object.Commit)) error {
	repo, err := s.repository()
	if err != nil {
		return err
	}
	all := func(c *object.Commit) bool {
		fn(c)
		return true
	}
	seen := map[plumbing.Hash]bool{}
	if a == "" {
		return walk(ctx, repo, plumbing.NewHash(b), seen, all)
	}
	p, err := paint(ctx, repo, plumbing.NewHash(a), plumbing.NewHash(b))
	if err != nil {
		return err
	}
	if !p.skewed {
		for _, c := range p.order {
			if p.colours[c.Hash] == ofB {
				fn(c)
			}
		}
		return nil
	}
	// The times can't be relied on: all that a has is read.
	if err := walk(ctx, repo, plumbing.NewHash(a), seen, func(*object.Commit) bool { return true }); err != nil {
		return err
	}
	return walk(ctx, repo, plumbing.NewHash(b), seen, all)
}

// colour is whose ancestor a commit is, with that one itself.
type colour uint8

const (
	ofA colour = 1 << iota
	ofB
	ofBoth = ofA | ofB
)

// painted is what two commits' histories have, as far back as one of them has something of its own.
type painted struct {
	order   []*object.Commit // the newest first
	colours map[plumbing.Hash]colour
	common  *object.Commit // the newest that both have; nil where there is none
	skewed  bool           // a commit was met that is newer than one of its children: colours may lack what is further back
}

// paint walks back from two commits at once, newer ones first, until all that is left to walk is of both: as git does it
// (commit-reach.c, paint_down_to_common). It relies on parents being older than their children, and says
// where it has seen that they aren't. A commit from the future counts as such.
func paint(ctx context.Context, repo *gogit.Repository, a, b plumbing.Hash) (*painted, error) {
	w := &painter{repo: repo, painted: painted{colours: map[plumbing.Hash]colour{}}, popped: map[plumbing.Hash]bool{}}
	var err error
	if w.ends, err = shallowEnds(repo); err != nil {
		return nil, err
	}
	for id, c := range map[plumbing.Hash]colour{a: ofA, b: ofB} {
		if a == b {
			c = ofBoth
		}
		if err := w.reach(id, c, time.Time{}); err != nil {
			return nil, err
		}
	}
	for w.unsettled > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := w.step(); err != nil {
			return nil, err
		}
	}
	w.findCommon()
	return &w.painted, nil
}

type painter struct {
	painted
	repo      *gogit.Repository
	ends      map[plumbing.Hash]bool // where a shallow clone ends
	queue     newestFirst
	popped    map[plumbing.Hash]bool
	unsettled int // commits in the queue that are of one alone
}

func shallowEnds(repo *gogit.Repository) (map[plumbing.Hash]bool, error) {
	shallow, err := repo.Storer.Shallow()
	if err != nil {
		return nil, err
	}
	ends := make(map[plumbing.Hash]bool, len(shallow))
	for _, h := range shallow {
		ends[h] = true
	}
	return ends, nil
}

// reach gives a commit a colour, and queues it when it is new.
func (w *painter) reach(id plumbing.Hash, with colour, child time.Time) error {
	had := w.colours[id]
	now := had | with
	w.colours[id] = now
	switch {
	case had == now:
		return nil
	case w.popped[id]:
		w.skewed = true // it came before one of its children
		return nil
	case had != 0: // it waits, and is of both now
		w.unsettled--
		return nil
	}
	c, err := w.repo.CommitObject(id)
	if err != nil {
		return err
	}
	when := c.Committer.When
	if !child.IsZero() && when.After(child) || when.After(time.Now().Add(time.Hour)) {
		w.skewed = true
	}
	if now != ofBoth {
		w.unsettled++
	}
	heap.Push(&w.queue, c)
	return nil
}

// step takes the newest commit of the queue and goes to its parents.
func (w *painter) step() error {
	c := heap.Pop(&w.queue).(*object.Commit)
	w.popped[c.Hash] = true
	w.order = append(w.order, c)
	is := w.colours[c.Hash]
	if is != ofBoth {
		w.unsettled--
	}
	if w.ends[c.Hash] {
		return nil
	}
	for _, parent := range c.ParentHashes {
		if err := w.reach(parent, is, c.Committer.When); err != nil {
			return err
		}
	}
	return nil
}

// findCommon finds the newest commit of both, among those that were met.
func (w *painter) findCommon() {
	for _, c := range append(w.order, w.queue...) {
		if w.colours[c.Hash] == ofBoth && (w.common == nil || c.Committer.When.After(w.common.Committer.When)) {
			w.common = c
		}
	}
}
