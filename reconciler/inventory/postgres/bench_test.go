package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/inventorytest"
)

// BenchmarkBulk records 100,000 objects in one batch, and holds each step against a bare COPY of the same bytes into a
// table like that of the objects, indexes and all, made just before.
func BenchmarkBulk(b *testing.B) {
	const n = 100_000
	cs := inventorytest.Creates(inventorytest.Sites(n))
	for b.Loop() {
		url := newDatabase(b)
		s := open(b, url)
		bare := bareCopy(b, url, cs)
		b.ReportMetric(float64(bare.Milliseconds()), "copy-ms")
		l, err := s.Live(b.Context())
		must(b, err)
		p := planner.Plan{Format: planner.PlanFormat, Instance: l.Instance, Base: l.Version, Commit: "c0ffee", Changes: cs}
		var j reconciler.Journal
		for _, step := range []struct {
			name string
			do   func() error
		}{
			{"begin", func() (err error) { j, err = s.Begin(b.Context(), p, reconciler.Holder{Name: "bench"}); return err }},
			{"started", func() error { return j.Started(b.Context(), cs) }},
			{"finished", func() error { return j.Finished(b.Context(), cs, executors.All(n, nil)) }},
			{"end", func() error { return j.End(b.Context(), reconciler.Succeeded, "") }},
		} {
			began := time.Now()
			must(b, step.do())
			took := time.Since(began)
			b.ReportMetric(float64(took.Milliseconds()), step.name+"-ms")
			b.ReportMetric(float64(took)/float64(bare), step.name+"/copy")
		}
	}
}

// bareCopy is how long the server takes for the rows that Started writes, and nothing else.
func bareCopy(b *testing.B, url string, cs []planner.Change) time.Duration {
	b.Helper()
	conn := connect(b, url)
	_, err := conn.Exec(b.Context(), `CREATE TABLE bare (LIKE objects INCLUDING ALL)`)
	must(b, err)
	rows := make([][]any, len(cs))
	for i, c := range cs {
		r, o := c.Ref(), c.Owner()
		pending, hash := planner.Seal(c.New)
		rows[i] = []any{
			r.String(), string(r.Kind), r.Target, r.Name, o.Tenant, o.Kind, o.Name, o.File, int64(o.Line),
			"", "", pending, string(hash), int64(1), int64(1), "", "create of run 1 has not finished", int64(0), int64(1), int64(0), "",
		}
	}
	began := time.Now()
	_, err = conn.CopyFrom(b.Context(), pgx.Identifier{"bare"}, []string{
		"ref", "kind", "target", "name", "tenant", "owner_kind", "owner_name", "file", "line",
		"content", "hash", "pending", "pending_hash", "version", "revision", "commit_id", "dirty", "gone", "started", "finished", "error",
	}, pgx.CopyFromRows(rows))
	must(b, err)
	return time.Since(began)
}
