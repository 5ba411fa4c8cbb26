package planner

import (
	"slices"

	"hostctl/schema"
)

// Catalog is the catalog zone (RFC 9432) that tells secondaries which zones there are, with the TSIG key that they need.
// Name: its domain without trailing dot.
type Catalog struct {
	Meta
	Secondaries []string `json:"secondaries"`   // addresses that are told of changes, sorted; without a Key they may copy too
	Key         *TSIGKey `json:"key,omitempty"` // whoever has it may copy
}

// Ref implements Object.
func (o Catalog) Ref() Ref { return o.ref(KindCatalog) }

// TSIGKey is a key of zone transfers, hmac-sha256 (RFC 8945).
type TSIGKey struct {
	Name   string `json:"name"`
	Secret Held   `json:"secret"` // on the node that changes go to
}

// Transfer says who copies a zone.
type Transfer struct {
	Catalog     string   `json:"catalog"`       // that it is a member of
	Secondaries []string `json:"secondaries"`   // as those of the Catalog
	Key         string   `json:"key,omitempty"` // name of the Catalog's
}

func sameTransfer(a, b *Transfer) bool {
	return a == b || a != nil && b != nil && a.Catalog == b.Catalog && a.Key == b.Key && slices.Equal(a.Secondaries, b.Secondaries)
}

func sameCatalog(a, b Catalog) bool {
	return slices.Equal(a.Secondaries, b.Secondaries) && samePointed(a.Key, b.Key)
}

// transferField names the secret with a cluster's TSIG key.
const transferField = "transfer.key"

// expandCatalog makes the catalog zone of a cluster, after the secret with its key where it has one.
func (x *expansion) expandCatalog(c *cluster) {
	t := c.Transfer
	at, ok := c.nameServers()
	if t == nil || !ok || len(c.dns.best) == 0 {
		return
	}
	o := Catalog{
		Meta:        Meta{Target: at.target, Name: t.Catalog, From: ownerOf(c.Meta), On: at.ready},
		Secondaries: slices.Sorted(slices.Values(t.To)),
	}
	if t.Key != nil {
		secret, held := x.secret(c.dns.best[0], o.From, schema.KindCluster, transferField, *t.Key)
		o.Key, o.On = &TSIGKey{Name: c.Name + "-transfer", Secret: held}, append(slices.Clone(at.ready), secret)
		sortRefs(o.On)
	}
	x.add(o)
}

// transferOf returns how a zone is copied, and what that needs.
func (x *expansion) transferOf(c *cluster) (*Transfer, []Ref) {
	at, ok := c.nameServers()
	if !ok || c.Transfer == nil {
		return nil, nil
	}
	ref := Ref{KindCatalog, at.target, c.Transfer.Catalog}
	o, ok := x.desired[ref].(Catalog)
	if !ok {
		return nil, nil
	}
	t := &Transfer{Catalog: o.Name, Secondaries: o.Secondaries}
	if o.Key != nil {
		t.Key = o.Key.Name
	}
	return t, []Ref{ref}
}
