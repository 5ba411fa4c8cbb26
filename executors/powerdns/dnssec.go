package powerdns

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"hostctl/planner"
)

// nsec3Param is how signed zones deny names: hashed, so that nobody lists a zone by walking it, with no further
// iterations and no salt (RFC 9276 3.1).
const nsec3Param = "1 0 0 -"

// sameSigning reports whether two zones are signed in the same way. What an unsigned zone has of it doesn't count.
func (z zone) sameSigning(other zone) bool {
	return z.DNSSEC == other.DNSSEC && (!z.DNSSEC || z.NSEC3Param == other.NSEC3Param)
}

// keptMark ends the account of a zone that is only kept for its keys.
const keptMark = "/kept"

// instance is the inventory that a zone belongs to.
func (z zone) instance() string { return strings.TrimSuffix(z.Account, keptMark) }

func (z zone) isKept() bool { return strings.HasSuffix(z.Account, keptMark) }

// What a signed zone tells its parent of its key: the DS that it wants, with SHA-256, and the key (RFC 7344). A parent that
// looks for them needs nobody to carry the DS over.
var published = map[string]string{"PUBLISH-CDS": "2", "PUBLISH-CDNSKEY": "1"}

// publishKeys has a signed zone answer CDS and CDNSKEY.
// https://doc.powerdns.com/authoritative/domainmetadata.html#publish-cdnskey-publish-cds
func (w *work) publishKeys(ctx context.Context, have zone) error {
	if !w.make.Signed {
		return nil
	}
	want := map[string][]string{}
	for kind, value := range published {
		want[kind] = []string{value}
	}
	return w.reader.setMetadata(ctx, have.Name, want)
}

// cryptokey is a key of a zone as the API lists it, without its secret part.
type cryptokey struct {
	Active bool     `json:"active"`
	DS     []string `json:"ds"` // "tag algorithm digest-type digest", of keys that sign keys only
}

// sha256Digest is the digest type of a DS that RFC 8624 3.3 asks for.
const sha256Digest = "2"

// cds returns the CDS RRset of a signed zone: the DS records that its parent should have. PowerDNS makes it from the keys,
// so it is nobody's to set, and isn't among the zone's RRsets.
func (r *reader) cds(ctx context.Context, name string) (planner.RRset, bool, error) {
	var keys []cryptokey
	if err := r.call(ctx, http.MethodGet, "/zones/"+url.PathEscape(absolute(name))+"/cryptokeys", nil, &keys); err != nil {
		return planner.RRset{}, false, err
	}
	o := planner.RRset{Meta: planner.Meta{Name: name + "/" + name + "/" + cdsType}, Zone: name, FQDN: name, Type: cdsType}
	for _, k := range keys {
		for _, ds := range k.DS {
			if f := strings.Fields(ds); k.Active && len(f) == 4 && f[2] == sha256Digest {
				o.Values = append(o.Values, strings.Join(f, " "))
			}
		}
	}
	slices.Sort(o.Values)
	return o, len(o.Values) > 0, nil
}

const cdsType = "CDS"

// isCDS tells the reference of a zone's own CDS RRset.
func isCDS(r planner.Ref) (zone string, ok bool) {
	zone, rest, _ := strings.Cut(r.Name, "/")
	return zone, r.Kind == planner.KindRRset && rest == zone+"/"+cdsType && checkDomain(zone) == nil
}
