package wire

import (
	"context"
	"path/filepath"
	"testing"

	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory"
)

// A generated value is made once, is the same whenever it is asked for, is another one in another generation, and isn't
// kept in clear.
func TestGenerated(t *testing.T) {
	ctx, c := context.Background(), Config{State: t.TempDir()}
	store, err := inventory.Open(ctx, filepath.Join(c.State, "inventory.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := planner.Secret{Tenant: "acme", Generated: "db", Generation: 1}
	reveal := func() string {
		t.Helper()
		value, err := newRevealer(c, nil, store).Reveal(ctx, s)
		if err != nil || len(value) < 20 {
			t.Fatalf("%d bytes, %v", len(value), err)
		}
		return string(value)
	}
	first := reveal()
	if again := reveal(); again != first {
		t.Error("asked for again, it is another value")
	}
	if _, err := Generate(ctx, c, store, "acme", "db", 2); err != nil {
		t.Fatal(err)
	}
	s.Generation = 2
	second := reveal()
	if second == first {
		t.Error("another generation is the same value")
	}
	g, err := store.Secret(ctx, "acme", "db", 2)
	if err != nil || g.Sealed == "" || g.Sealed == second {
		t.Errorf("kept: %d bytes, %v", len(g.Sealed), err)
	}
	lost := reconciler.GeneratedSecret{Tenant: "acme", Name: "lost", Generation: 1}
	if _, err := store.KeepSecret(ctx, lost); err != nil {
		t.Fatal(err)
	}
	if _, err := newRevealer(c, nil, store).Reveal(ctx, planner.Secret{Tenant: "acme", Generated: "lost", Generation: 1}); err == nil {
		t.Error("a lost value was made anew")
	}
}
