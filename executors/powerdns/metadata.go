package powerdns

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// metadata is one kind of metadata of a zone. https://doc.powerdns.com/authoritative/domainmetadata.html
type metadata struct {
	Kind     string   `json:"kind"`
	Metadata []string `json:"metadata"`
}

func metadataPath(zone string) string { return "/zones/" + url.PathEscape(zone) + "/metadata" }

func (c *client) metadata(ctx context.Context, zone string) (map[string][]string, error) {
	var all []metadata
	if err := c.call(ctx, http.MethodGet, metadataPath(zone), nil, &all); err != nil {
		return nil, err
	}
	out := make(map[string][]string, len(all))
	for _, m := range all {
		out[m.Kind] = m.Metadata
	}
	return out, nil
}

// setMetadata makes some kinds of a zone's metadata what they should be, where they differ; an empty list takes one away.
func (r *reader) setMetadata(ctx context.Context, zone string, want map[string][]string) error {
	have, err := r.metadata(ctx, zone)
	if err != nil {
		return err
	}
	r.seen.forget(zone) // what is changed here moves no serial
	for _, kind := range slices.Sorted(maps.Keys(want)) {
		path := metadataPath(zone) + "/" + kind
		switch {
		case slices.Equal(sortedValues(have[kind]), sortedValues(want[kind])):
		case len(want[kind]) == 0:
			err = r.call(ctx, http.MethodDelete, path, nil, nil)
		default:
			err = r.call(ctx, http.MethodPut, path, metadata{Kind: kind, Metadata: want[kind]}, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sortedValues returns values in an order of their own; PowerDNS keeps none.
func sortedValues(values []string) []string { return slices.Sorted(slices.Values(values)) }
