package record_test

import (
	"context"
	"reflect"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"hostctl/planner"
	"hostctl/reconciler/inventory/record"
)

// table is the rows of a store, and what was removed from it.
type table struct {
	version int64
	rows    map[string]versioned
	removed map[string]int64
}

type versioned struct {
	record.Row
	version int64
}

func (t *table) Removed(_ context.Context, version int64, forget func(string) error) error {
	for ref, at := range t.removed {
		if at <= version {
			continue
		}
		if err := forget(ref); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) Changed(_ context.Context, version int64, pass func([]record.Row) error) error {
	var rows []record.Row
	for _, r := range t.rows {
		if r.version > version {
			rows = append(rows, r.Row)
		}
	}
	return pass(rows)
}

// change writes or removes some rows, as a transaction does.
func (t *table) change(r *rapid.T) {
	t.version++
	for range rapid.IntRange(1, 3).Draw(r, "rows") {
		o := planner.Route{Meta: planner.Meta{Target: "lb", Name: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(r, "name")}}
		o.Backend = rapid.SampledFrom([]string{"web-1", "web-2"}).Draw(r, "backend")
		ref, content := o.Ref().String(), string(planner.Encode(o))
		switch rapid.IntRange(0, 3).Draw(r, "what") {
		case 0:
			delete(t.rows, ref)
			t.removed[ref] = t.version
		case 1:
			t.rows[ref] = versioned{record.Row{Ref: ref, Pending: content, Dirty: "started"}, t.version}
		case 2:
			t.rows[ref] = versioned{record.Row{Ref: ref, Content: content, Dirty: "gone", Gone: true}, t.version}
		case 3:
			t.rows[ref] = versioned{record.Row{Ref: ref, Content: content}, t.version}
		}
	}
}

// TestLately: whatever differs from one reading to any later one is named by what leads from the one to the other.
func TestLately(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		store, known := &table{rows: map[string]versioned{}, removed: map[string]int64{}}, &record.Known{}
		var seen []planner.Live
		for range rapid.IntRange(1, 8).Draw(r, "readings") {
			for range rapid.IntRange(0, 2).Draw(r, "transactions") {
				store.change(r)
			}
			l := planner.Live{Version: strconv.FormatInt(store.version, 10)}
			if err := known.Read(r.Context(), store, &l); err != nil {
				r.Fatal(err)
			}
			for _, before := range seen {
				told(r, before, l)
			}
			seen = append(seen, l)
		}
	})
}

func told(t *rapid.T, before, now planner.Live) {
	named, at := map[planner.Ref]bool{}, before.Version
	for _, l := range now.Lately {
		if l.From != at {
			continue
		}
		at = l.To
		for _, ref := range l.Refs {
			named[ref] = true
		}
	}
	if at != now.Version {
		t.Fatalf("nothing leads from version %s to %s: %v", before.Version, now.Version, now.Lately)
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		ref := planner.Ref{Kind: planner.KindRoute, Target: "lb", Name: name}
		same := reflect.DeepEqual(before.State[ref], now.State[ref]) && reflect.DeepEqual(before.Dirty[ref], now.Dirty[ref])
		if !same && !named[ref] {
			t.Fatalf("%s differs between versions %s and %s, and isn't named: %v", ref, before.Version, now.Version, now.Lately)
		}
	}
}
