package schema

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// Transfer says who copies the zones of a cluster.
type Transfer struct {
	To      []string // addresses of secondaries, canonical
	Catalog string   // name of the catalog zone that tells them of all zones
	Key     *Secret  // TSIG key; nil: whoever comes from an address of To may copy
}

const transferField = "spec.infrastructure.powerdns.managed.transfer"

func (d *decoder) transfer(n *yaml.Node) *Transfer {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	d.mark(transferField+".catalog", child(n, "catalog"))
	t := &Transfer{Catalog: parsed(d, child(n, "catalog"), ParseZoneDomain), Key: d.secret(child(n, "key"))}
	for i, a := range items(child(n, "to")) {
		d.mark(fmt.Sprintf("%s.to[%d]", transferField, i), a)
		t.To = append(t.To, d.address(a))
	}
	d.unique(child(n, "to"), t.To)
	return t
}

// linkTransfers resolves the keys.
func (l *loader) linkTransfers(c *catalog) {
	for _, d := range c.clusters.list {
		if d.v.Transfer == nil || d.v.Transfer.Key == nil {
			continue
		}
		t := *d.v.Transfer // the one that was decoded belongs to the cache
		key := l.resolve(c, &d.origin, transferField+".key", *t.Key)
		t.Key = &key
		d.v.Transfer = &t
	}
}

// checkTransfers refuses a catalog where something else is.
func (c *catalog) checkTransfers() {
	catalogs := map[string]*origin{}
	for _, d := range c.clusters.sound() {
		t := d.v.Transfer
		if t == nil || t.Catalog == "" {
			continue
		}
		if z := c.domains[t.Catalog]; z != nil {
			c.fail(&d.origin, transferField+".catalog", "%s is a Zone (%s); give the catalog a name of its own", t.Catalog, z.meta.Position)
		}
		if other := catalogs[t.Catalog]; other != nil {
			c.fail(&d.origin, transferField+".catalog", "%s is the catalog of %s already; give each cluster its own", t.Catalog, describe(other))
		}
		catalogs[t.Catalog] = &d.origin
	}
}
