package apps

import (
	"strings"

	"hostctl/planner"
)

// SecretValues reads from what is started the values of the variables that are secrets.
func (l Launch) SecretValues(secrets map[string]planner.Held) map[string]string {
	values := map[string]string{}
	for _, v := range l.Env {
		name, value, _ := strings.Cut(v, "=")
		if _, secret := secrets[name]; secret {
			values[name] = value
		}
	}
	return values
}
