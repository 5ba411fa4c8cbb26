package docker

import (
	"encoding/json"
	"fmt"

	"github.com/docker/docker/api/types/filters"

	"hostctl/executors"
	"hostctl/planner"
)

// The labels of what belongs to an instance.
const (
	labelInstance = "hostctl.instance" // id of the inventory
	labelRef      = "hostctl.ref"      // of the object
	labelHash     = "hostctl.hash"     // of the object as it was made
	labelDeclared = "hostctl.declared" // JSON, see declared
	labelData     = "hostctl.data"     // on a volume: "true" if it holds what can't be made again
	labelKept     = "hostctl.kept"     // on a volume that is only a note: ref of the volume that is kept
)

// labels returns the labels of an object.
func (e *Executor) labels(o planner.Object) map[string]string {
	return map[string]string{
		labelInstance: e.o.Instance,
		labelRef:      o.Ref().String(),
		labelHash:     string(planner.HashOf(o)),
	}
}

// mine returns a Conflict unless labels say that what was found under an object's name is that object.
func (e *Executor) mine(r planner.Ref, labels map[string]string) error {
	switch {
	case labels[labelInstance] == "":
		return executors.Errorf(executors.Conflict, "%s: Docker has a %s %s that hostctl did not make; rename or remove it", r, r.Kind, e.name(r.Name))
	case labels[labelInstance] != e.o.Instance:
		return executors.Errorf(executors.Conflict, "%s: Docker's %s %s belongs to the hostctl instance %s, this one is %s; use that instance's inventory, or remove it",
			r, r.Kind, e.name(r.Name), labels[labelInstance], e.o.Instance)
	case labels[labelRef] != r.String():
		return executors.Errorf(executors.Conflict, "%s: Docker's %s %s is %s; two hosts must not share an engine", r, r.Kind, e.name(r.Name), labels[labelRef])
	}
	return nil
}

// ours selects what belongs to the instance and is an object.
func (e *Executor) ours() filters.Args {
	return filters.NewArgs(filters.Arg("label", labelInstance+"="+e.o.Instance), filters.Arg("label", labelRef))
}

// meta reads an object's identity from labels; ok is false for another target's.
func (e *Executor) meta(labels map[string]string) (m planner.Meta, ok bool) {
	r, err := planner.ParseRef(labels[labelRef])
	if err != nil || r.Target != e.o.Target {
		return planner.Meta{}, false
	}
	return planner.Meta{Target: r.Target, Name: r.Name}, true
}

// declared is what of a container the engine doesn't know by itself.
type declared struct {
	Role    string                  `json:"role"`
	Cluster string                  `json:"cluster"`
	Image   string                  `json:"image"`            // the tag; the engine has the id
	Env     []string                `json:"env,omitempty"`    // names; others come from the image
	Ports   []planner.PublishedPort `json:"ports,omitempty"`  // for their names and order
	Health  bool                    `json:"health,omitempty"` // the argv was asked for
}

func (d declared) label() string {
	b, err := json.Marshal(d)
	if err != nil {
		panic("docker: label: " + err.Error()) // strings and numbers always can
	}
	return string(b)
}

func parseDeclared(label string) (declared, error) {
	var d declared
	if err := json.Unmarshal([]byte(label), &d); err != nil {
		return declared{}, fmt.Errorf("label %s: %w", labelDeclared, err)
	}
	return d, nil
}
