package schema_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hostctl/schema"
)

func TestDriftPolicy(t *testing.T) {
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	const file = "platform/platform.yaml"
	if !strings.Contains(base[file], "\nspec:\n") {
		t.Fatalf("no spec in\n%s", base[file])
	}
	for written, want := range map[string]schema.DriftPolicy{
		"":                                   {},
		"  driftPolicy: {default: report}\n": {Default: schema.DriftReport},
		"  driftPolicy: {kinds: {vhost: report, rrset: \"off\"}}\n": {
			Kinds: map[string]schema.DriftMode{"vhost": schema.DriftReport, "rrset": schema.DriftOff},
		},
	} {
		tree := maps.Clone(base)
		tree[file] = strings.Replace(base[file], "\nspec:\n", "\nspec:\n"+written, 1)
		m, err := schema.Load(tree, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, m.Platform.Drift); diff != "" {
			t.Errorf("%q: -want +got\n%s", written, diff)
		}
	}
	p := schema.DriftPolicy{Default: schema.DriftReport, Kinds: map[string]schema.DriftMode{"user": schema.DriftCorrect}}
	if p.Of("user") != schema.DriftCorrect || p.Of("vhost") != schema.DriftReport || (schema.DriftPolicy{}).Of("vhost") != schema.DriftCorrect {
		t.Error("a kind's mode isn't its own, then the default, then correct")
	}
}
