package inventorytest

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"

	"hostctl/planner"
	"hostctl/reconciler"
)

// The first of two who generate a secret wins; another generation is what the next plan puts in place; showing is noted;
// a backup has them.
func testSecrets(f *fixture) {
	k, ok := f.inv.(reconciler.SecretKeeper)
	if !ok {
		f.Fatal("it can't keep generated secrets: it must be a reconciler.SecretKeeper")
	}
	if _, err := k.Secret(f.Context(), "acme", "db", 0); !errors.Is(err, reconciler.ErrNoSecret) {
		f.Errorf("a secret that nobody made: %v", err)
	}
	keep := func(name string, generation int, sealed string) reconciler.GeneratedSecret {
		g, err := k.KeepSecret(f.Context(), reconciler.GeneratedSecret{Tenant: "acme", Name: name, Generation: generation, Sealed: sealed})
		f.must(err)
		return g
	}
	keep("db", 1, "one")
	before := f.live()
	if g := keep("db", 1, "another"); g.Sealed != "one" || g.Made.IsZero() {
		f.Errorf("kept twice: %+v", g)
	}
	if now := f.live(); now.Version != before.Version || len(now.Generations) > 0 {
		f.Error("the first generation of a secret changes no plan")
	}
	keep("db", 2, "two")
	keep("db", 3, "three")
	if now := f.live(); now.Version == before.Version || now.Generations[planner.Generated{Tenant: "acme", Name: "db"}] != 3 {
		f.Errorf("rotated, and the plan has generations %v", now.Generations)
	}
	if _, err := k.Secret(f.Context(), "acme", "db", 1); !errors.Is(err, reconciler.ErrNoSecret) {
		f.Errorf("an old generation is there: %v", err)
	}
	if g, err := k.Secret(f.Context(), "acme", "db", 2); err != nil || g.Sealed != "two" {
		f.Errorf("the generation before: %+v, %v", g, err)
	}
	for i := range 2 {
		g, err := k.ShowSecret(f.Context(), "acme", "db")
		if err != nil || g.Sealed != "three" || g.Shown.IsZero() != (i == 0) {
			f.Errorf("shown %d times before: %+v, %v", i, g, err)
		}
	}
	if now := f.live(); len(now.Lost) > 0 {
		f.Errorf("lost: %v", now.Lost)
	}
	keep("api", 1, "x")
	keep("first", 1, "")
	keep("third", 3, "")
	lost := map[planner.Generated]bool{{Tenant: "acme", Name: "first"}: true, {Tenant: "acme", Name: "third"}: true}
	if now := f.live(); !maps.Equal(now.Lost, lost) || now.Generations[planner.Generated{Tenant: "acme", Name: "third"}] != 3 {
		f.Errorf("lost: %v, of generations %v", now.Lost, now.Generations)
	}
	keep("first", 2, "again")
	keep("third", 4, "again")
	if now := f.live(); len(now.Lost) > 0 {
		f.Errorf("made anew, and lost: %v", now.Lost)
	}
	file := filepath.Join(f.TempDir(), "backup")
	f.must(f.inv.Backup(f.Context(), file))
	backup, err := os.ReadFile(file)
	f.must(err)
	f.inv = f.fresh()
	f.must(f.inv.Restore(f.Context(), bytes.NewReader(backup)))
	all, err := f.inv.(reconciler.SecretKeeper).GeneratedSecrets(f.Context())
	if err != nil || len(all) != 4 || all[0].Name != "api" || all[1].Generation != 3 || all[1].Sealed != "three" || all[1].Shown.IsZero() {
		f.Errorf("restored: %+v, %v", all, err)
	}
}
