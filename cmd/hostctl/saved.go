package main

import (
	"fmt"
	"os"
	"slices"

	"hostctl/planner"
)

// savePlan writes a plan to a file of the owner's. A plan holds no secrets, but it names what tenants have.
func savePlan(file string, p planner.Plan) error {
	b, err := planner.EncodePlan(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return fmt.Errorf("save the plan: %w", err)
	}
	return nil
}

func readPlan(file string) (planner.Plan, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return planner.Plan{}, fmt.Errorf("read the plan: %w; 'hostctl plan -out FILE' makes one", err)
	}
	p, err := planner.DecodePlan(b)
	if err != nil {
		return planner.Plan{}, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

// obstacles says why a plan can't be carried out as it is, and for each reason what to do about it.
func obstacles(p planner.Plan) []string {
	if p.Of > 0 {
		return []string{"It is a part: plan without --target for what can be applied."}
	}
	var why []string
	if p.Commit == "" {
		why = append(why, "The files aren't those of a commit: commit and push them, then plan again.")
	}
	if p.Base == "" {
		return append(why, "It was made against an empty inventory: name the platform's with --state DIR.")
	}
	return append(why, missingImages(p)...)
}

// missingImages names the images that nodes are to be made of and that no engine was seen to hold.
func missingImages(p planner.Plan) []string {
	var why []string
	for _, c := range p.Changes {
		if n, ok := c.New.(planner.Container); ok && n.ImageID == "" && c.Action != planner.Update {
			why = append(why, fmt.Sprintf("The image %s was not found on host %s: build or pull it there, then plan again.", n.Image, n.Target))
		}
	}
	slices.Sort(why)
	return slices.Compact(why)
}
