package planner

import (
	"fmt"
	"slices"
	"strings"

	"hostctl/schema"
)

// allowance is what one Allow-Destroy names:
//
//	Tenant/acme             the tenant, with all that it has
//	Tenant/acme/*           whatever a tenant loses that stays
//	Shard/web-1             a resource of the platform; Host, Cluster, Zone, … likewise
//	acme/Zone/acme          a resource of a tenant
//	route/eu-1-lb-0/*       objects of a kind on a target
//	route/*                 objects of a kind
//
// A name may be * for all of them.
type allowance struct {
	text   string
	owner  Owner  // a resource; of a tenant, Tenant is its name too
	within string // tenant that stays and loses things
	prefix string // of objects' references
}

// CheckAllow says whether a text can be understood as what may be destroyed.
func CheckAllow(text string) error {
	_, err := parseAllow(text)
	return err
}

func parseAllow(text string) (allowance, error) {
	first, rest, ok := strings.Cut(text, "/")
	second, name, more := strings.Cut(rest, "/")
	bad := fmt.Errorf("%q isn't something that can be allowed to be destroyed: write Tenant/acme, Shard/web-1, acme/Webroot/shop or route/eu-1-lb-0/*", text)
	switch {
	case !ok || rest == "" || more && name == "":
		return allowance{}, bad
	case first == string(schema.KindTenant) && more && name == "*":
		return allowance{text: text, within: second}, nil
	case first == string(schema.KindTenant) && !more:
		return allowance{text: text, owner: Owner{Tenant: second, Kind: first, Name: second}}, nil
	case isResource(first) && first != string(schema.KindTenant):
		return allowance{text: text, owner: Owner{Kind: first, Name: rest}}, nil
	case more && isResource(second):
		return allowance{text: text, owner: Owner{Tenant: first, Kind: second, Name: name}}, nil
	}
	if _, known := Kind(first).Rung(); !known {
		return allowance{}, bad
	}
	return allowance{text: text, prefix: strings.TrimSuffix(text, "*")}, nil
}

func isResource(kind string) bool { return slices.Contains(schema.Kinds(), schema.Kind(kind)) }

// allowRef is what has to be named to allow a resource to be destroyed.
func allowRef(o Owner) string {
	switch {
	case o.Kind == string(schema.KindTenant):
		return o.Kind + "/" + o.Name
	case o.Tenant == "":
		return o.Kind + "/" + o.Name
	}
	return o.Tenant + "/" + o.Kind + "/" + o.Name
}

// names reports whether a resource is named, itself or as all of its kind.
func (a allowance) names(o Owner) bool {
	return a.owner.Kind == o.Kind && (a.owner.Name == o.Name || a.owner.Name == "*") &&
		(a.owner.Tenant == o.Tenant || a.owner.Tenant == "*")
}

// covers reports whether a loss is allowed.
func (a allowance) covers(l *loss) bool {
	switch {
	case a.within != "":
		return a.within == l.owner.Tenant || a.within == "*" && l.owner.Tenant != ""
	case a.prefix != "":
		return a.prefix == l.ref.String() || strings.HasSuffix(a.text, "*") && strings.HasPrefix(l.ref.String(), a.prefix)
	case a.owner.Kind == string(schema.KindTenant):
		return l.owner.Tenant != "" && (a.owner.Name == "*" || a.owner.Name == l.owner.Tenant)
	case a.owner.Kind == string(schema.KindHost):
		return a.owner.Name == "*" || a.owner.Name == l.ref.Target
	}
	return a.names(l.owner) || l.zone != nil && a.names(*l.zone)
}

// allowances understands what a policy and the plans before allow. What isn't understood allows nothing, and is told.
func (x *expansion) allowances() []allowance {
	var out []allowance
	for _, text := range slices.Concat(x.policy.AllowDestroy, x.live.Memory.Allowed) {
		a, err := parseAllow(text)
		if err != nil {
			x.notef("Allow-Destroy: %v", err)
			continue
		}
		if !slices.ContainsFunc(out, func(b allowance) bool { return b.text == a.text }) {
			out = append(out, a)
		}
	}
	return out
}
