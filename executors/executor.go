// Package executors carries plans out. An Executor is one far side (Docker, a node agent, PowerDNS, HAProxy); Run takes a
// plan through them stage by stage, records what it starts and what has finished, and lets a failure stop only what
// needs the failed change.
//
// Executors do and decide nothing. They don't log, and they don't know each other.
package executors

import (
	"context"

	"hostctl/planner"
	"hostctl/schema"
)

// Executor applies changes to one target. It must succeed where a change is already done, wholly or in part, and must
// start nothing once ctx is done. The slice it returns has one element for each change, nil for success; a far side that
// refuses a batch as a whole returns the same error for all of them (see Refused), and Run finds the guilty ones.
type Executor interface {
	Apply(ctx context.Context, cs []planner.Change) []error
}

// Observer is the second ability some executors have: to say what really is there, read from the running configuration
// and not from notes of what was once applied. Objects have no owner and no needs. Secrets aren't in them.
type Observer interface {
	Observe(ctx context.Context) ([]planner.Object, error)
}

// Reader is the third ability: to say what is there of a few objects, and read no more than that. What isn't there isn't
// in the answer; what is there and can't be read as such an object is an Altered. Whether it serves, Observe tells: a
// vhost in the configuration of an nginx that is stopped is present.
type Reader interface {
	Present(ctx context.Context, refs []planner.Ref) (map[planner.Ref]planner.Object, error)
}

// Altered is what stands in the place of an object and is no such object any more: a file that was edited by hand, a
// container that somebody else made. It has the hash of no object.
type Altered struct {
	Is  planner.Ref
	How string // in a few words, without content
}

// Ref implements planner.Object.
func (a Altered) Ref() planner.Ref { return a.Is }

// Owner implements planner.Object: nobody's.
func (a Altered) Owner() planner.Owner { return planner.Owner{} }

// Needs implements planner.Object.
func (a Altered) Needs() []planner.Ref { return nil }

// Blobs gives the bytes of the files that a plan puts in place.
type Blobs interface {
	Read(blob schema.BlobID) ([]byte, error)
}

// Recorder keeps the journal of a run. Each call is one transaction. Started must have returned before anything is
// touched; after a Started that fails nothing of cs is touched, and where the error is a *ConflictError, it is recorded
// for those that it doesn't name by another Started. Finished also takes changes that failed without having been started.
type Recorder interface {
	Started(ctx context.Context, cs []planner.Change) error
	Finished(ctx context.Context, cs []planner.Change, errs []error) error
}

// Secrets gives the values of secrets in clear, where a plan puts them. What it returns is nowhere else: not in a log, an
// error, a plan or the inventory.
type Secrets interface {
	Reveal(ctx context.Context, s planner.Secret) ([]byte, error)
}
