package apps

import (
	"strings"

	"hostctl/planner"
)

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
