package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hostctl/schema"
)

// budget is a set of objects of which one plan may take away only so many.
type budget struct {
	what  string // for people: "routes on eu-1-lb-0"
	allow string // what has to be named to go over it
	live  int
	lost  []*loss
}

// askBudgets refuses what goes over a budget (guarantee G9). What a refusal has asked for already doesn't count again.
func (j *judge) askBudgets() {
	j.askData()
	for _, group := range []func(Ref, Owner) (what, allow string){byTenant, byKind, byMap, byZone} {
		for _, b := range j.budgets(group) {
			rails := j.rails
			if len(b.lost) == 0 || b.live < rails.From || len(b.lost)*100 <= b.live*rails.MaxDeletePercent {
				continue
			}
			j.refuse(Owner{}, b.allow, b.lost, "%d of %d %s would go, and more than %d %% is never taken away unasked",
				len(b.lost), b.live, b.what, rails.MaxDeletePercent)
		}
	}
}

// askData refuses to retire more than a few resources that hold data, however many there are.
func (j *judge) askData() {
	for _, k := range []Kind{KindWebroot, KindDatabase, KindValkey} {
		var lost []*loss
		for _, l := range j.lost {
			if l.ref.Kind == k && l.thing && !l.asked {
				lost = append(lost, l)
			}
		}
		if len(lost) > j.rails.MaxDataDeletes {
			j.refuse(Owner{}, string(k)+"/*", lost, "%d %ss would go, and more than %d with data are never taken away unasked",
				len(lost), k, j.rails.MaxDataDeletes)
		}
	}
}

// budgets sorts what is live and what is lost into budgets, by what has to be named to go over them. Things count once,
// whatever targets they are on.
func (j *judge) budgets(group func(Ref, Owner) (what, allow string)) []*budget {
	found := map[string]*budget{}
	for _, l := range j.lost {
		if !l.thing || l.asked {
			continue
		}
		if what, allow := group(l.ref, l.owner); what != "" {
			if found[allow] == nil {
				found[allow] = &budget{what: what, allow: allow}
			}
			found[allow].lost = append(found[allow].lost, l)
		}
	}
	if len(found) == 0 {
		return nil
	}
	seen := map[string]map[string]bool{}
	for ref, o := range j.live.State {
		if !slices.Contains(things, ref.Kind) || !active(o) {
			continue
		}
		_, allow := group(ref, o.Owner())
		b := found[allow]
		if key := thingOf(ref); b != nil && !seen[allow][key] {
			if seen[allow] == nil {
				seen[allow] = map[string]bool{}
			}
			seen[allow][key] = true
			b.live++
		}
	}
	out := make([]*budget, 0, len(found))
	for _, b := range found {
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b *budget) int { return cmp.Compare(a.allow, b.allow) })
	return out
}

func byTenant(r Ref, o Owner) (what, allow string) {
	if o.Tenant == "" || r.Kind == KindRRset && o.Kind == string(schema.KindFQDN) { // its route counts already
		return "", ""
	}
	return "objects of tenant " + o.Tenant, "Tenant/" + o.Tenant + "/*"
}

func byKind(r Ref, _ Owner) (what, allow string) {
	return plural(r.Kind), string(r.Kind) + "/*"
}

func byMap(r Ref, _ Owner) (what, allow string) {
	if r.Kind != KindRoute {
		return "", ""
	}
	return "routes on " + r.Target, "route/" + r.Target + "/*"
}

func byZone(r Ref, _ Owner) (what, allow string) {
	if r.Kind != KindRRset {
		return "", ""
	}
	zone, _, _ := strings.Cut(r.Name, "/")
	return "RRsets of zone " + zone, fmt.Sprintf("rrset/%s/%s/*", r.Target, zone)
}

func plural(k Kind) string {
	if k == KindRRset {
		return "RRsets"
	}
	return string(k) + "s"
}
