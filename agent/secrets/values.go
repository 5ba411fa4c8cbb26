package secrets

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"hostctl/planner"
	"hostctl/schema"
)

// Values returns the values of variables that are secrets, by the variables' names. A nil Folder keeps none.
func (f *Folder) Values(vars map[string]planner.Held) (map[string]string, error) {
	if len(vars) == 0 {
		return nil, nil
	}
	if f == nil {
		return nil, errors.New("this node keeps no secrets")
	}
	values := make(map[string]string, len(vars))
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		value, err := f.Value(vars[k])
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", k, err)
		}
		values[k] = string(value)
	}
	return values, nil
}

// CheckValues refuses values that no variable of an environment can hold. No error holds one.
func CheckValues(vars map[string]planner.Held, values map[string]string) error {
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		if err := schema.CheckEnvValue(values[k]); err != nil {
			errs = append(errs, fmt.Errorf("variable %s: its secret %w", k, err))
		}
	}
	return errors.Join(errs...)
}
