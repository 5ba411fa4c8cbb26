package schema

import (
	"slices"
	"time"

	"gopkg.in/yaml.v3"
)

// DeletionPolicy says what becomes of the data of a resource that nobody declares any more.
type DeletionPolicy string

// The policies. A kind that holds data retains it for Platform.spec.keep unless it is told otherwise.
const (
	Retain DeletionPolicy = "Retain"
	Delete DeletionPolicy = "Delete"
)

// dataKinds are the kinds that hold what can't be made again.
var dataKinds = []Kind{KindWebroot, KindDatabase, KindValkeyInstance}

// keptKinds are the kinds whose objects may outlive them: those, and zones that are signed, whose keys can't be made again.
var keptKinds = []Kind{KindWebroot, KindDatabase, KindValkeyInstance, KindZone}

// HoldsData reports whether resources of a kind hold what can't be made again from the repository.
func (k Kind) HoldsData() bool { return slices.Contains(dataKinds, k) }

// Guardrails are how much one plan may take away without being told so by name.
type Guardrails struct {
	MaxDeletePercent int `json:"maxDeletePercent"` // of the objects of a kind, a tenant, a zone, a load balancer's map
	From             int `json:"from"`             // the percentage counts from this many objects on
	MaxDataDeletes   int `json:"maxDataDeletes"`   // of each kind that holds data
}

// DefaultGuardrails are those of a Platform that sets none.
var DefaultGuardrails = Guardrails{MaxDeletePercent: 30, From: 10, MaxDataDeletes: 3}

// DefaultKeep is how long data outlives its resource where the Platform doesn't say.
const DefaultKeep = 7 * 24 * time.Hour

// KeepOf returns how long the data of a kind outlives its resource.
func (p Platform) KeepOf(k Kind) time.Duration {
	if d, ok := p.Keep[k]; ok {
		return d
	}
	return DefaultKeep
}

func (d *decoder) guardrails(n *yaml.Node) Guardrails {
	return Guardrails{
		MaxDeletePercent: d.integer(child(n, "maxDeletePercent"), DefaultGuardrails.MaxDeletePercent),
		From:             d.integer(child(n, "from"), DefaultGuardrails.From),
		MaxDataDeletes:   d.integer(child(n, "maxDataDeletes"), DefaultGuardrails.MaxDataDeletes),
	}
}

// keep decodes how long the data of each kind is kept.
func (d *decoder) keep(n *yaml.Node) map[Kind]time.Duration {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	keep := map[Kind]time.Duration{}
	for _, k := range keptKinds {
		if v := child(n, string(k)); v != nil {
			keep[k] = parsed(d, v, ParseDuration)
		}
	}
	return keep
}

// deletionPolicy decodes metadata.deletionPolicy, which only kinds that hold data have.
func (d *decoder) deletionPolicy(n *yaml.Node) DeletionPolicy {
	if n == nil {
		return ""
	}
	if !d.kind.HoldsData() {
		d.fail(n, "a %s holds no data that could be kept; take deletionPolicy out", d.kind)
		return ""
	}
	return DeletionPolicy(d.plain(n))
}

// fixedNames are kinds whose name is part of what they have made, so that it can't change; with the way out.
var fixedNames = map[Kind]string{
	KindPlatform:       "nothing is named after it: change the name",
	KindCluster:        "its nodes carry its name: declare a new one and move what is in this one",
	KindHost:           "its nodes are placed by its name: declare a new one, cordon this one, then remove it",
	KindShard:          "its nodes and the volume of its sites carry its name: declare a new shard and move its tenants",
	KindDatabase:       "what it is called in MySQL follows from its name: declare a new one, dump and load",
	KindDatabaseUser:   "what it is called in MySQL follows from its name: declare a new one, then remove this one",
	KindValkeyInstance: "its folder and its service carry its name: declare a new one",
	KindValkeyUser:     "it is what clients log in as: declare a new one, then remove this one",
	KindCronJob:        "nothing is kept of it: change the name",
	KindTenant:         "its user and folders carry its name: keep it, and write the new one into an annotation",
}

// formerName decodes metadata.formerName: a name, or the derived name of an FQDN or a ZoneRecord.
func (d *decoder) formerName(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	d.mark("metadata.formerName", n)
	if why := fixedNames[d.kind]; why != "" {
		d.fail(n, "a %s can't be renamed, for %s", d.kind, why)
		return ""
	}
	if d.kind == KindFQDN || d.kind == KindZoneRecord {
		return d.value(n, func(s string) error { return CheckText(s, 512) })
	}
	return d.value(n, CheckSlug)
}

// checkFormerNames refuses former names that somebody still has, or that two claim.
func (c *catalog) checkFormerNames() {
	checkFormer(c, &c.plans)
	checkFormer(c, &c.regions)
	checkFormer(c, &c.addresses)
	checkFormer(c, &c.profiles)
	checkFormer(c, &c.webroots)
	checkFormer(c, &c.fqdns)
	checkFormer(c, &c.zones)
	checkFormer(c, &c.records)
}

func checkFormer[T any](c *catalog, t *table[T]) {
	claimed := map[key]*decl[T]{}
	for _, d := range t.list {
		former := d.meta.FormerName
		if former == "" {
			continue
		}
		k := key{d.meta.Tenant, former}
		holder, first := t.byKey[k], claimed[k]
		switch {
		case former == d.meta.Name:
			c.fail(&d.origin, "metadata.formerName", "is the name it has; take it out, or write the name it had before")
		case holder != nil:
			c.fail(&d.origin, "metadata.formerName", "the %s %s is still declared (%s), so this one can't have been it; remove that one, or take formerName out",
				d.meta.Kind, former, holder.meta.Position)
		case first != nil:
			c.fail(&d.origin, "metadata.formerName", "%s claims to have been %s too (%s); only one can have been", first.meta.Name, former, first.meta.Position)
		default:
			claimed[k] = d
		}
	}
}
