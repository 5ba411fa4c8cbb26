package powerdns

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"hostctl/planner"
)

// Metadata of zones that are transferred.
const (
	metaNotify = "ALSO-NOTIFY"     // who is told of changes
	metaAllow  = "ALLOW-AXFR-FROM" // who may copy without a key
)

// transferMetadata is what a transferred zone has; without secondaries, nothing. A key is asked of everybody.
func transferMetadata(secondaries []string, key bool) map[string][]string {
	m := map[string][]string{metaNotify: secondaries, metaAllow: secondaries}
	if key {
		m[metaAllow] = nil
	}
	return m
}

// settleTransfer says who copies a zone, as far as that is metadata.
func (w *work) settleTransfer(ctx context.Context, have zone) error {
	t := w.make.Transfer
	switch {
	case w.external:
		return nil
	case t != nil:
		return w.reader.setMetadata(ctx, have.Name, transferMetadata(t.Secondaries, t.Key != ""))
	case have.Kind != kindNative:
		return w.reader.setMetadata(ctx, have.Name, transferMetadata(nil, false))
	}
	return nil
}

// setTransfer adds to a zone's settings those of its transfer.
func (z *zone) setTransfer(t *planner.Transfer) {
	catalog, keys := "", []string{}
	z.Kind = kindNative
	if t != nil {
		z.Kind, catalog = kindPrimary, absolute(t.Catalog)
		if t.Key != "" {
			keys = append(keys, absolute(t.Key))
		}
	}
	z.Catalog, z.Keys = &catalog, &keys
}

// sameTransfer reports whether two zones are transferred alike, as far as their settings say.
func (z zone) sameTransfer(want zone) bool {
	if want.Catalog == nil {
		return true // it is others' business
	}
	return z.catalog() == *want.Catalog && slices.Equal(z.keys(), *want.Keys)
}

func (z zone) catalog() string {
	if z.Catalog == nil {
		return ""
	}
	return *z.Catalog
}

func (z zone) keys() []string {
	if z.Keys == nil {
		return []string{}
	}
	return sortedValues(*z.Keys)
}

// transfer returns how a zone is transferred, nil where it isn't.
func (z zone) transfer() *planner.Transfer {
	if z.Kind != kindPrimary || z.meta == nil {
		return nil
	}
	t := &planner.Transfer{Catalog: relative(z.catalog()), Secondaries: sortedValues(z.meta[metaNotify])}
	allowed := sortedValues(z.meta[metaAllow])
	switch keys := z.keys(); {
	case len(keys) == 1 && len(allowed) == 0:
		t.Key = relative(keys[0])
	case len(keys) > 0 || !slices.Equal(allowed, t.Secondaries):
		t.Key = "?" // others may copy it, or nobody may
	}
	return t
}

// notify tells a zone's secondaries that it has changed. PowerDNS looks for changes by itself, each minute: what fails here
// is made up for.
func (c *client) notify(ctx context.Context, z zone) {
	if z.Kind == kindPrimary || z.Kind == kindProducer {
		_ = c.call(ctx, http.MethodPut, "/zones/"+url.PathEscape(z.Name)+"/notify", nil, nil)
	}
}
