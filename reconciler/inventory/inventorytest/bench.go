package inventorytest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/record"
)

// Sites returns n objects such as tenants' sites have: a vhost, two routes and an RRset of each.
func Sites(n int) []planner.Object {
	out := make([]planner.Object, 0, n)
	for i := 0; len(out) < n; i++ {
		tenant, host := fmt.Sprintf("tenant-%05d", i/10), fmt.Sprintf("www.site-%06d.example", i)
		owner := planner.Owner{Tenant: tenant, Kind: "FQDN", Name: host, File: "tenants/" + tenant + "/sites.yaml", Line: 10}
		meta := func(target, name string, needs ...planner.Ref) planner.Meta {
			return planner.Meta{Target: target, Name: name, From: owner, On: needs}
		}
		vhost := planner.Vhost{
			Meta:   meta("web-1-0", fmt.Sprintf("%s.site-%d", tenant, i), planner.Ref{Kind: planner.KindUser, Target: "web-1-0", Name: tenant}),
			Tenant: tenant, Site: fmt.Sprintf("site-%d", i), Hostnames: []string{host}, Type: "php", Version: "8.4", DocumentRoot: "public",
		}
		zone := fmt.Sprintf("site-%06d.example", i)
		out = append(out, vhost,
			planner.Route{Meta: meta("eu-1-lb-0", host, vhost.Ref()), Backend: "web-1"},
			planner.Route{Meta: meta("eu-1-lb-1", host, vhost.Ref()), Backend: "web-1"},
			planner.RRset{
				Meta: meta("eu-1-dns", zone+"/"+host+"/A", planner.Ref{Kind: planner.KindZone, Target: "eu-1-dns", Name: zone}),
				Zone: zone, FQDN: host, Type: "A", TTL: 300, Values: []string{"192.0.2.1", "192.0.2.2"},
			})
	}
	return out[:n]
}

// Creates makes changes of objects.
func Creates(objects []planner.Object) []planner.Change {
	cs := make([]planner.Change, len(objects))
	for i, o := range objects {
		cs[i] = planner.Change{ID: i + 1, Action: planner.Create, New: o, Why: "declared"}
	}
	return cs
}

func begin(t testing.TB, s record.Store, cs []planner.Change) reconciler.Journal {
	t.Helper()
	l, err := s.Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := planner.Plan{Format: planner.PlanFormat, Instance: l.Instance, Base: l.Version, Commit: "c0ffee", Changes: cs}
	j, err := s.Begin(t.Context(), p, reconciler.Holder{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Fill puts objects into an inventory, by a run that goes well.
func Fill(t testing.TB, s record.Store, cs []planner.Change) {
	t.Helper()
	j := begin(t, s, cs)
	must(t, j.Started(t.Context(), cs))
	must(t, j.Finished(t.Context(), cs, executors.All(len(cs), nil)))
	must(t, j.End(t.Context(), reconciler.Succeeded, ""))
}

// Benchmark measures a store. fresh is that of Test.
func Benchmark(b *testing.B, fresh func(testing.TB) (open func() record.Store)) {
	b.Run("Live", func(b *testing.B) { benchmarkLive(b, fresh) })
	b.Run("LiveAfterABatch", func(b *testing.B) { benchmarkLiveAfter(b, fresh) })
	b.Run("Run", func(b *testing.B) { benchmarkRun(b, fresh) })
	b.Run("Executed", func(b *testing.B) { benchmarkExecuted(b, fresh) })
	b.Run("Bulk", func(b *testing.B) { benchmarkBulk(b, fresh) })
	b.Run("Started", func(b *testing.B) { benchmarkBatch(b, fresh, true) })
	b.Run("Finished", func(b *testing.B) { benchmarkBatch(b, fresh, false) })
}

func benchmarkLive(b *testing.B, fresh func(testing.TB) func() record.Store) {
	for _, n := range []int{10_000, 250_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			open := fresh(b)
			s := open()
			Fill(b, s, Creates(Sites(n)))
			b.Run("cold", func(b *testing.B) {
				for b.Loop() {
					s := open()
					l, err := s.Live(b.Context())
					must(b, err)
					if len(l.State) != n {
						b.Fatalf("%d objects, want %d", len(l.State), n)
					}
					must(b, s.Close())
				}
			})
			b.Run("warm", func(b *testing.B) {
				if _, err := s.Live(b.Context()); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := s.Live(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// benchmarkRun journals a run of 10,000 changes, in one batch and in batches of 100.
func benchmarkRun(b *testing.B, fresh func(testing.TB) func() record.Store) {
	const n = 10_000
	cs := Creates(Sites(n))
	for _, size := range []int{n, 100} {
		b.Run(fmt.Sprintf("batches of %d", size), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s := fresh(b)()
				b.StartTimer()
				j := begin(b, s, cs)
				for i := 0; i < n; i += size {
					must(b, j.Started(b.Context(), cs[i:i+size]))
					must(b, j.Finished(b.Context(), cs[i:i+size], executors.All(size, nil)))
				}
				must(b, j.End(b.Context(), reconciler.Succeeded, ""))
			}
		})
	}
}

// benchmarkExecuted carries out a run of 10,000 changes in 10 stages on a far side that does nothing: what is left is the
// run itself and its journal, which takes the changes of a target in a stage as one group.
func benchmarkExecuted(b *testing.B, fresh func(testing.TB) func() record.Store) {
	const n, stages = 10_000, 10
	cs := Creates(Sites(n))
	for i := range cs {
		cs[i].Stage = i * stages / n
	}
	nothing := executors.Each(func(context.Context, planner.Change) error { return nil })
	for b.Loop() {
		b.StopTimer()
		s := fresh(b)()
		b.StartTimer()
		j := begin(b, s, cs)
		must(b, executors.Run(b.Context(), planner.Plan{Changes: cs}, nothing, j, executors.Options{}))
		must(b, j.End(b.Context(), reconciler.Succeeded, ""))
	}
}

// benchmarkLiveAfter reads what a batch of 100 changes has changed beside 250,000 objects.
func benchmarkLiveAfter(b *testing.B, fresh func(testing.TB) func() record.Store) {
	const n = 100
	s := fresh(b)()
	all := Sites(250_000)
	Fill(b, s, Creates(all))
	updates := make([]planner.Change, n)
	for i, o := range all[:n] {
		updates[i] = planner.Change{ID: i + 1, Action: planner.Update, Old: o, New: o, Expect: planner.HashOf(o)}
	}
	for b.Loop() {
		b.StopTimer()
		Fill(b, s, updates)
		b.StartTimer()
		if _, err := s.Live(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkBatch takes 10,000 changes in one batch beside 250,000 objects.
func benchmarkBatch(b *testing.B, fresh func(testing.TB) func() record.Store, started bool) {
	const n = 10_000
	s := fresh(b)()
	all := Sites(250_000)
	Fill(b, s, Creates(all))
	updates := make([]planner.Change, n)
	for i, o := range all[:n] {
		updates[i] = planner.Change{ID: i + 1, Action: planner.Update, Old: o, New: o, Expect: planner.HashOf(o)}
	}
	for b.Loop() {
		b.StopTimer()
		j := begin(b, s, updates)
		if started {
			b.StartTimer()
		}
		must(b, j.Started(b.Context(), updates))
		b.StopTimer()
		if !started {
			b.StartTimer()
		}
		must(b, j.Finished(b.Context(), updates, executors.All(n, nil)))
		b.StopTimer()
		must(b, j.End(b.Context(), reconciler.Succeeded, ""))
		b.StartTimer()
	}
}

// benchmarkBulk records 100,000 objects in one batch, and tells how long each step takes.
func benchmarkBulk(b *testing.B, fresh func(testing.TB) func() record.Store) {
	const n = 100_000
	cs := Creates(Sites(n))
	for b.Loop() {
		s := fresh(b)()
		var j reconciler.Journal
		for _, step := range []struct {
			name string
			do   func()
		}{
			{"begin-ms", func() { j = begin(b, s, cs) }},
			{"started-ms", func() { must(b, j.Started(b.Context(), cs)) }},
			{"finished-ms", func() { must(b, j.Finished(b.Context(), cs, executors.All(n, nil))) }},
			{"end-ms", func() { must(b, j.End(b.Context(), reconciler.Succeeded, "")) }},
		} {
			began := time.Now()
			step.do()
			b.ReportMetric(float64(time.Since(began).Milliseconds()), step.name)
		}
	}
}
