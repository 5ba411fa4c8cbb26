package powerdns

import (
	"slices"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// The same checks as when the manifest was loaded, once more: what is sent here may not come from there. Each value must
// already be in its canonical form, for only that is what PowerDNS gives back.

// maxTTL is the largest TTL there is, RFC 2181 8.
const maxTTL = 1<<31 - 1

func checkDomain(s string) error {
	if d, err := schema.ParseZoneDomain(s); err != nil || d != s {
		return executors.Errorf(executors.Refused, "zone %q: want a normalised domain name", s)
	}
	return nil
}

func checkZone(o planner.Zone) error {
	if err := checkDomain(o.Name); err != nil {
		return err
	}
	if len(o.Nameservers) == 0 {
		return executors.Errorf(executors.Refused, "zone %s: no name servers", o.Name)
	}
	for _, n := range o.Nameservers {
		if h, err := schema.ParseHostname(n); err != nil || h != n {
			return executors.Errorf(executors.Refused, "zone %s: name server %q: want a normalised host name", o.Name, n)
		}
	}
	if err := schema.CheckMailAddress(o.Hostmaster); err != nil {
		return executors.Errorf(executors.Refused, "zone %s: hostmaster %w", o.Name, err)
	}
	if err := checkTransfer(o); err != nil {
		return err
	}
	return checkTTL(o.Name, o.TTL)
}

func checkTTL(what string, ttl int) error {
	if ttl < 1 || ttl > maxTTL {
		return executors.Errorf(executors.Refused, "%s: TTL %d: want 1 to %d seconds", what, ttl, maxTTL)
	}
	return nil
}

// checkRRsetName checks what names an RRset: all that its removal needs.
func checkRRsetName(o planner.RRset) error {
	if err := checkDomain(o.Zone); err != nil {
		return err
	}
	if o.Name != o.Zone+"/"+o.FQDN+"/"+o.Type {
		return executors.Errorf(executors.Refused, "RRset %q: want it named %q", o.Name, o.Zone+"/"+o.FQDN+"/"+o.Type)
	}
	if name, err := schema.ParseRecordName(o.FQDN+".", o.Zone); err != nil || name != o.FQDN {
		return executors.Errorf(executors.Refused, "RRset %q: want a normalised name in the zone %s", o.Name, o.Zone)
	}
	if !slices.Contains(schema.RecordTypes(), o.Type) {
		return executors.Errorf(executors.Refused, "RRset %q: records of type %q can't be set", o.Name, o.Type)
	}
	if o.Type == "NS" && o.FQDN == o.Zone {
		return executors.Errorf(executors.Refused, "RRset %q: a zone's own name servers are set with the zone", o.Name)
	}
	return nil
}

func checkRRset(o planner.RRset) error {
	if err := checkRRsetName(o); err != nil {
		return err
	}
	if len(o.Values) == 0 {
		return executors.Errorf(executors.Refused, "RRset %s: no values", o.Name)
	}
	for i, v := range o.Values {
		canonical, err := schema.ParseRData(o.Type, v)
		if err != nil {
			return executors.Errorf(executors.Refused, "RRset %s: %w", o.Name, err)
		}
		if canonical != v {
			return executors.Errorf(executors.Refused, "RRset %s: %q isn't canonical; want %q", o.Name, v, canonical)
		}
		if slices.Contains(o.Values[:i], v) {
			return executors.Errorf(executors.Refused, "RRset %s: %q stands there twice", o.Name, v)
		}
	}
	return checkTTL("RRset "+o.Name, o.TTL)
}
