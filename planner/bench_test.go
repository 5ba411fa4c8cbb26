package planner_test

import (
	"fmt"
	"runtime"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

// large returns a platform of n tenants with one site of ten host names each, on two web nodes and one load balancer.
func large(n int) schema.Manifest {
	w := firstWish()
	w.home, w.sites, w.names = nil, nil, nil
	m := w.manifest(1)
	m.Platform.UIDs.Last = 10_000_000
	for i := range n {
		t := fmt.Sprintf("tenant-%06d", i)
		m.Tenants = append(m.Tenants, schema.Tenant{Meta: meta(schema.KindTenant, t, t), WebShard: "web-1"})
		m.Webroots = append(m.Webroots, schema.Webroot{Meta: meta(schema.KindWebroot, t, "www"), Runtime: schema.Runtime{Type: schema.RuntimeStatic}})
		for j := range 10 {
			h := fmt.Sprintf("site-%02d.%s.z.test", j, t)
			m.FQDNs = append(m.FQDNs, schema.FQDN{Meta: meta(schema.KindFQDN, t, h), Hostname: h, Webroot: "www", ManageDNS: true})
		}
	}
	return m
}

// applied returns the live state after a plan was carried out.
func applied(p planner.Plan) planner.Live {
	live := planner.Live{State: make(planner.State, len(p.Changes)), Allocations: p.Allocations, Targets: p.Targets}
	for _, c := range p.Changes {
		live.State[c.Ref()] = c.New
	}
	return live
}

func BenchmarkNew(b *testing.B) {
	m := parted(large(10_000))
	first, err := planner.New(m, planner.Live{}, agent)
	if err != nil {
		b.Fatal(err)
	}
	live := applied(first)
	one := large(10_000)
	one.FQDNs = append(one.FQDNs, schema.FQDN{Meta: meta(schema.KindFQDN, "tenant-000001", "new.z.test"), Hostname: "new.z.test", Webroot: "www", ManageDNS: true})
	one = parted(one)
	var memo planner.Memo
	if _, err := memo.New(m, live, agent); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		m    schema.Manifest
		live planner.Live
		want int
		plan func(schema.Manifest, planner.Live, planner.Policy) (planner.Plan, error)
	}{
		{"everything", m, planner.Live{}, len(first.Changes), planner.New},
		{"nothing", m, live, 0, planner.New},
		{"one name", one, live, 4, planner.New},
		{"nothing with memo", m, live, 0, memo.New},
		{"one name with memo", one, live, 4, memo.New},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var peak uint64
			for b.Loop() {
				p, err := c.plan(c.m, c.live, agent)
				if err != nil {
					b.Fatal(err)
				}
				if len(p.Changes) != c.want {
					b.Fatalf("%d changes, want %d", len(p.Changes), c.want)
				}
				var s runtime.MemStats
				runtime.ReadMemStats(&s)
				peak = max(peak, s.HeapInuse)
			}
			b.ReportMetric(float64(peak)/(1<<20), "heap-MiB")
		})
	}
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			first.Hash()
		}
	})
	b.Run("text", func(b *testing.B) {
		for b.Loop() {
			if err := first.Text(discard{}, false); err != nil {
				b.Fatal(err)
			}
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
