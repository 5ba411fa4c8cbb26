package executors

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what a caller may do about an error.
type Kind string

// The kinds of errors.
const (
	Unreachable Kind = "unreachable" // the target doesn't answer: later, and meanwhile without it
	Busy        Kind = "busy"        // worth another try soon
	Refused     Kind = "refused"     // the far side said no to this content: another try gives the same answer
	Conflict    Kind = "conflict"    // what is there is not what the plan was made against
	Drifted     Kind = "drifted"     // what is there is not what the change starts from: it was left as it was found
	Blocked     Kind = "blocked"     // something that it needs failed; it wasn't tried
	Canceled    Kind = "canceled"    // the run was stopped before it was tried
	Unknown     Kind = "unknown"
)

// Error is an error with a kind for machines and a message for people.
type Error struct {
	Kind  Kind
	Batch bool // the far side refused the batch as a whole; this change may be innocent
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a kind; the format may use %w.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Err: fmt.Errorf(format, args...)}
}

// RefuseBatch returns n times the same error: the far side refused the batch as a whole. Run bisects it.
func RefuseBatch(n int, err error) []error {
	e := &Error{Kind: KindOf(err), Batch: true, Err: err}
	if e.Kind == Unknown {
		e.Kind = Refused
	}
	errs := make([]error, n)
	for i := range errs {
		errs[i] = e
	}
	return errs
}

// All returns n times err: the errors of a batch of which nothing was done. err may be nil.
func All(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// KindOf returns the kind of an error: "" for nil, Unknown for one that says nothing.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Unknown
}
