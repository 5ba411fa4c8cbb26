package apps

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hostctl/planner"
	"hostctl/schema"
)

// values returns the values of a site's variables that are secrets.
func (m *Manager) values(r planner.Runtime) (map[string]string, error) {
	if len(r.Secrets) == 0 {
		return nil, nil
	}
	if m.o.Secrets == nil {
		return nil, errors.New("this node keeps no secrets")
	}
	values := make(map[string]string, len(r.Secrets))
	for _, k := range slices.Sorted(maps.Keys(r.Secrets)) {
		value, err := m.o.Secrets.Value(r.Secrets[k])
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", k, err)
		}
		values[k] = string(value)
	}
	return values, nil
}

// checkValues refuses values that no variable can hold. No error holds one.
func checkValues(r planner.Runtime, values map[string]string) error {
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(r.Secrets)) {
		if err := schema.CheckEnvValue(values[k]); err != nil {
			errs = append(errs, fmt.Errorf("variable %s: its secret %w", k, err))
		}
	}
	return errors.Join(errs...)
}

// secretValues reads the values of a site's secrets from its file: which ones they are the versions in its object say.
func secretValues(l Launch, r planner.Runtime) map[string]string {
	values := map[string]string{}
	for _, v := range l.Env {
		name, value, _ := strings.Cut(v, "=")
		if _, secret := r.Secrets[name]; secret {
			values[name] = value
		}
	}
	return values
}
