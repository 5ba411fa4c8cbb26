package git_test

import (
	"slices"
	"testing"

	"hostctl/reconciler"
	"hostctl/reconciler/git"
)

func TestFileHistory(t *testing.T) {
	r := newRepo(t)
	commit := func(subject string, files ...string) {
		t.Helper()
		for _, f := range files {
			r.write(f, subject)
		}
		run(t, r.work, "add", "-A")
		run(t, r.work, "commit", "--quiet", "-m", subject)
	}
	const file = "tenants/acme/shop.yaml"
	commit("one", file, "platform/platform.yaml", "README")
	commit("two", "tenants/globex/x.yaml")
	commit("three", file)
	run(t, r.work, "checkout", "--quiet", "-b", "side")
	commit("aside", file, "clusters/eu-1/a.yaml")
	run(t, r.work, "checkout", "--quiet", "main")
	commit("four", "tenants/globex/x.yaml")
	run(t, r.work, "merge", "--quiet", "--no-ff", "-m", "five", "side")
	run(t, r.work, "push", "--quiet", "origin", "main")
	s, err := git.Open(r.bare, "main")
	if err != nil {
		t.Fatal(err)
	}
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []reconciler.CommitInfo
	pages := 0
	for from := head; from != ""; pages++ {
		page, next, err := s.History(t.Context(), from, file, 2)
		if err != nil {
			t.Fatal(err)
		}
		all, from = append(all, page...), next
	}
	var subjects []string
	for _, c := range all {
		subjects = append(subjects, c.Subject)
	}
	if !slices.Equal(subjects, []string{"five", "three", "one"}) || pages != 2 {
		t.Fatalf("%q on %d pages", subjects, pages)
	}
	for i, want := range [][]string{{"clusters/eu-1", "tenants/acme"}, {"tenants/acme"}, {"README", "platform", "tenants/acme"}} {
		if !slices.Equal(all[i].Folders, want) || all[i].Author != "Ann" || all[i].Commit == "" || all[i].Time == "" {
			t.Errorf("%+v, want it in %v", all[i], want)
		}
	}
	if _, _, err := s.History(t.Context(), "main", file, 2); err == nil {
		t.Error("a branch was taken for a commit")
	}
	if none, next, err := s.History(t.Context(), head, "no/such/file", 9); err != nil || len(none) > 0 || next != "" {
		t.Errorf("of no file: %v, %q, %v", none, next, err)
	}
}
