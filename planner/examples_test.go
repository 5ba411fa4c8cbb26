package planner_test

import (
	"bytes"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

// loadExample loads a config repository of the examples folder.
func loadExample(t testing.TB, name string) schema.Manifest {
	t.Helper()
	tree, err := schema.Dir("../examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := schema.Load(tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var agent = planner.Policy{AgentBinary: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"}

func TestExamplesPlan(t *testing.T) {
	for _, name := range []string{"minimal", "demo"} {
		t.Run(name, func(t *testing.T) {
			m := loadExample(t, name)
			p, err := planner.New(m, planner.Live{}, agent)
			if err != nil {
				t.Fatal(err)
			}
			live := planner.Live{State: planner.State{}, Allocations: p.Allocations, Targets: p.Targets}
			for _, c := range p.Changes {
				live.State[c.Ref()] = c.New
			}
			second, err := planner.New(m, live, agent)
			if err != nil {
				t.Fatal(err)
			}
			if !second.Empty() || len(second.Allocations) > 0 {
				t.Errorf("the second plan isn't empty: %v", second.Summary())
			}
		})
	}
}

func TestSavedPlan(t *testing.T) {
	p, err := planner.New(loadExample(t, "demo"), planner.Live{}, agent)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := planner.EncodePlan(p)
	if err != nil {
		t.Fatal(err)
	}
	read, err := planner.DecodePlan(saved)
	if err != nil {
		t.Fatal(err)
	}
	if read.Hash() != p.Hash() {
		t.Errorf("hash is %s after reading, was %s", read.Hash(), p.Hash())
	}
	for name, edited := range map[string][]byte{
		"value":     bytes.Replace(saved, []byte("web-1-0"), []byte("web-1-9"), 1),
		"order":     bytes.Replace(saved, []byte(`"id":1,"stage":1`), []byte(`"stage":1,"id":1`), 1),
		"format":    bytes.Replace(saved, []byte(`"format":1`), []byte(`"format":2`), 1),
		"cut off":   saved[:len(saved)/2],
		"two plans": append(bytes.Clone(saved), saved...),
		"empty":     nil,
	} {
		if bytes.Equal(edited, saved) {
			t.Fatalf("%s: nothing was edited", name)
		}
		if _, err := planner.DecodePlan(edited); err == nil {
			t.Errorf("%s: an edited plan was read", name)
		}
	}
}
