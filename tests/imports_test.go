// Package tests holds what is true of the whole program: who may import whom, and the end-to-end runs on real parts.
package tests

import (
	"encoding/json"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// mayImport is the map of the repository: what of ours each package may import. A name stands for the package and,
// with /..., for all below it. Change it on purpose.
var mayImport = map[string][]string{
	"schema":                  {"schema/schedule", "schema/sops"},
	"schema/schedule":         {},
	"schema/sops":             {},
	"planner":                 {"schema"},
	"executors":               {"planner", "schema"},
	"executors/checked":       {"executors", "planner", "schema"},
	"executors/docker":        {"executors", "planner", "schema"},
	"executors/haproxy":       {"executors", "planner", "schema"},
	"executors/memory":        {"executors", "planner", "schema"},
	"executors/powerdns":      {"executors", "planner", "schema"},
	"executors/remote":        {"executors", "planner", "schema", "agent/agentpb"},
	"executors/retry":         {"executors", "planner", "schema"},
	"executors/executorstest": {"executors", "executors/checked", "planner", "schema"},
	"agent":                   {"executors", "planner", "schema", "agent/..."},
	"agent/agentpb":           {},
	"agent/identity":          {},
	"reconciler":              {"executors", "planner", "schema"},
	"reconciler/git":          {"reconciler", "planner", "schema"},
	"reconciler/git/gittest":  {},
	"reconciler/inventory":    {"reconciler", "reconciler/inventory/..."},
	"reconciler/web":          {"reconciler", "executors", "planner", "schema"},
	"reconciler/web/api":      {"reconciler", "reconciler/durable", "executors", "planner", "schema"},
	"reconciler/durable":      {},
	"reconciler/outbox":       {},
	"reconciler/notify":       {"reconciler", "reconciler/durable", "reconciler/outbox", "schema"},
	"reconciler/forge":        {"reconciler", "reconciler/durable", "reconciler/git", "reconciler/outbox", "planner", "schema"},
	"migrations":              {},
	"examples":                {},
	"cmd/...":                 {"..."},
	"tests":                   {"..."},
	"tests/...":               {"..."},
	// The parts of the agent: each one program of the node.
	"agent/...": {"executors", "planner", "schema", "schema/schedule", "agent/..."},
	// A far side for tests.
	"reconciler/forge/forgetest": {"reconciler/forge", "reconciler/git/gittest"},
	// The inventory's stores know each other as little as executors do.
	"reconciler/inventory/record":        {"reconciler", "executors", "planner", "schema"},
	"reconciler/inventory/sqlite":        {"reconciler", "reconciler/inventory/record", "executors", "planner", "schema", "migrations"},
	"reconciler/inventory/postgres":      {"reconciler", "reconciler/inventory/record", "executors", "planner", "schema", "migrations"},
	"reconciler/inventory/inventorytest": {"reconciler", "reconciler/inventory/record", "executors", "planner", "schema"},
}

// rooms says where foreign code may be used: import path prefix, and our packages that may.
var rooms = map[string][]string{
	"github.com/jackc/pgx":                  {"reconciler/inventory/postgres"},
	"modernc.org/sqlite":                    {"reconciler/inventory/sqlite"},
	"github.com/pressly/goose":              {"reconciler/inventory/...", "migrations"},
	"github.com/docker/docker":              {"executors/docker"},
	"gopkg.in/yaml.v3":                      {"schema", "schema/sops"},
	"filippo.io/age":                        {"schema/sops", "cmd/..."},
	"go.yaml.in/yaml":                       {"schema"},
	"github.com/santhosh-tekuri/jsonschema": {"schema"},
	"github.com/go-git/go-git":              {"reconciler/git"},
	"github.com/hiddeco/sshsig":             {"reconciler/git"},
	"github.com/ProtonMail/go-crypto":       {"reconciler/git"},
	"github.com/spf13/cobra":                {"cmd/..."},
	"github.com/caarlos0/env":               {"cmd/..."},
	"flag":                                  {"cmd/..."},
	"go.etcd.io/bbolt":                      {"agent", "agent/..."},
	"github.com/go-sql-driver/mysql":        {"agent/mysql"},
	"google.golang.org/grpc":                {"agent", "agent/transfer", "agent/agentpb", "executors/remote", "cmd/node-agent"},
	"github.com/prometheus":                 {"reconciler/web", "reconciler/web/api"},
	"log/slog":                              {"cmd/...", "reconciler", "reconciler/...", "agent", "agent/..."},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func TestImportsFollowTheTable(t *testing.T) {
	for _, p := range packages(t) {
		ours := strings.TrimPrefix(p.ImportPath, "hostctl/")
		allowed, ok := rule(ours)
		if !ok {
			t.Errorf("package %s is not in the table of who may import whom: add it, on purpose", ours)
			continue
		}
		for _, imp := range p.Imports {
			if theirs, isOurs := strings.CutPrefix(imp, "hostctl/"); isOurs && !matches(allowed, theirs) {
				t.Errorf("%s imports %s; it may import %v", ours, theirs, allowed)
			}
		}
	}
}

func TestForeignCodeStaysInItsRoom(t *testing.T) {
	for _, p := range packages(t) {
		ours := strings.TrimPrefix(p.ImportPath, "hostctl/")
		if strings.HasPrefix(ours, "tests") {
			continue
		}
		for _, imp := range p.Imports {
			for foreign, room := range rooms {
				if (imp == foreign || strings.HasPrefix(imp, foreign+"/")) && !matches(room, ours) {
					t.Errorf("%s imports %s, which stays in %v", ours, imp, room)
				}
			}
		}
	}
}

func TestNoPackageIsNamedForNothing(t *testing.T) {
	for _, p := range packages(t) {
		if name := path.Base(p.ImportPath); slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "manager", "base", "impl", "misc"}, name) {
			t.Errorf("package %s: the name says nothing of what it holds", p.ImportPath)
		}
	}
}

// rule returns the table's row for a package: its own, or the closest one above that ends in /...
func rule(p string) ([]string, bool) {
	if r, ok := mayImport[p]; ok {
		return r, true
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if r, ok := mayImport[dir+"/..."]; ok {
			return r, true
		}
	}
	return nil, false
}

func matches(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		prefix, wild := strings.CutSuffix(pattern, "...")
		return p == pattern || wild && strings.HasPrefix(p+"/", prefix)
	})
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "hostctl/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ps []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	if len(ps) < 10 {
		t.Fatalf("go list found %d packages only", len(ps))
	}
	return ps
}
