package schema_test

import (
	"testing"

	"hostctl/schema"
)

// TestExamples loads every example as a person would, from its folder.
func TestExamples(t *testing.T) {
	for _, c := range []struct {
		name                                     string
		tenants, webroots, fqdns, zones, records int
	}{
		{"minimal", 1, 1, 2, 1, 0},
		{"demo", 4, 9, 11, 5, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := loadExample(t, c.name)
			got := []int{len(m.Tenants), len(m.Webroots), len(m.FQDNs), len(m.Zones), len(m.Records)}
			want := []int{c.tenants, c.webroots, c.fqdns, c.zones, c.records}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("tenants, webroots, fqdns, zones, records: got %v, want %v", got, want)
				}
			}
			if len(m.Warnings) > 0 {
				t.Errorf("warnings: %v", m.Warnings)
			}
			for _, w := range m.Webroots {
				if len(w.Content) == 0 {
					t.Errorf("webroot %s has no content", w.Name)
				}
			}
		})
	}
}

func loadExample(t *testing.T, name string) schema.Manifest {
	t.Helper()
	tree, err := schema.Dir("../examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	m, err := schema.Load(tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
