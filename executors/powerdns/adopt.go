package powerdns

import (
	"regexp"

	"hostctl/executors"
)

// Kinds of zones, as the API names them. https://doc.powerdns.com/authoritative/modes-of-operation.html
const (
	kindNative  = "Native" // the servers share what is in it
	kindPrimary = "Master" // secondaries are told of changes
)

// instanceID is the id of an inventory, which zones carry as their account. What others write there is something else.
var instanceID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// owns refuses a zone that is there and isn't ours, unless the plan takes it over.
func (w *work) owns(have zone) error {
	theirs := have.instance()
	switch {
	case theirs == w.instance:
		return nil
	case instanceID.MatchString(theirs) || theirs != "" && !w.external:
		return executors.Errorf(executors.Conflict, "zone %s belongs to the inventory %q, not to %q; if that one is lost, 'hostctl inventory rebuild --instance %s' makes it again", w.name, theirs, w.instance, theirs)
	case w.external && have.Kind != kindNative && have.Kind != kindPrimary:
		return executors.Errorf(executors.Conflict, "zone %s is a %s zone there, and its records come from elsewhere; make it a primary one, or take it out of the repository", w.name, have.Kind)
	case w.mayAdopt && w.adopt:
		return nil
	case w.mayAdopt:
		return executors.Errorf(executors.Conflict, "zone %s was there before, and this plan doesn't say what taking it over would change; plan again", w.name)
	case w.external:
		return executors.Errorf(executors.Conflict, "zone %s was there before and isn't ours; to take it over set adopt: true in infrastructure.powerdns.external of the Cluster: the plan shows what that changes", w.name)
	}
	return executors.Errorf(executors.Conflict, "zone %s was there before and belongs to no inventory; to take it over, set its account in PowerDNS to %q", w.name, w.instance)
}
