package agent

import (
	"fmt"

	"hostctl/executors"
	"hostctl/planner"
)

// over returns a part for each limit of a tenant that is measured and not enforced: well while it is kept.
func over(users map[int]planner.User, used []executors.Usage) []executors.Part {
	limits := make(map[string]planner.Limits, len(users))
	for _, u := range users {
		limits[u.Name] = u.Limits
	}
	var parts []executors.Part
	for _, u := range used {
		l := limits[u.Tenant]
		if u.Disk < 0 {
			continue // not measured yet
		}
		if l.Disk > 0 {
			parts = append(parts, kept(u.Tenant, "disk", u.Disk, l.Disk, gibibytes))
		}
		if l.Inodes > 0 {
			parts = append(parts, kept(u.Tenant, "inodes", u.Files, l.Inodes, func(n int64) string { return fmt.Sprint(n) }))
		}
	}
	return parts
}

func kept(tenant, what string, used, limit int64, show func(int64) string) executors.Part {
	p := executors.Part{Name: "tenant/" + tenant + "/" + what, OK: used <= limit}
	if !p.OK {
		p.Message = fmt.Sprintf("%s are used of the %s that its plan has", show(used), show(limit))
	}
	return p
}

func gibibytes(n int64) string { return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30)) }
