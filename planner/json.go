package planner

import (
	"bytes"
	"encoding/json"
	"fmt"

	"hostctl/schema"
)

// JSONFormat is the version of what Plan.JSON writes.
const JSONFormat = 1

type jsonPlan struct {
	Format      int          `json:"format"`
	Hash        Hash         `json:"hash"`
	Commit      string       `json:"commit,omitempty"`
	Base        string       `json:"base,omitempty"`
	Summary     Summary      `json:"summary"`
	PartOf      int          `json:"partOf,omitempty"`
	Changes     []jsonChange `json:"changes"`
	Allocations []Allocation `json:"allocations"`
	Notes       []string     `json:"notes"`

	Frozen []schema.Frozen `json:"frozen,omitempty"`
}

type jsonChange struct {
	ID          int             `json:"id"`
	Stage       int             `json:"stage"`
	Action      Action          `json:"action"`
	Ref         Ref             `json:"ref"`
	Owner       Owner           `json:"owner"`
	Old         json.RawMessage `json:"old,omitempty"`
	New         json.RawMessage `json:"new,omitempty"`
	Differences []string        `json:"differences,omitempty"`
	Force       bool            `json:"force,omitempty"`
	Adopt       bool            `json:"adopt,omitempty"`
	After       []int           `json:"after,omitempty"`
	Why         string          `json:"why,omitempty"`
}

// JSON returns a plan for programs, as one indented JSON document. Within one format keys are added only:
//
//	format       JSONFormat
//	hash         SHA-256 of the plan, as Hash returns it
//	commit       what the plan makes true; absent for a folder
//	base         version of the inventory it was made against
//	summary      create, update, replace, delete: numbers of objects; platform: whether its own objects are affected;
//	             tenants: the names of those affected
//	partOf       of a part of a plan, how many changes the whole has; absent for a whole one, and a part can't be applied
//	changes      in the order of execution:
//	  id         1 and up
//	  stage      changes of a stage start when those of all stages before have ended
//	  action     create, update, replace or delete
//	  ref        kind/target/name of the object
//	  owner      tenant, kind, name, file and line of the resource it comes from
//	  old, new   content of the object before and after; absent where it isn't there
//	  differences  lines for people, a field each
//	  force      what is there is known to differ, or not known, and is overwritten whatever it is
//	  adopt      it was there, made by nobody that the inventory knows, and becomes ours
//	  after      ids of changes that must have succeeded before
//	  why        what caused it
//	allocations  decisions that are made with this plan: scope, key, value
//	notes        what was decided that may surprise
//	frozen       tenants whose files can't be read as they are: tenant, commit whose files count, errors; absent for none
//
// It is for reading: what can be applied again is what EncodePlan writes.
func (p Plan) JSON() ([]byte, error) {
	out := jsonPlan{
		Format: JSONFormat, Hash: p.Hash(), Commit: p.Commit, Base: p.Base, Summary: p.Summary(), PartOf: p.Of,
		Changes: make([]jsonChange, len(p.Changes)), Allocations: p.Allocations, Notes: p.Notes,
		Frozen: p.Frozen,
	}
	for i, c := range p.Changes {
		out.Changes[i] = jsonChange{
			ID: c.ID, Stage: c.Stage, Action: c.Action, Ref: c.Ref(), Owner: c.Owner(),
			Differences: Differences(c), Force: c.Force, Adopt: c.Adopt, After: c.After, Why: c.Why,
		}
		if c.Old != nil {
			out.Changes[i].Old = content(c.Old)
		}
		if c.New != nil {
			out.Changes[i].New = content(c.New)
		}
	}
	if out.Allocations == nil {
		out.Allocations = []Allocation{}
	}
	if out.Notes == nil {
		out.Notes = []string{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	return b.Bytes(), nil
}
