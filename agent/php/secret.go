package php

import (
	"strings"

	"hostctl/planner"
)

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
