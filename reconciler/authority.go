package reconciler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"hostctl/executors"
	"hostctl/planner"
)

// Authority is the ability of a Source to tell which commits lack the signatures and approvals that the Platform asks for.
type Authority interface {
	// Lacking returns the commits that b has and a hasn't, the newest first, which lack what the Platform of a asks for; a is
	// what is true already, so nobody lets himself in. With a "" nothing is asked. Rules and keys that can't be read, of a or
	// of b, are a *RulesError.
	Lacking(ctx context.Context, a, b string) ([]Lack, error)
}

// Lack is a commit that doesn't carry a signature, or have an approval, that it must.
type Lack struct {
	Commit  string
	Subject string
	File    string // the first that it changes and that asks for it

	Approval bool     // approvals are missing, and not the signature
	Wanted   []string // whose
	Why      string   // "it isn't signed"
}

func (l Lack) String() string {
	wanted := "a signature of"
	if l.Approval {
		wanted = "approval of"
	}
	return fmt.Sprintf("commit %s %q changes %q: %s; wanted: %s %s", short(l.Commit), l.Subject, l.File, l.Why, wanted, strings.Join(l.Wanted, " or "))
}

// RulesError says that nobody can tell who may sign.
type RulesError struct{ Err error }

func (e *RulesError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RulesError) Unwrap() error { return e.Err }

// UnauthorisedError refuses a commit whose history since the one before lacks signatures or approvals.
type UnauthorisedError struct {
	Base, Commit string
	Lacking      []Lack
}

func (e *UnauthorisedError) Error() string {
	var lines []string
	for _, l := range e.Lacking {
		lines = append(lines, l.String())
	}
	return strings.Join(append(lines, "not applied: "+e.Missing(), e.WayOut()), "\n")
}

// Missing says what the commits lack, in sum.
func (e *UnauthorisedError) Missing() string {
	signatures, approvals := e.counts()
	var parts []string
	if signatures > 0 {
		parts = append(parts, commits(signatures)+" without the signature that is asked for")
	}
	if approvals > 0 {
		parts = append(parts, commits(approvals)+" without the approval that is asked for")
	}
	return strings.Join(parts, ", ")
}

// WayOut says what to do.
func (e *UnauthorisedError) WayOut() string {
	signatures, approvals := e.counts()
	var ways []string
	if signatures > 0 {
		ways = append(ways, fmt.Sprintf(`Sign them: 'git rebase --exec "git commit --amend --no-edit -S" %s'`, short(e.Base)))
	}
	if approvals > 0 {
		ways = append(ways, fmt.Sprintf("An approver looks at it and runs 'hostctl approve %s'", short(e.Commit)))
	}
	return strings.Join(ways, ". ")
}

func (e *UnauthorisedError) counts() (signatures, approvals int) {
	for _, l := range e.Lacking {
		if l.Approval {
			approvals++
		} else {
			signatures++
		}
	}
	return signatures, approvals
}

func commits(n int) string {
	if n == 1 {
		return "1 commit"
	}
	return fmt.Sprintf("%d commits", n)
}

// granted remembers the last commit that was found to lack nothing, since the one before.
type granted struct {
	mu   sync.Mutex
	last [2]string
}

func (g *granted) has(base, commit string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last == [2]string{base, commit}
}

func (g *granted) grant(base, commit string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = [2]string{base, commit}
}

// Authorised refuses a commit whose history since base, which is true already, lacks signatures or approvals that base asks
// for: an *UnauthorisedError or a *RulesError. The first commit of an inventory, base "", is trusted as it is.
func (r *Reconciler) Authorised(ctx context.Context, base, commit string) error {
	source, ok := r.Source.(Authority)
	if !ok || base == "" || base == commit || r.granted.has(base, commit) {
		return nil
	}
	lacking, err := source.Lacking(ctx, base, commit)
	switch {
	case err != nil:
		return fmt.Errorf("who may change what, since commit %s: %w", short(base), err)
	case len(lacking) > 0:
		return &UnauthorisedError{Base: base, Commit: commit, Lacking: lacking}
	}
	r.granted.grant(base, commit)
	return nil
}

// BreakGlass is Apply for when keys are lost: it asks for no signature and no approval. The reason stands in the journal,
// beside who ran it. What comes after that commit is judged by that commit's rules.
func (r *Reconciler) BreakGlass(ctx context.Context, p planner.Plan, reason string, progress func(executors.Event)) error {
	if err := CheckReason(reason); err != nil {
		return err
	}
	return r.apply(ctx, p, applying{why: reason}, progress)
}

// mayApply refuses a commit as Authorised does, unless the glass is broken, and returns who is to stand in the journal.
func (r *Reconciler) mayApply(ctx context.Context, base, commit, why string) (Holder, error) {
	by := r.Holder
	if why == "" {
		return by, r.Authorised(ctx, base, commit)
	}
	by.Name = fmt.Sprintf("%s (break-glass: %s)", by.Name, why)
	r.Log.Warn("break-glass: signatures and approvals aren't asked for", "commit", short(commit), "reason", why)
	return by, nil
}

// maxReason bounds a reason, in bytes.
const maxReason = 200

// CheckReason refuses what can't stand in the journal as a reason.
func CheckReason(reason string) error {
	if strings.TrimSpace(reason) == "" || len(reason) > maxReason || planner.Printable(reason) != reason || strings.ContainsAny(reason, "\r\n\t") {
		return errors.New("break-glass needs a reason, for the journal: a line of at most 200 characters")
	}
	return nil
}
