package api

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hostctl/planner"
	"hostctl/reconciler"
)

// Run is one execution of a plan. To a tenant it is its own part of it: how that stands, and how much it is.
type Run struct {
	ID       int64               `json:"id"`
	Commit   string              `json:"commit"`
	Plan     string              `json:"plan,omitempty"` // content hash
	By       string              `json:"by,omitempty"`
	State    reconciler.RunState `json:"state"`
	Message  string              `json:"message,omitempty"`
	Changes  int                 `json:"changes"`
	Done     int                 `json:"done"`
	Failed   int                 `json:"failed"`
	Started  time.Time           `json:"started"`
	Finished time.Time           `json:"finished,omitzero"`
}

// Change is one line of a run's journal.
type Change struct {
	ID       int            `json:"id"` // within what is seen of the run, counting from 1
	Ref      planner.Ref    `json:"ref"`
	Action   planner.Action `json:"action"`
	State    string         `json:"state"` // planned, started, done, failed
	Error    string         `json:"error,omitempty"`
	Started  time.Time      `json:"started,omitzero"`
	Finished time.Time      `json:"finished,omitzero"`
}

func runs(c *call) (any, error) {
	before, err := c.number()
	if err != nil {
		return nil, err
	}
	found, err := c.Store.RunPage(c.ctx, c.whose, int64(before), c.limit()+1)
	if err != nil {
		return nil, err
	}
	items := make([]Run, len(found))
	for i, r := range found {
		items[i] = c.run(r)
	}
	return paged(items, c.limit(), func(r Run) string { return strconv.FormatInt(r.ID, 10) }), nil
}

func run(c *call) (any, error) {
	r, err := c.findRun()
	if err != nil {
		return nil, err
	}
	return c.run(r), nil
}

// findRun returns the run that a path names, as far as the one who asks sees it.
func (c *call) findRun() (reconciler.Run, error) {
	id, err := strconv.ParseInt(c.r.PathValue("run"), 10, 64)
	if err != nil || id < 1 {
		return reconciler.Run{}, notFound()
	}
	found, err := c.Store.RunPage(c.ctx, c.whose, id+1, 1)
	if err != nil {
		return reconciler.Run{}, err
	}
	if len(found) == 0 || found[0].ID != id {
		return reconciler.Run{}, notFound()
	}
	return found[0], nil
}

func (c *call) run(r reconciler.Run) Run {
	out := Run{ID: r.ID, Commit: r.Commit, State: r.State, Changes: r.Changes, Done: r.Done, Failed: r.Failed, Started: r.Started, Finished: r.Finished}
	if c.operator() {
		out.Plan, out.By, out.Message = r.Plan, r.Holder, r.Message
	}
	if c.whose.All {
		return out
	}
	switch { // how the tenant's own part stands: what else happened in the run isn't its business
	case r.Failed > 0:
		out.State = reconciler.Failed
	case r.Done == r.Changes:
		out.State = reconciler.Succeeded
	case r.State != reconciler.Running:
		out.State = reconciler.Interrupted
	}
	return out
}

func changes(c *call) (any, error) {
	r, err := c.findRun()
	if err != nil {
		return nil, err
	}
	from, err := c.number()
	if err != nil {
		return nil, err
	}
	found, err := c.Store.ChangePage(c.ctx, c.whose, r.ID, from, c.limit()+1)
	if err != nil {
		return nil, err
	}
	items := make([]Change, len(found))
	for i, s := range found {
		items[i] = Change{ID: from + i + 1, Ref: s.Ref, Action: s.Action, State: s.State, Error: c.failure(s.Error), Started: s.Started, Finished: s.Finished}
	}
	return paged(items, c.limit(), func(s Change) string { return strconv.Itoa(s.ID) }), nil
}

// Plan is changes in an order in which they can be carried out. To a tenant it is its own part of it.
type Plan struct {
	Page[PlanChange]
	Commit  string          `json:"commit"`
	Base    string          `json:"base,omitempty"` // version of the inventory that it was made against
	Hash    planner.Hash    `json:"hash,omitempty"`
	Summary planner.Summary `json:"summary"`
	Notes   []string        `json:"notes,omitempty"`
	Frozen  []Frozen        `json:"frozen,omitempty"`
}

// PlanChange is one object going from old to new.
type PlanChange struct {
	ID          int            `json:"id"`              // within what is seen of the plan, counting from 1
	Stage       int            `json:"stage,omitempty"` // changes of a stage start when those of all stages before have ended
	Action      planner.Action `json:"action"`
	Ref         planner.Ref    `json:"ref"`
	Owner       planner.Owner  `json:"owner"`
	Differences []string       `json:"differences,omitempty"` // lines for people, a field each
	Why         string         `json:"why,omitempty"`
}

// Frozen is a tenant whose files can't be read as they are. Nothing of it is changed.
type Frozen struct {
	Tenant string   `json:"tenant"`
	Commit string   `json:"commit"` // whose files count
	Errors []string `json:"errors"` // a tenant is told the places in its own folder
}

func planOfRun(c *call) (any, error) {
	r, err := c.findRun()
	if err != nil {
		return nil, err
	}
	if err := c.takeSlot(); err != nil {
		return nil, err
	}
	defer func() { <-c.plans }()
	p, err := c.Store.Plan(c.ctx, r.Plan)
	if err != nil {
		if c.ctx.Err() == nil && strings.Contains(err.Error(), "no plan") {
			return nil, notFound() // it was forgotten
		}
		return nil, err
	}
	return c.plan(p)
}

// planOfHead plans the newest commit, as the pre-receive hook has it planned. Nothing of it is remembered.
func planOfHead(c *call) (any, error) {
	if err := c.takeSlot(); err != nil {
		return nil, err
	}
	defer func() { <-c.plans }()
	rec := c.Loop.Reconciler
	head, err := rec.Source.Head(c.ctx)
	if err != nil {
		return nil, err
	}
	answer, err := rec.Answer(c.ctx, reconciler.Ask{Commit: head, AgentBinary: rec.Policy.AgentBinary})
	if err != nil {
		return nil, err
	}
	p, err := answer.Read()
	switch {
	case err != nil && c.operator():
		return nil, problem(http.StatusConflict, "commit %s can't be planned: %s", head, err)
	case err != nil:
		return nil, problem(http.StatusConflict, "commit %s can't be planned", head)
	}
	return c.plan(p)
}

// takeSlot waits until there is room for one more plan in memory.
func (c *call) takeSlot() error {
	select {
	case c.plans <- struct{}{}:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// plan shows what somebody sees of a plan: of a tenant's it is as if there were nothing else.
func (c *call) plan(p planner.Plan) (any, error) {
	mine := planner.Plan{Commit: p.Commit}
	for _, change := range p.Changes {
		if c.whose.Sees(change.Owner().Tenant) {
			mine.Changes = append(mine.Changes, change)
		}
	}
	page, err := slicePage(c, mine.Changes)
	if err != nil {
		return nil, err
	}
	from, _ := c.number() // read before
	out := Plan{Commit: p.Commit, Summary: mine.Summary(), Page: Page[PlanChange]{Items: []PlanChange{}, Next: page.Next}}
	for i, change := range page.Items {
		out.Items = append(out.Items, c.planChange(from+i+1, change))
	}
	if c.whose.All {
		out.Base, out.Hash, out.Notes = p.Base, p.Hash(), p.Notes
	}
	for _, f := range p.Frozen {
		if c.whose.Sees(f.Tenant) {
			out.Frozen = append(out.Frozen, Frozen{Tenant: f.Tenant, Commit: f.Commit, Errors: c.places(f.Errors)})
		}
	}
	return out, nil
}

// own are the kinds of objects all of whose content is the tenant's. That of others tells how the platform is made.
var own = map[planner.Kind]bool{planner.KindRRset: true, planner.KindRoute: true, planner.KindCron: true}

func (c *call) planChange(id int, change planner.Change) PlanChange {
	out := PlanChange{ID: id, Action: change.Action, Ref: change.Ref(), Owner: c.owner(change.Owner())}
	if c.operator() {
		out.Stage, out.Why, out.Differences = change.Stage, change.Why, planner.Differences(change)
		return out
	}
	if own[out.Ref.Kind] && (change.Old == nil || c.whose.Sees(change.Old.Owner().Tenant)) { // else it was somebody else's
		out.Differences = planner.Differences(change)
	}
	return out
}

var place = regexp.MustCompile(`^([^:\s]+:\d+:\d+): `)

// places shows a tenant where in its own folder something is wrong; the texts may name others.
func (c *call) places(errs []string) []string {
	if c.operator() {
		return errs
	}
	out := []string{}
	for _, e := range errs {
		if m := place.FindStringSubmatch(e); m != nil && strings.HasPrefix(m[1], "tenants/"+c.whose.Tenant+"/") {
			out = append(out, m[1])
		}
	}
	return out
}
