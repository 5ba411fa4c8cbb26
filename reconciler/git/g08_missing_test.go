package git_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"hostctl/reconciler"
	"hostctl/schema"
)

// A repository that lacks an object which it names, as after a fetch that was cut off, is never read as one that has less:
// whichever object it is, there is an error, and nothing that could be planned from (G8).
func TestG08_MissingObject(t *testing.T) {
	r := newRepo(t)
	r.write("platform/platform.yaml", "apiVersion: hosting/v1\nkind: Platform\nmetadata: {name: p}\n")
	r.write("tenants/acme/acme.yaml", "apiVersion: hosting/v1\nkind: Tenant\nmetadata: {name: acme}\n")
	r.write("tenants/globex/globex.yaml", "apiVersion: hosting/v1\nkind: Tenant\nmetadata: {name: globex}\n")
	commit := r.commit("all")
	r.push("HEAD:main")
	for _, rev := range []string{"", "^{tree}", ":platform", ":platform/platform.yaml", ":tenants", ":tenants/acme", ":tenants/acme/acme.yaml", ":tenants/globex"} {
		id := run(t, r.work, "rev-parse", commit+rev)
		object := filepath.Join(r.bare, "objects", id[:2], id[2:])
		away := filepath.Join(t.TempDir(), "object")
		if err := os.Rename(object, away); err != nil {
			t.Fatal(err)
		}
		s := r.source()
		tree, err := s.Tree(t.Context(), commit)
		if err == nil {
			var m schema.Manifest
			m, err = schema.Load(tree, nil)
			if n := len(m.Tenants); err != nil && n > 0 {
				t.Errorf("without %q: there are %d tenants beside the error", rev, n)
			}
		}
		var mistakes schema.Errors // of what was read, as if that were all
		if err == nil || errors.As(err, &mistakes) {
			t.Errorf("without %q: %v", rev, err)
		}
		if err := os.Rename(away, object); err != nil {
			t.Fatal(err)
		}
	}
}

// A branch that is gone, or that names a commit which isn't there, is an error, and no empty repository (G8).
func TestG08_MissingBranch(t *testing.T) {
	r := newRepo(t)
	r.write("platform/platform.yaml", "apiVersion: hosting/v1\nkind: Platform\nmetadata: {name: p}\n")
	r.commit("all")
	r.push("HEAD:main")
	s := r.source()
	branch := filepath.Join(r.bare, "refs/heads/main")
	for name, text := range map[string]string{
		"a commit that isn't there": "1111111111111111111111111111111111111111\n", "cut off": "1111", "empty": "", "zeros": "\x00\x00",
	} {
		if err := os.WriteFile(branch, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		head, err := s.Head(t.Context())
		if err == nil {
			_, err = s.Tree(t.Context(), head)
		}
		if err == nil {
			t.Errorf("%s: the branch can be read, as %s", name, head)
		}
	}
	if err := os.Remove(branch); err != nil {
		t.Fatal(err)
	}
	if head, err := s.Head(t.Context()); err == nil || head != "" {
		t.Errorf("without a branch: %q, %v, want %v", head, err, reconciler.ErrNoCommit)
	}
}
