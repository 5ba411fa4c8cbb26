package git_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hostctl/reconciler/git"
)

// forked returns a repository with two branches from one commit, base and head, which both are a commit ahead of it.
func forked(t *testing.T, base, head map[string]string) (r *repo, fork, b, h string) {
	t.Helper()
	r = newRepo(t)
	r.write("shared.yaml", "one\ntwo\nthree\nfour\nfive\n")
	fork = r.commit("fork")
	r.push("HEAD:main")
	for branch, files := range map[string]map[string]string{"base": base, "head": head} {
		run(t, r.work, "checkout", "--quiet", "-b", branch, fork)
		for name, text := range files {
			r.write(name, text)
		}
		r.commit(branch)
		r.push("HEAD:" + branch)
	}
	return r, fork, run(t, r.work, "rev-parse", "base"), run(t, r.work, "rev-parse", "head")
}

func TestMerge(t *testing.T) {
	r, fork, base, head := forked(t,
		map[string]string{"shared.yaml": "ONE\ntwo\nthree\nfour\nfive\n", "base.yaml": "b"},
		map[string]string{"shared.yaml": "one\ntwo\nthree\nfour\nFIVE\n", "head.yaml": "h"})
	s := r.source()
	m, err := s.Merge(t.Context(), base, head)
	if err != nil || len(m.Conflicts) > 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	if got := run(t, r.bare, "show", m.Commit+":shared.yaml"); got != "ONE\ntwo\nthree\nfour\nFIVE" {
		t.Errorf("it holds %q", got)
	}
	if got, want := run(t, r.bare, "rev-parse", m.Commit+"^1", m.Commit+"^2"), base+"\n"+head; got != want {
		t.Errorf("its parents are %s, want %s", got, want)
	}
	if got := run(t, r.bare, "ls-tree", "-r", "--name-only", m.Commit); got != "base.yaml\nhead.yaml\nshared.yaml" {
		t.Errorf("it has the files %q", got)
	}
	for range 2 {
		if again, err := s.Merge(t.Context(), base, head); err != nil || again.Commit != m.Commit {
			t.Errorf("merged again: %+v, %v; want %s", again, err, m.Commit)
		}
	}
	if refs := run(t, r.bare, "for-each-ref", "--format=%(refname)", "--contains", m.Commit); refs != "" {
		t.Errorf("%s leads to the merge", refs)
	}
	for _, c := range []struct{ base, head, want string }{{fork, head, head}, {base, fork, base}, {head, head, head}} {
		if m, err := s.Merge(t.Context(), c.base, c.head); err != nil || m.Commit != c.want {
			t.Errorf("merge %s into %s: %+v, %v; want %s", c.head, c.base, m, err, c.want)
		}
	}
}

func TestMergeConflicts(t *testing.T) {
	odd := "tenants/a b/\u00fc\n\"x\".yaml"
	r, _, base, head := forked(t,
		map[string]string{"shared.yaml": "mine\n", odd: "mine\n", "same.yaml": "same\n"},
		map[string]string{"shared.yaml": "yours\n", odd: "yours\n", "same.yaml": "same\n", "more.yaml": "more\n"})
	m, err := r.source().Merge(t.Context(), base, head)
	if err != nil || m.Commit != "" || !slices.Equal(m.Conflicts, []string{"shared.yaml", odd}) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestMergeRefuses(t *testing.T) {
	r, _, base, _ := forked(t, nil, nil)
	run(t, r.work, "checkout", "--quiet", "--orphan", "other")
	other := r.commit("of another repository")
	r.push("HEAD:other")
	for head, want := range map[string]string{other: "no commit in common", "nothing": git.ErrNoRevision.Error(), "--help": git.ErrNoRevision.Error()} {
		if m, err := r.source().Merge(t.Context(), base, head); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("merge %s: %+v, %v; want %q", head, m, err, want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	_, err := r.source().Merge(t.Context(), "base", "head")
	if err == nil || !strings.Contains(err.Error(), "there is no git on this machine") {
		t.Errorf("without git: %v", err)
	}
}

// Nothing that a repository brings, or that is configured where it lies, is run when it is merged.
func TestMergeRunsNothing(t *testing.T) {
	attributes := "*.yaml merge=evil filter=evil diff=evil text eol=crlf\n"
	r, _, base, head := forked(t,
		map[string]string{"shared.yaml": "ONE\ntwo\nthree\nfour\nfive\n", ".gitattributes": attributes},
		map[string]string{"shared.yaml": "one\ntwo\nthree\nfour\nFIVE\n", ".gitattributes": attributes})
	ran := filepath.Join(t.TempDir(), "ran")
	evil := filepath.Join(t.TempDir(), "evil")
	if err := os.WriteFile(evil, []byte("#!/bin/sh\necho \"$@\" >> "+ran+"\ncat\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{r.bare, r.work} {
		for _, key := range []string{"merge.evil.driver", "filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "core.fsmonitor"} {
			run(t, dir, "config", key, evil)
		}
		run(t, dir, "config", "core.hooksPath", filepath.Dir(evil))
		info := filepath.Join(run(t, dir, "rev-parse", "--absolute-git-dir"), "info")
		if err := os.MkdirAll(info, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(info, "attributes"), []byte(attributes), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_EXTERNAL_DIFF"} {
		t.Setenv(name, evil)
	}
	for _, dir := range []string{r.bare, r.work} {
		s, err := git.Open(dir, "main")
		if err != nil {
			t.Fatal(err)
		}
		if m, err := s.Merge(t.Context(), base, head); err != nil || m.Commit == "" {
			t.Errorf("%+v, %v", m, err)
		}
	}
	if b, err := os.ReadFile(ran); err == nil {
		t.Errorf("something was run: %s", b)
	}
}
