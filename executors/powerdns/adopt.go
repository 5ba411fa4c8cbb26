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

// owns refuses a zone that is there and isn't ours, unless the plan takes it over. An account that is no inventory's id is
// something that its owner has written there; on servers of our own nobody but an inventory has one, as far as we know.
func (w *work) owns(have zone) error {
	theirs := have.instance()
	switch {
	case theirs == w.instance:
		return nil
	case instanceID.MatchString(theirs) || theirs != "" && !w.external && !w.adopt:
		return executors.Errorf(executors.Conflict, "zone %s belongs to the inventory %q, not to %q; if that one is lost, 'hostctl inventory rebuild --instance %s' makes it again", w.name, theirs, w.instance, theirs)
	case have.Kind != kindNative && have.Kind != kindPrimary:
		return executors.Errorf(executors.Conflict, "zone %s is a %s zone there, and its records come from elsewhere; make it a primary one, or take it out of the repository", w.name, have.Kind)
	case w.adopt:
		return nil
	}
	return executors.Errorf(executors.Conflict, "zone %s was there before and isn't ours, and this plan doesn't take it over; with metadata.adopt: true in the Zone a plan does, and shows what that changes", w.name)
}
