package cron

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// failuresAtMost is how often in a row a job may fail before it isn't run any more.
const failuresAtMost = 5

// record is how a job's runs went: a file on the shard's volume, that every node of the shard reads and writes under a lock.
// So a run that is due is begun by one node only, whichever of them think that it is theirs.
type record string

// entry is what a record holds.
type entry struct {
	Node     string    `json:"node"`     // that runs the job
	Content  string    `json:"content"`  // see contentOf: another one has failed never
	Due      time.Time `json:"due"`      // of the last run that was begun, or left out
	Failures int       `json:"failures"` // in a row
	Last     outcome   `json:"last"`
}

// outcome is how a run ended.
type outcome struct {
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"` // "": well
}

func (e entry) disabled() bool { return e.Failures >= failuresAtMost }

// read returns the entry; an empty one where there is none yet. A file that nobody can read is as good as none: it was
// written while the machine stopped.
func (r record) read() (entry, error) {
	var e entry
	b, err := os.ReadFile(string(r) + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return e, err
	}
	if whole := json.Unmarshal(b, &e) == nil; !whole {
		e = entry{}
	}
	return e, nil
}

// change rewrites the entry, while nobody else does. What fn returns an error for isn't written.
func (r record) change(fn func(*entry) error) error {
	if err := os.MkdirAll(filepath.Dir(string(r)), 0o700); err != nil {
		return err
	}
	lock, err := r.lock(".lock", true)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	e, err := r.read()
	if err != nil {
		return err
	}
	if err := fn(&e); err != nil {
		return err
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return replaceFile(string(r)+".json", append(b, '\n'))
}

// errHeld says that somebody else holds a lock.
var errHeld = errors.New("held by another run")

// lock takes one of the record's locks (flock(2)), which hold across the nodes that share the volume. It is given back with
// the file.
func (r record) lock(what string, wait bool) (*os.File, error) {
	return lockFile(string(r)+what, wait)
}

func lockFile(path string, wait bool) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_EX
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errHeld
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// begin notes which node runs a job, and what it is from now on. Another job than before, or the same one afresh, has never
// failed.
func (r record) begin(node, content string, afresh bool) error {
	return r.change(func(e *entry) error {
		e.Node = node
		if afresh || e.Content != content {
			e.Content, e.Failures, e.Last = content, 0, outcome{}
		}
		return nil
	})
}

// forget removes the record, if the job didn't go to another node meanwhile. The locks stay: others may wait for them.
func (r record) forget(node string) error {
	e, err := r.read()
	if err != nil || e.Node != node {
		return err
	}
	return remove(string(r) + ".json")
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// notDueError says why a run isn't begun.
type notDueError string

func (e notDueError) Error() string { return string(e) }

// take takes the run that is due at a time. It is a notDueError where another node has, or the job isn't run any more.
func (r record) take(content string, due time.Time) error {
	return r.change(func(e *entry) error {
		switch {
		case e.Content != content:
			return notDueError("the job has changed")
		case e.disabled():
			return notDueError("the job failed " + times(e.Failures))
		case !due.After(e.Due) && !e.Due.After(time.Now().Add(lateAtMost)): // else it was noted while a clock was wrong
			return notDueError(fmt.Sprintf("the run of %s was begun already", e.Due.UTC().Format(time.RFC3339)))
		}
		e.Due = due
		return nil
	})
}

// end notes how a run went, and returns how often in a row the job has failed.
func (r record) end(content string, o outcome) (failures int, err error) {
	err = r.change(func(e *entry) error {
		if e.Content != content {
			return nil // of what the job was before
		}
		e.Last = o
		if o.Error == "" {
			e.Failures = 0
		} else {
			e.Failures++
		}
		failures = e.Failures
		return nil
	})
	return failures, err
}
