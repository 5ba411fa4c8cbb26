package cron

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"hostctl/schema/schedule"
)

// What is a little late is begun, what was missed by more isn't made up, and either is due next when the schedule says.
func TestBegin(t *testing.T) {
	var log bytes.Buffer
	dir := t.TempDir()
	m := New(Options{Config: dir, Tenants: dir, Program: "/nobody/has/it", Log: slog.New(slog.NewTextHandler(&log, nil))})
	s, err := schedule.Parse("*/10 * * * *")
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]time.Duration{"acme.shop.late": -30, "acme.shop.missed": -90, "acme.shop.early": 45} {
		m.clock[name] = &due{schedule: s, zone: time.UTC, next: noon.Add(at * time.Second)}
	}
	m.begin(t.Context(), noon)
	said := log.String()
	for _, want := range []string{`msg="begin a run" job=acme.shop.late`, `msg="a run was missed" job=acme.shop.missed`} {
		if strings.Count(said, want) != 1 {
			t.Errorf("the log doesn't say %s:\n%s", want, said)
		}
	}
	if strings.Contains(said, "early") {
		t.Errorf("what isn't due was begun:\n%s", said)
	}
	for _, name := range []string{"acme.shop.late", "acme.shop.missed"} {
		if next := m.clock[name].next; !next.Equal(noon.Add(10 * time.Minute)) {
			t.Errorf("%s is due next at %v", name, next)
		}
	}
}
