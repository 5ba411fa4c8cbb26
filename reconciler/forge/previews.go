package forge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hostctl/reconciler"
	"hostctl/reconciler/git"
	"hostctl/reconciler/outbox"
)

// Repository is the config repository, as far as previews need it: a git.Mirror is one.
type Repository interface {
	// Fetch brings references of the forge's repository here, and returns their commits. One that isn't there is missing in
	// the answer.
	Fetch(ctx context.Context, refs ...string) (map[string]string, error)
	// Forget says that references which were fetched aren't needed any more.
	Forget(ctx context.Context, refs ...string) error
	// Merge merges head into base, and moves no branch.
	Merge(ctx context.Context, base, head string) (git.Merged, error)
}

var _ Repository = (*git.Mirror)(nil)

// Here is the repository of a forge on this machine: what would be fetched is there.
type Here struct{ *git.Source }

// Fetch implements Repository.
func (h Here) Fetch(ctx context.Context, refs ...string) (map[string]string, error) {
	commits := map[string]string{}
	for _, ref := range refs {
		commit, err := h.Resolve(ctx, ref)
		switch {
		case err == nil:
			commits[ref] = commit
		case !errors.Is(err, git.ErrNoRevision):
			return nil, err
		}
	}
	return commits, nil
}

// Forget implements Repository. The references are the forge's own.
func (Here) Forget(context.Context, ...string) error { return nil }

// Planner plans what is only proposed: reconciler.Reconciler is one.
type Planner interface {
	Propose(ctx context.Context, base, head string) (reconciler.Preview, error)
}

// Previews has the plan of each open pull request be told in the forge: a status of its newest commit first, then one
// comment, which is replaced as the plan changes. What is to be told is stored before it is sent. One goroutine plans, one
// pull request after the other; hints that come meanwhile come to one look.
//
// Its fields are set once, before Run.
type Previews struct {
	Forge      Forge
	Repository Repository
	Planner    Planner

	Dir      string        // where what was planned and told is kept; made where it isn't there
	Branch   string        // the one that is made true: only what is to be merged into it is planned
	Instance string        // of the inventory; tells the comments of several platforms apart
	Context  string        // of the statuses
	Forks    bool          // plan what comes from forks, whoever has written it
	Poll     time.Duration // between looks at all pull requests, for hints that were lost
	Check    func() error  // whether this process still leads; nil: it does
	Log      *slog.Logger

	box *outbox.Box

	mu      sync.Mutex
	all     bool         // look at all of them
	due     map[int]bool // look at these
	wake    chan struct{}
	records map[int]*record
}

const (
	messageKind = "preview"
	keepTrying  = 7 * 24 * time.Hour // to tell a forge
	soon        = 2 * time.Second    // until a forge is asked again that didn't answer, doubled up to the poll's time
)

// Look has pull requests looked at soon: one by its number, all with 0. It doesn't wait.
func (p *Previews) Look(number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due == nil {
		p.due = map[int]bool{}
	}
	if number == 0 {
		p.all = true
	} else {
		p.due[number] = true
	}
	select {
	case p.waker() <- struct{}{}:
	default:
	}
}

func (p *Previews) waker() chan struct{} {
	if p.wake == nil {
		p.wake = make(chan struct{}, 1)
	}
	return p.wake
}

// Run works until ctx is done, or this process no longer leads. It begins where the one before has stopped.
func (p *Previews) Run(ctx context.Context) error {
	if err := p.load(); err != nil {
		return fmt.Errorf("read what was told of pull requests: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.box.Deliver(ctx, map[string]outbox.Deliver{messageKind: p.deliver}) })
	g.Go(func() error { return p.poll(ctx) })
	g.Go(func() error { return p.work(ctx) })
	return g.Wait()
}

// poll looks at all pull requests now and then.
func (p *Previews) poll(ctx context.Context) error {
	for {
		p.Look(0)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(p.Poll + rand.N(p.Poll/5+1)):
		}
	}
}

// work looks at what is due until ctx is done.
func (p *Previews) work(ctx context.Context) error {
	wait := soon
	for {
		all, due, ok := p.next(ctx)
		if !ok {
			return nil
		}
		err := p.look(ctx, all, due)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was told to stop
		case err == nil:
			wait = soon
			continue
		}
		if lost := p.leads(); lost != nil {
			return lost
		}
		pause := wait
		var later *outbox.Later
		if errors.As(err, &later) {
			pause = max(later.After, time.Second)
		}
		p.Log.Warn("pull requests can't be looked at", "next", pause.Round(time.Second), "error", err)
		wait = min(2*wait, max(p.Poll, soon))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		p.Look(0) // whichever it was
	}
}

// next waits until something is due, and takes all of it.
func (p *Previews) next(ctx context.Context) (all bool, due []int, ok bool) {
	p.mu.Lock()
	wake := p.waker()
	p.mu.Unlock()
	select {
	case <-ctx.Done():
		return false, nil, false
	case <-wake:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all, due = p.all, slices.Sorted(maps.Keys(p.due))
	p.all, p.due = false, nil
	return all, due, true
}

func (p *Previews) leads() error {
	if p.Check == nil {
		return nil
	}
	return p.Check()
}

// look asks the forge how pull requests are, and plans those that have changed, or whose base has. Those that somebody has
// hinted at come first.
func (p *Previews) look(ctx context.Context, all bool, due []int) error {
	open, err := p.ask(ctx, all, due)
	if err != nil || len(open) == 0 {
		return err
	}
	slices.SortStableFunc(open, func(a, b PullRequest) int {
		return boolInt(slices.Contains(due, b.Number)) - boolInt(slices.Contains(due, a.Number))
	})
	branch := "refs/heads/" + p.Branch
	refs := []string{branch}
	for _, pr := range open {
		refs = append(refs, p.Forge.Ref(pr.Number))
	}
	commits, err := p.Repository.Fetch(ctx, refs...)
	if err != nil {
		return fmt.Errorf("fetch pull requests: %w", err)
	}
	base := commits[branch]
	if base == "" {
		return fmt.Errorf("fetch pull requests: the repository has no branch %s", p.Branch)
	}
	for _, pr := range open {
		head := commits[p.Forge.Ref(pr.Number)]
		if head == "" {
			continue // it was closed meanwhile
		}
		if head != pr.Head {
			time.AfterFunc(soon, func() { p.Look(pr.Number) }) // a forge moves its references a moment after it tells
		}
		pr.Head = head
		if err := p.preview(ctx, pr, base, slices.Contains(due, pr.Number)); err != nil {
			return fmt.Errorf("preview pull request %d: %w", pr.Number, err)
		}
	}
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ask returns the open pull requests that are due, and forgets those that aren't open any more.
func (p *Previews) ask(ctx context.Context, all bool, due []int) ([]PullRequest, error) {
	if !all {
		var open []PullRequest
		for _, n := range due {
			pr, err := p.Forge.PullRequest(ctx, n)
			switch {
			case errors.Is(err, ErrNotFound), err == nil && (!pr.Open || pr.Base != p.Branch):
				err = p.forget(ctx, n)
			case err == nil:
				open = append(open, pr)
			}
			if err != nil {
				return nil, err
			}
		}
		return open, nil
	}
	open, err := p.Forge.PullRequests(ctx, p.Branch)
	if err != nil {
		return nil, err
	}
	gone := map[int]bool{}
	p.mu.Lock()
	for n := range p.records {
		gone[n] = true
	}
	p.mu.Unlock()
	for _, pr := range open {
		delete(gone, pr.Number)
	}
	for n := range gone {
		if err := p.forget(ctx, n); err != nil {
			return nil, err
		}
	}
	return open, nil
}

// forget removes what is known of a pull request that is no more.
func (p *Previews) forget(ctx context.Context, number int) error {
	known, err := p.drop(number)
	if err != nil || !known {
		return err
	}
	if err := p.Repository.Forget(ctx, p.Forge.Ref(number)); err != nil {
		return fmt.Errorf("forget pull request %d: %w", number, err)
	}
	return nil
}
