package reconciler_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"hostctl/schema"
)

const otherTenant = `apiVersion: hosting/v1
kind: Tenant
metadata: {name: globex}
spec: {plan: small, shards: {web: web-1}}
---
apiVersion: hosting/v1
kind: Webroot
metadata: {name: www}
spec:
  runtime: {type: static}
  fqdns: [www.globex.test]
`

func withFile(tree schema.MapTree, path, text string) schema.MapTree {
	out := maps.Clone(tree)
	out[path] = text
	return out
}

// TestG08_MistakeFreezesItsTenant: a file that can't be read stops its tenant, whose files of before count, and nobody else.
// That isn't called converged; when it is mended it is.
func TestG08_MistakeFreezesItsTenant(t *testing.T) {
	w := newWorld(t)
	good := minimal(t)
	l := run(t, w)
	first := w.push(good)
	l.converged(first)
	objects := len(w.live().State)

	broken := schema.MapTree{}
	for path, text := range good {
		if !strings.HasPrefix(path, "tenants/acme/") {
			broken[path] = text
		}
	}
	broken["tenants/acme/acme.yaml"] = "kind: [\n"
	only := w.push(broken)
	events := l.follow(only)
	wantKinds(t, "a mistake and nothing else", events, "refused")
	if !strings.Contains(last(events), "tenants/acme/acme.yaml:") || !strings.Contains(last(events), "nothing of tenant acme is changed") {
		t.Errorf("the refusal says %q", last(events))
	}
	if e := events[len(events)-1]; !slices.Equal(e.Frozen, []string{"acme"}) {
		t.Errorf("left out are %q, want acme alone", e.Frozen)
	}
	if now := len(w.live().State); now != objects {
		t.Errorf("%d objects, and %d before the mistake", now, objects)
	}

	both := w.push(withFile(broken, "tenants/globex/globex.yaml", otherTenant))
	until(t, "globex is served", func() bool { return len(w.live().State) > objects })
	until(t, "the mistake is told", func() bool {
		s := l.Status()
		return s.Head == both && !s.Converged && strings.Contains(s.Message, "nothing of tenant acme")
	})
	l.converged(w.push(withFile(good, "tenants/globex/globex.yaml", otherTenant)))
}
