package schema_test

import (
	"errors"
	"strings"
	"testing"

	"hostctl/schema"
)

// Whatever key is missing, the error says what is to be written there.
func TestMissingKeysHaveAWayOut(t *testing.T) {
	found := 0
	for _, kind := range schema.Kinds() {
		text := "apiVersion: hosting/v1\nkind: " + string(kind) + "\nmetadata: {name: x}\nspec: {}\n"
		_, err := schema.Load(schema.MapTree{"platform/x.yaml": text, "clusters/eu/x.yaml": text, "tenants/acme/x.yaml": text}, nil)
		var all schema.Errors
		if !errors.As(err, &all) {
			t.Fatalf("%s: %v", kind, err)
		}
		for _, e := range all {
			if !strings.HasPrefix(e.Field, "spec.") || !strings.HasPrefix(e.Text, "is missing") {
				continue
			}
			found++
			if way, ok := strings.CutPrefix(e.Text, "is missing; add it: "); !ok || len(strings.Fields(way)) < 2 {
				t.Errorf("no way out: %s", e)
			}
		}
	}
	if found < 20 {
		t.Errorf("%d keys are missed in all", found)
	}
}
