package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"hostctl/reconciler"
)

// The bounds of a question.
const (
	maxAsk     = 1 << 20          // bytes
	maxAsked   = 2                // questions that are answered at a time; the others wait
	signOfLife = 2 * time.Second  // until hostd says that it is there: it says so before it plans
	answerTime = 30 * time.Second // until it has planned
)

// plans answers questions.
type plans struct {
	*reconciler.Reconciler
	slots chan struct{}
}

func newPlans(l *reconciler.Loop) *plans {
	return &plans{l.Reconciler, make(chan struct{}, maxAsked)}
}

// told is the body of an answer. Its status was sent before it was known.
type told struct {
	reconciler.Answer
	Error string `json:"error,omitempty"` // why there is none
}

// ServeHTTP implements http.Handler: a reconciler.Ask in, a told out.
func (p *plans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q reconciler.Ask
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAsk))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !isCommit(q.Commit) || q.Base != "" && !isCommit(q.Base) {
		http.Error(w, fmt.Sprintf("%q or %q is no commit id: 40 hex digits", q.Commit, q.Base), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).Flush() // a client that is gone has no use for it
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-r.Context().Done():
		return
	}
	var out told
	var err error
	if out.Answer, err = p.Answer(r.Context(), q); err != nil {
		out.Error = err.Error()
	}
	_ = json.NewEncoder(w).Encode(out)
}

// Ask has hostd plan. It fails with reconciler.ErrAsk where the caller has to plan by itself: hostd is of another mind or
// version, can't, or doesn't answer in time.
func (c *Client) Ask(ctx context.Context, q reconciler.Ask) (reconciler.Answer, error) {
	a, err := c.ask(ctx, q)
	if err != nil {
		return reconciler.Answer{}, fmt.Errorf("%w: %w", reconciler.ErrAsk, err)
	}
	return a, nil
}

func (c *Client) ask(ctx context.Context, q reconciler.Ask) (reconciler.Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, errors.New("hostd didn't answer in time"))
	defer cancel()
	alive, dead := context.WithCancelCause(ctx)
	defer dead(nil)
	life := time.AfterFunc(signOfLife, func() { dead(errors.New("hostd gave no sign of life")) })
	defer life.Stop()
	body, err := json.Marshal(q)
	if err != nil {
		return reconciler.Answer{}, err
	}
	answer, err := c.do(alive, http.MethodPost, "/local/v1/plan", body)
	if err != nil {
		return reconciler.Answer{}, err
	}
	defer func() { _ = answer.Close() }()
	life.Stop()
	var out told
	if err := json.NewDecoder(io.LimitReader(answer, maxPlan)).Decode(&out); err != nil {
		return reconciler.Answer{}, err
	}
	if out.Error != "" {
		return reconciler.Answer{}, errors.New(out.Error)
	}
	return out.Answer, nil
}
