package planner

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"hostctl/schema"
)

// A saved plan is one JSON document: {"format": 1, "hash": "…", "plan": {…}}. The hash covers the plan, so that what was
// edited by hand is refused.
type savedPlan struct {
	Format int             `json:"format"`
	Hash   Hash            `json:"hash"`
	Plan   json.RawMessage `json:"plan"`
}

type wirePlan struct {
	Instance    string       `json:"instance,omitempty"`
	Commit      string       `json:"commit,omitempty"`
	Base        string       `json:"base,omitempty"`
	Changes     []wireChange `json:"changes"`
	Allocations []Allocation `json:"allocations,omitempty"`
	Released    []Allocation `json:"released,omitempty"`
	Targets     []Target     `json:"targets,omitempty"`
	Notes       []string     `json:"notes,omitempty"`

	Frozen   []schema.Frozen `json:"frozen,omitempty"`
	Remember Memory          `json:"remember,omitzero"`
}

type wireChange struct {
	ID     int             `json:"id"`
	Stage  int             `json:"stage"`
	Action Action          `json:"action"`
	Old    json.RawMessage `json:"old,omitempty"`
	New    json.RawMessage `json:"new,omitempty"`
	Expect Hash            `json:"expect,omitempty"`
	Force  bool            `json:"force,omitempty"`
	Adopt  bool            `json:"adopt,omitempty"`
	After  []int           `json:"after,omitempty"`
	Why    string          `json:"why,omitempty"`
}

func (p Plan) wire() wirePlan {
	w := wirePlan{
		Instance: p.Instance, Commit: p.Commit, Base: p.Base, Changes: make([]wireChange, len(p.Changes)),
		Allocations: p.Allocations, Released: p.Released, Targets: p.Targets, Notes: p.Notes, Frozen: p.Frozen, Remember: p.Remember,
	}
	for i, c := range p.Changes {
		w.Changes[i] = wireChange{ID: c.ID, Stage: c.Stage, Action: c.Action, Expect: c.Expect, Force: c.Force, Adopt: c.Adopt, After: c.After, Why: c.Why}
		if c.Old != nil {
			w.Changes[i].Old = Encode(c.Old)
		}
		if c.New != nil {
			w.Changes[i].New = Encode(c.New)
		}
	}
	return w
}

// Hash returns the SHA-256 over all of a plan, in hex: the same plan, the same hash.
func (p Plan) Hash() Hash { return hashPlan(p.encode()) }

// encode returns the plan's part of its canonical form: what the hash covers.
func (p Plan) encode() []byte {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(p.wire()); err != nil {
		panic("planner: a plan that can't be encoded: " + err.Error()) // plain structs of our own always can
	}
	return b.Bytes()
}

func hashPlan(encoded []byte) Hash {
	h := sha256.New()
	fmt.Fprintf(h, "hostctl plan %d\n", PlanFormat)
	h.Write(encoded)
	return Hash(hex.EncodeToString(h.Sum(nil)))
}

// EncodePlan returns the canonical form of a plan for a file or the inventory: same plan, same bytes.
func EncodePlan(p Plan) ([]byte, error) {
	saved, _, err := SealPlan(p)
	return saved, err
}

// SealPlan returns what EncodePlan does and the plan's hash. A large plan takes a second to encode: this does it once.
func SealPlan(p Plan) (saved []byte, hash Hash, err error) {
	if p.Format != PlanFormat {
		return nil, "", fmt.Errorf("encode plan: it has format %d, this version of hostctl writes %d", p.Format, PlanFormat)
	}
	if p.Of > 0 {
		return nil, "", fmt.Errorf("encode plan: it is a part, %d of %d changes, and only a whole plan can be saved or applied", len(p.Changes), p.Of)
	}
	body := p.encode()
	hash = hashPlan(body)
	var out bytes.Buffer
	out.Grow(len(body) + 256)
	// The body is written as it is: an encoder would check and copy all of it once more.
	fmt.Fprintf(&out, `{"format":%d,"hash":%q,"plan":%s}`+"\n", p.Format, hash, bytes.TrimSpace(body))
	return out.Bytes(), hash, nil
}

// DecodePlan reads what EncodePlan wrote. It refuses a plan of another format, one that was cut off, and one that was
// changed by hand.
func DecodePlan(b []byte) (Plan, error) {
	var saved savedPlan
	if err := unmarshalWhole(b, &saved); err != nil {
		return Plan{}, fmt.Errorf("decode plan: it is not a saved plan, or was cut off: %w; make it again with hostctl plan -out", err)
	}
	if saved.Format != PlanFormat {
		return Plan{}, fmt.Errorf("decode plan: it has format %d, this version of hostctl reads %d; make it again with hostctl plan -out", saved.Format, PlanFormat)
	}
	var w wirePlan
	if err := unmarshalWhole(saved.Plan, &w); err != nil {
		return Plan{}, fmt.Errorf("decode plan: %w", err)
	}
	p, err := w.plan()
	if err != nil {
		return Plan{}, fmt.Errorf("decode plan: %w", err)
	}
	again, hash, err := SealPlan(p)
	if err != nil {
		return Plan{}, err
	}
	if hash != saved.Hash || !bytes.Equal(bytes.TrimSpace(again), bytes.TrimSpace(b)) {
		return Plan{}, errors.New("decode plan: its content doesn't match its hash: it was changed after it was made; make it again with hostctl plan -out")
	}
	return p, nil
}

// unmarshalWhole decodes exactly one JSON value and refuses keys that it doesn't know.
func unmarshalWhole(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more after its end")
	}
	return nil
}

func (w wirePlan) plan() (Plan, error) {
	p := Plan{
		Format: PlanFormat, Instance: w.Instance, Commit: w.Commit, Base: w.Base, Changes: make([]Change, len(w.Changes)),
		Allocations: w.Allocations, Released: w.Released, Targets: w.Targets, Notes: w.Notes, Frozen: w.Frozen, Remember: w.Remember,
	}
	for i, c := range w.Changes {
		old, err := decodeOptional(c.Old)
		if err != nil {
			return Plan{}, err
		}
		now, err := decodeOptional(c.New)
		if err != nil {
			return Plan{}, err
		}
		if old == nil && now == nil {
			return Plan{}, fmt.Errorf("change %d is about nothing", c.ID)
		}
		p.Changes[i] = Change{ID: c.ID, Stage: c.Stage, Action: c.Action, Old: old, New: now, Expect: c.Expect, Force: c.Force, Adopt: c.Adopt, After: c.After, Why: c.Why}
	}
	return p, nil
}

func decodeOptional(b json.RawMessage) (Object, error) {
	if len(b) == 0 {
		return nil, nil
	}
	return Decode(b)
}
