package schema

import "gopkg.in/yaml.v3"

// ApprovalRule names files and who must have approved commits that change them, besides who signed these.
type ApprovalRule struct {
	Paths, Approvers []string
	Count            int // of approvers, 1 or more
}

func (d *decoder) approvals(n *yaml.Node) []ApprovalRule {
	var rules []ApprovalRule
	for _, r := range items(child(n, "rules")) {
		rules = append(rules, ApprovalRule{
			Paths: d.pathPatterns(child(r, "paths")), Approvers: d.principals(child(r, "approvers")), Count: d.integer(child(r, "count"), 1),
		})
	}
	return rules
}

// Names reports whether a rule is about a file.
func (r ApprovalRule) Names(file string) bool { return names(r.Paths, file) }

// Allows reports whether one of somebody's names is among those of a rule's approvers.
func (r ApprovalRule) Allows(principals []string) bool { return allows(r.Approvers, principals) }
