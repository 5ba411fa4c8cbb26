package valkey

import (
	"errors"
	"fmt"
	"slices"

	"hostctl/agent/allow"
	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// check refuses what isn't an instance or a user, or not in the form that the planner gives them.
func check(c planner.Change) error {
	var err error
	switch o := either(c).(type) {
	case planner.Valkey:
		err = checkInstance(o)
		if old, ok := c.Old.(planner.Valkey); ok && c.New != nil && old.Port != o.Port {
			err = errors.Join(err, errors.New("the port of an instance doesn't change"))
		}
	case planner.ValkeyUser:
		err = checkUser(o)
	default:
		err = errors.New("instances of Valkey and their users are all that is applied here")
	}
	if err != nil {
		return executors.Errorf(executors.Refused, "%s: %w", c.Ref(), err)
	}
	return nil
}

func checkInstance(o planner.Valkey) error {
	errs := []error{allow.Site(o.Name, o.Tenant, o.Instance), schema.CheckValkeyInstance(o.MaxMemory, o.Policy, o.Persistence), allow.Move(o.MovedTo, o.Source)}
	if o.Port < planner.FirstValkeyPort || o.Port > planner.LastValkeyPort {
		errs = append(errs, fmt.Errorf("%d isn't a port of an instance", o.Port))
	}
	return errors.Join(errs...)
}

func checkUser(o planner.ValkeyUser) error {
	errs := []error{allow.Site(o.Name, o.Tenant, o.User), schema.CheckSlug(o.Instance), checkCredential(o)}
	if len(o.Keys) == 0 || !slices.IsSorted(o.Keys) || !slices.IsSorted(o.Channels) {
		errs = append(errs, errors.New("its patterns aren't sorted lists, or there is none of keys"))
	}
	errs = append(errs, schema.CheckPatterns(o.Keys), schema.CheckPatterns(o.Channels))
	for _, p := range slices.Concat(o.Keys, o.Channels) {
		errs = append(errs, schema.CheckKeyPattern(p))
	}
	for _, r := range o.Commands {
		errs = append(errs, schema.CheckCommandRule(r))
	}
	return errors.Join(append(errs, schema.CheckAllKeys(o.Commands, o.Keys))...)
}

// checkCredential allows exactly one of a hash and a secret of the user's own field.
func checkCredential(o planner.ValkeyUser) error {
	if o.Password != (planner.Held{}) {
		if o.PasswordHash != "" || o.Password.Version == "" || o.Password.Secret != planner.SecretName(o.Tenant, schema.KindValkeyUser, o.User, "password") {
			return errors.New("its password isn't a secret of its own, or there is a hash beside it")
		}
		return nil
	}
	if hash, err := schema.ParseValkeyHash(o.PasswordHash); err != nil || hash != o.PasswordHash {
		return errors.New("its password isn't a SHA-256")
	}
	return nil
}

// instanceOf is the name of the object of a user's instance.
func instanceOf(o planner.ValkeyUser) string { return o.Tenant + "." + o.Instance }
