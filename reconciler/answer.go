package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hostctl/planner"
	"hostctl/schema"
)

// Ask is what another program wants planned by the reconciler that knows everything already.
type Ask struct {
	Commit       string   `json:"commit"`                 // full id
	Base         string   `json:"base,omitempty"`         // for a preview, the commit that Commit starts from; "" asks for a plan
	Incoming     string   `json:"incoming,omitempty"`     // folder with the objects of a push that isn't accepted yet
	Proposed     bool     `json:"proposed,omitempty"`     // it won't be applied as it is: nobody that it names is called (Propose)
	AgentBinary  string   `json:"agentBinary"`            // SHA-256 of the node-agent program of the one that asks, hex
	AllowDestroy []string `json:"allowDestroy,omitempty"` // see planner.Policy
}

// Answer is what the one that asks would have come to by itself: a plan, or all that is wrong.
type Answer struct {
	Instance string `json:"instance"`          // of the inventory that was planned against
	Plan     []byte `json:"plan,omitempty"`    // planner.EncodePlan's, of the commit as things are
	Change   []byte `json:"change,omitempty"`  // of a preview, what takes Base to the commit
	Refused  string `json:"refused,omitempty"` // of a preview, why Plan is none: Preview.Refused
	Base     bool   `json:"base,omitempty"`    // of a preview: what is wrong is wrong with Base

	Input    schema.Errors         `json:"input,omitempty"`
	Refusals []planner.Refusal     `json:"refusals,omitempty"`
	Problems planner.ProblemsError `json:"problems,omitempty"`
	Frozen   []schema.Frozen       `json:"frozen,omitempty"` // of a preview, the mistakes that it brings
}

// ErrAsk says that whoever asks has to plan by itself: it would come to something else, or the answer couldn't be found.
var ErrAsk = errors.New("plan it yourself")

// Answer plans what somebody else wants to know. Nothing of it is remembered, as it may never be applied. What is wrong with
// the repository or the plan is part of the answer; any other error is an ErrAsk with its cause.
func (r *Reconciler) Answer(ctx context.Context, q Ask) (Answer, error) {
	a, err := r.answerAside(ctx, q)
	if err != nil && !a.refuses(err) {
		return Answer{}, fmt.Errorf("%w: %w", ErrAsk, err)
	}
	return a, nil
}

func (r *Reconciler) answerAside(ctx context.Context, q Ask) (a Answer, err error) {
	if q.AgentBinary != r.Policy.AgentBinary {
		return a, errors.New("the node-agent program is another one")
	}
	aside, err := r.besides(ctx, q)
	if err != nil {
		return a, err
	}
	if a.Instance, err = r.Inventory.Instance(ctx); err != nil {
		return a, fmt.Errorf("read inventory: %w", err)
	}
	if q.Base == "" {
		p, err := aside.Plan(ctx, q.Commit)
		if err != nil {
			return a, err
		}
		a.Plan, err = planner.EncodePlan(p)
		return a, err
	}
	v, err := aside.Preview(ctx, q.Base, q.Commit)
	if err != nil {
		return a, err
	}
	if v.Refused != nil {
		a.Refused = v.Refused.Error()
	} else if a.Plan, err = planner.EncodePlan(v.Now); err != nil {
		return a, err
	}
	a.Change, err = planner.EncodePlan(v.Change)
	return a, err
}

// besides returns a reconciler that knows what r knows, and whose plans r doesn't remember.
func (r *Reconciler) besides(ctx context.Context, q Ask) (*Reconciler, error) {
	aside := &Reconciler{
		Source: r.Source, Inventory: r.Inventory, Connect: r.Connect, Policy: r.Policy, Holder: r.Holder, Log: r.Log,
		Cache: r.Cache, Memo: r.Memo, aside: true,
	}
	if q.Proposed {
		aside.Connect = r.onlyOurs(ctx)
	}
	aside.Policy.AllowDestroy = slices.Concat(r.Policy.AllowDestroy, q.AllowDestroy)
	if c, ok := r.Cache.(interface{ Aside() schema.Cache }); ok {
		aside.Cache = c.Aside()
	}
	if q.Incoming == "" {
		return aside, nil
	}
	source, ok := r.Source.(Incoming)
	if !ok {
		return nil, errors.New("this repository takes no pushes")
	}
	var err error
	aside.Source, err = source.Incoming(q.Incoming)
	return aside, err
}

// refuses takes over an error that tells what is wrong with the repository or the plan; it is false for any other.
func (a *Answer) refuses(err error) bool {
	var (
		refused *planner.RefusedError
		base    *BaseError
		frozen  *FrozenError
	)
	a.Base = errors.As(err, &base)
	if errors.As(err, &frozen) {
		a.Frozen = frozen.Frozen
		return true
	}
	switch {
	case errors.As(err, &a.Input), errors.As(err, &a.Problems):
		return true
	case errors.As(err, &refused):
		a.Refusals = refused.Refusals
		return true
	}
	return false
}

// Err returns what is wrong, nil where there are plans.
func (a Answer) Err() error {
	switch {
	case len(a.Frozen) > 0:
		return &FrozenError{Frozen: a.Frozen}
	case len(a.Input) > 0:
		return a.Input
	case len(a.Refusals) > 0:
		return &PlanError{Err: &planner.RefusedError{Refusals: a.Refusals}}
	case len(a.Problems) > 0:
		return &PlanError{Err: a.Problems}
	}
	return nil
}

// Read returns the plan.
func (a Answer) Read() (planner.Plan, error) {
	if err := a.Err(); err != nil {
		return planner.Plan{}, err
	}
	return planner.DecodePlan(a.Plan)
}

// ReadPreview returns the plans of a preview.
func (a Answer) ReadPreview(q Ask) (v Preview, err error) {
	v = Preview{Base: q.Base, Head: q.Commit}
	switch err := a.Err(); {
	case err != nil && a.Base:
		return v, &BaseError{Base: q.Base, Err: err}
	case err != nil:
		return v, err
	case a.Refused != "":
		v.Refused = errors.New(a.Refused)
	default:
		if v.Now, err = planner.DecodePlan(a.Plan); err != nil {
			return v, err
		}
	}
	v.Change, err = planner.DecodePlan(a.Change)
	return v, err
}
