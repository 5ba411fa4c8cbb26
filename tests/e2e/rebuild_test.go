package e2e

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestG15_TheInventoryIsRebuilt loses the inventory of a platform that runs. An empty one is refused; what is made again
// from the hosts and nodes has the same uids, addresses, ports and places, plans nothing, and goes on.
func TestG15_TheInventoryIsRebuilt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.push("A platform with two tenants")
	st, err := s.Status(t.Context())
	s.must(err)
	before := s.allocations("before")
	s.StopHostd()
	s.loseInventory()

	out, err := s.Hostctl(t.Context(), "apply", "-C", s.Clone(), "-yes", "--database", "sqlite:"+filepath.Join(s.Dir, "empty.db"))
	if err == nil || !strings.Contains(out, "hostctl inventory rebuild --instance "+st.Instance) {
		t.Errorf("an empty inventory was applied with, or refused without a way out: %v\n%s", err, out)
	}
	out, err = s.Hostctl(t.Context(), "inventory", "rebuild", "-C", s.Repo(), "--instance", st.Instance)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("rebuild printed:\n%s", out)
	if strings.Contains(out, "Declared and not there") {
		t.Errorf("what is there was not found:\n%s", out)
	}
	if after := s.allocations("after"); !slices.Equal(before, after) {
		t.Errorf("allocations before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	s.wantNoChanges()

	s.startHostd()
	s.wantServed("shop.acme.test", "runs as t-acme")
	s.wantServed("www.globex.test", "globex")
	s.edit("    - www.shop.acme.test\n", "    - www.shop.acme.test\n    - again.acme.test\n")
	s.push("acme: one more name")
	s.wantServed("again.acme.test", "runs as t-acme")
	s.wantNoChanges()
	if after := s.allocations("in the end"); !slices.Equal(before, after) {
		t.Errorf("allocations before:\n%s\nin the end:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

// loseInventory takes the inventory away. Where the test fails it is put back, for the removal of the platform.
func (s *site) loseInventory() {
	s.t.Helper()
	lost := filepath.Join(s.Dir, "lost")
	s.must(os.Mkdir(lost, 0o700))
	files, err := filepath.Glob(filepath.Join(s.State(), "inventory.db*"))
	s.must(err)
	for _, f := range files {
		s.must(os.Rename(f, filepath.Join(lost, filepath.Base(f))))
		s.t.Cleanup(func() {
			if s.t.Failed() {
				_ = os.Rename(filepath.Join(lost, filepath.Base(f)), f)
			}
		})
	}
}

var madeBy = regexp.MustCompile(`"run":\d+,?`)

// allocations returns the allocations of a backup, without the runs that made them.
func (s *site) allocations(name string) []string {
	s.t.Helper()
	file := filepath.Join(s.Dir, name+".backup")
	if out, err := s.Hostctl(s.t.Context(), "inventory", "backup", file); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Open(file)
	s.must(err)
	defer f.Close()
	var found []string
	in := bufio.NewScanner(f)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		if strings.HasPrefix(in.Text(), `{"table":"allocations"`) {
			found = append(found, madeBy.ReplaceAllString(in.Text(), ""))
		}
	}
	s.must(in.Err())
	slices.Sort(found)
	if len(found) < 10 {
		s.t.Errorf("the backup has %d allocations", len(found))
	}
	return found
}
