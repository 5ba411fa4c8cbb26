package reconciler_test

import (
	"slices"
	"strings"
	"testing"

	"hostctl/planner"
)

// A commit with a mistake does nothing to what the mistake is about, however much of it is right: where it is the platform's,
// nothing at all is begun; where it is a tenant's, nothing of that tenant (G13).
func TestG13_NothingIsHalfApplied(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, text string }{
		"platform":       {"platform/more.yaml", "apiVersion: hosting/v1\nkind: HostingPlan\nmetadata: {name: more}\nspec: {limits: {webrots: 2}}\n"},
		"cluster":        {"clusters/eu-1/more.yaml", "apiVersion: hosting/v1\nkind: Host\nmetadata: {name: 'Host 2'}\n"},
		"no YAML":        {"clusters/eu-1/more.yaml", "kind: [\n"},
		"another folder": {"tenants/stray.yaml", "apiVersion: hosting/v1\nkind: Tenant\nmetadata: {name: stray}\n"},
		"tenant":         {"tenants/acme/more.yaml", "apiVersion: hosting/v1\nkind: FQDN\nmetadata: {name: x}\nspec: {hostname: 'a.com;disable frontend http', webroot: www}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.applied(minimal(t))
			before, reached, version := w.far.State(), w.far.count(&w.far.applied), w.live().Version
			next := with(t, minimal(t), "fqdns: [acme.test, ", "fqdns: [new.acme.test, acme.test, ")
			next[c.file] = c.text
			p, err := w.rec.Plan(t.Context(), w.push(next))
			if err == nil {
				err = w.rec.Apply(t.Context(), p, nil)
			}
			if strings.HasPrefix(c.file, "tenants/acme/") {
				if err != nil || len(p.Frozen) != 1 || slices.ContainsFunc(p.Changes, func(c planner.Change) bool { return c.Owner().Tenant == "acme" }) {
					t.Errorf("%v, frozen %v:\n%s", err, p.Frozen, text(p))
				}
			} else if err == nil || !strings.Contains(err.Error(), c.file+":") || w.live().Version != version {
				t.Errorf("got %v, and the inventory went from %s to %s", err, version, w.live().Version)
			}
			if now := w.far.count(&w.far.applied); now != reached {
				t.Errorf("%d changes were made", now-reached)
			}
			for ref, o := range w.far.State() {
				if planner.HashOf(o) != planner.HashOf(before[ref]) {
					t.Errorf("%s is another one now", ref)
				}
			}
		})
	}
}
