package postgres_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory/inventorytest"
	"hostctl/reconciler/inventory/postgres"
	"hostctl/reconciler/inventory/record"
)

func TestMain(m *testing.M) {
	inventorytest.Child(openStore)
	code := m.Run()
	stopServer()
	os.Exit(code)
}

func openStore(ctx context.Context, url string) (record.Store, error) { return postgres.Open(ctx, url) }

func TestConformance(t *testing.T) { inventorytest.Test(t, fresh) }

func TestKilled(t *testing.T) { inventorytest.TestKilled(t, openStore, newDatabase(t)) }

func Benchmark(b *testing.B) { inventorytest.Benchmark(b, fresh) }

func fresh(t testing.TB) func() record.Store {
	url := newDatabase(t)
	return func() record.Store { return open(t, url) }
}

func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A backup has every table and column but the removals, which a store that is made anew has no use for.
func TestBackupIsWhole(t *testing.T) {
	url := newDatabase(t)
	open(t, url)
	db := stdlib.OpenDB(*connect(t, url).Config())
	defer db.Close()
	inventorytest.CheckTables(t, db, `
		SELECT table_name, column_name FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name NOT IN ('goose_db_version', 'removals')`)
}

// Every statement is one that the tables can answer.
func TestStatementsPrepare(t *testing.T) {
	url := newDatabase(t)
	open(t, url)
	conn := connect(t, url)
	for name, text := range inventorytest.Statements(t) {
		if _, err := conn.Prepare(t.Context(), name, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Text from far sides may hold what the server doesn't take.
func TestTextFromElsewhere(t *testing.T) {
	s := open(t, newDatabase(t))
	a := inventorytest.Route("a.example", "web-1")
	l, err := s.Live(t.Context())
	must(t, err)
	const bad = "caf\xe9 \x00 bar"
	p := planner.Plan{Format: planner.PlanFormat, Instance: l.Instance, Base: l.Version, Commit: "c0ffee", Changes: []planner.Change{{ID: 1, Action: planner.Create, New: a}}}
	j, err := s.Begin(t.Context(), p, reconciler.Holder{Name: bad})
	must(t, err)
	must(t, j.Started(t.Context(), p.Changes))
	must(t, j.Finished(t.Context(), p.Changes, []error{executors.Errorf(executors.Busy, "%s", bad)}))
	must(t, j.End(t.Context(), reconciler.Failed, bad))
	_, err = s.Drifted(t.Context(), []planner.Ref{a.Ref()}, bad)
	must(t, err)
	for _, want := range []bool{true, false} {
		if changed, err := s.SetDown(t.Context(), map[string]string{"web-1-0": bad}); err != nil || changed != want {
			t.Errorf("SetDown = %v, %v; want %v", changed, err, want)
		}
	}
}

// A password is in no error and no name.
func TestPasswordIsNotShown(t *testing.T) {
	const password = "s3cret"
	for _, url := range []string{
		"postgres://u:s3cret@127.0.0.1:1/db?connect_timeout=1",
		"postgres://u:s3cret@[::1/db",
		"postgres://u:a/s3cret@host:5432/db",
		"postgres://u:s3cret@127.0.0.1:1/db?sslmode=perhaps",
		"postgres://127.0.0.1:1/db?user=u&password=s3cret&connect_timeout=1",
	} {
		s, err := postgres.Open(t.Context(), url)
		if err == nil {
			t.Errorf("%s was opened", url)
			_ = s.Close()
			continue
		}
		if text := err.Error() + postgres.Redact(url); strings.Contains(text, password) {
			t.Errorf("%s: the password is in %q", url, text)
		}
	}
}

// What others change is told, also after the connection was lost; what is our own is not.
func TestWatch(t *testing.T) {
	url := newDatabase(t)
	s, other := open(t, url), open(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan struct{}, 100), make(chan error)
	go func() { ended <- s.Watch(ctx, func() { told <- struct{}{} }) }()
	listening(t, url)
	must(t, s.SetImages(t.Context(), map[string]string{"web": "sha256:1"}))
	must(t, other.SetImages(t.Context(), map[string]string{"web": "sha256:2"}))
	wait(t, told)
	if len(told) > 0 {
		t.Error("it was told what it did itself")
	}
	if _, err := connect(t, url).Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`); err != nil {
		t.Fatal(err)
	}
	wait(t, told) // it doesn't know what it has missed
	must(t, other.SetImages(t.Context(), map[string]string{"web": "sha256:3"}))
	wait(t, told)
	cancel()
	must(t, <-ended)
}

// listening waits until somebody listens.
func listening(t *testing.T, url string) {
	t.Helper()
	conn := connect(t, url)
	for n := 0; n == 0; {
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND state = 'idle'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

func wait(t *testing.T, told <-chan struct{}) {
	t.Helper()
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Fatal("a change was not told")
	}
}

// A run whose connection is lost while its holder lives goes on, and is held again.
func TestHoldIsKept(t *testing.T) {
	url := newDatabase(t)
	s, other := open(t, url), open(t, url)
	l, err := s.Live(t.Context())
	must(t, err)
	p := planner.Plan{Format: planner.PlanFormat, Instance: l.Instance, Base: l.Version, Commit: "c0ffee"}
	j, err := s.Begin(t.Context(), p, reconciler.Holder{Name: "alive"})
	must(t, err)
	if _, err := connect(t, url).Exec(t.Context(), `
		SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
		WHERE locktype = 'advisory' AND classid = (SELECT 'meta'::regclass::oid)`); err != nil {
		t.Fatal(err)
	}
	must(t, j.Extend(t.Context()))
	if _, err := other.Begin(t.Context(), p, reconciler.Holder{Name: "other"}); err == nil || !strings.Contains(err.Error(), "alive") {
		t.Errorf("Begin beside a run that goes on: %v", err)
	}
	must(t, j.End(t.Context(), reconciler.Succeeded, ""))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
