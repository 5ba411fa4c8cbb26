package agent_test

import (
	"errors"
	"path/filepath"
	"testing"

	"hostctl/agent"
	"hostctl/executors"
	"hostctl/planner"
)

func TestStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := agent.OpenStore(path, "one")
	if err != nil {
		t.Fatal(err)
	}
	user := func(name string, uid int) planner.User {
		return planner.User{Meta: planner.Meta{Target: "n", Name: name}, Login: "t-" + name, UID: uid}
	}
	a, a2, b := user("a", 1), user("a", 2), user("b", 3)
	step := func(fence int64, errs []error, cs ...planner.Change) {
		t.Helper()
		if err := s.Begin(fence, cs); err != nil {
			t.Fatal(err)
		}
		if errs == nil {
			return // killed in between
		}
		if err := s.Finish(cs, errs); err != nil {
			t.Fatal(err)
		}
	}
	ok, failed := []error{nil}, []error{errors.New("x")}
	step(3, ok, planner.Change{New: a})
	step(3, failed, planner.Change{Old: a, New: a2})
	step(4, nil, planner.Change{New: b})
	if err := s.Begin(3, nil); executors.KindOf(err) != executors.Conflict {
		t.Errorf("run 3 after run 4: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.OpenStore(path, "two"); err == nil {
		t.Error("another instance opened the store")
	}
	if s, err = agent.OpenStore(path, "one"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if n, err := s.Fence(); n != 4 || err != nil {
		t.Errorf("fence %d, %v", n, err)
	}
	records := func() []agent.Record {
		t.Helper()
		rs, err := s.Records()
		if err != nil {
			t.Fatal(err)
		}
		return rs
	}
	rs := records()
	if len(rs) != 2 || planner.HashOf(rs[0].Applied) != planner.HashOf(a) || planner.HashOf(rs[0].Pending) != planner.HashOf(a2) || rs[1].Applied != nil || rs[1].Pending == nil {
		t.Errorf("%+v", rs)
	}
	step(5, failed, planner.Change{Old: a2})
	if rs = records(); !rs[0].Deleting || rs[0].Applied == nil {
		t.Errorf("a delete that failed: %+v", rs[0])
	}
	step(5, ok, planner.Change{Old: a2})
	if rs = records(); len(rs) != 1 || rs[0].Ref != b.Ref() {
		t.Errorf("after a delete: %+v", rs)
	}
}
