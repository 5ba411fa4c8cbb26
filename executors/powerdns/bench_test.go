package powerdns_test

import (
	"fmt"
	"testing"

	"hostctl/executors/powerdns"
	"hostctl/planner"
)

// 100 zones of 100 RRsets on PostgreSQL: made from nothing, compared where nothing is to do, and observed.
func BenchmarkHundredZones(b *testing.B) {
	needServer(b)
	const zones, records = 100, 100
	var names []string
	var made, filled []planner.Object
	for z := range zones {
		name := fmt.Sprintf("bench-%d.example", z)
		names = append(names, name)
		made = append(made, zoneOf(name))
		for r := range records {
			filled = append(filled, rrsetOf(name, fmt.Sprintf("r%d.%s", r, name), "A", fmt.Sprintf("192.0.2.%d", r)))
		}
	}
	e := executor()
	b.Run("zones", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			clean(b, names...)
			b.StartTimer()
			apply(b, e, create(made...))
		}
	})
	clean(b, names...)
	apply(b, e, create(made...))
	b.Run("create", func(b *testing.B) {
		for b.Loop() {
			apply(b, e, create(filled...))
			b.StopTimer()
			apply(b, e, remove(filled...))
			b.StartTimer()
		}
	})
	apply(b, e, create(filled...))
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			apply(b, e, create(filled...))
		}
	})
	b.Run("one", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			apply(b, e, create(rrsetOf(names[0], "one."+names[0], "A", fmt.Sprintf("192.0.2.%d", i%250+1))))
		}
	})
	observe := func(b *testing.B, e *powerdns.Executor) {
		if got, err := e.Observe(b.Context()); err != nil || len(got) < zones*(records+1) {
			b.Fatalf("%d objects: %v", len(got), err)
		}
	}
	b.Run("observe first", func(b *testing.B) {
		for b.Loop() {
			observe(b, executor())
		}
	})
	observe(b, e)
	b.Run("observe again", func(b *testing.B) {
		for b.Loop() {
			observe(b, e)
		}
	})
}
