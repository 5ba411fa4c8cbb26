package remote

import (
	"context"
	"errors"

	"hostctl/executors"
	"hostctl/planner"
)

// reveal returns the value that a change gives a secret, nil for every other change.
func (a *Agent) reveal(ctx context.Context, c planner.Change) ([]byte, error) {
	s, ok := c.New.(planner.Secret)
	if !ok {
		return nil, nil
	}
	if a.Secrets == nil {
		return nil, executors.Errorf(executors.Unknown, "%s: no source of secrets", c.Ref())
	}
	value, err := a.Secrets.Reveal(ctx, s)
	var e *executors.Error
	switch {
	case errors.As(err, &e):
		return nil, executors.Errorf(e.Kind, "%s: %w", c.Ref(), e.Err)
	case err != nil:
		return nil, executors.Errorf(executors.Unknown, "%s: %w", c.Ref(), err)
	}
	if len(value) > maxSecret {
		return nil, executors.Errorf(executors.Refused, "%s: the value has %d bytes; at most %d are allowed", c.Ref(), len(value), maxSecret)
	}
	return value, nil
}
