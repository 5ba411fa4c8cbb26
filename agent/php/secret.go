package php

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hostctl/planner"
	"hostctl/schema"
)

// values returns the values of a pool's variables that are secrets.
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

// checkValues refuses values that a pool can't be given. No error holds one.
func checkValues(r planner.Runtime, values map[string]string) error {
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(r.Secrets)) {
		if err := schema.CheckEnvValue(values[k]); err != nil {
			errs = append(errs, fmt.Errorf("variable %s: its secret %w", k, err))
		}
	}
	return errors.Join(errs...)
}

// secretValues reads the values of a pool's secrets from its file: which ones they are the versions in its header say.
func secretValues(file []byte, r planner.Runtime) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(string(file)) {
		rest, ok := strings.CutPrefix(line, "env[")
		name, quoted, ok2 := strings.Cut(strings.TrimSuffix(rest, "\n"), "] = ")
		if _, secret := r.Secrets[name]; ok && ok2 && secret {
			values[name] = unquote(quoted)
		}
	}
	return values
}

// unquote reads what quote writes; of anything else it returns something that quote doesn't write so.
func unquote(s string) string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "'"), "'")
	return strings.ReplaceAll(s, `'"'"'`, "'")
}
