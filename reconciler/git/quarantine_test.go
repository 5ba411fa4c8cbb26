package git_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hostctl/reconciler/git"
	"hostctl/schema"
)

// TestMain lets the test binary be the pre-receive hook of a repository.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "pre-receive" {
		preReceive()
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// preReceive prints every file of what is pushed, and refuses it.
func preReceive() {
	var old, commit, ref string
	if _, err := fmt.Scan(&old, &commit, &ref); err != nil {
		fmt.Println("hook:", err)
		return
	}
	s, err := git.OpenQuarantine(".", "main", os.Getenv("GIT_OBJECT_DIRECTORY"))
	if err != nil {
		fmt.Println("hook:", err)
		return
	}
	if strings.Trim(old, "0") != "" {
		relation, err := s.Relation(context.Background(), old, commit)
		fmt.Println("relation", relation, err)
	}
	tree, err := s.Tree(context.Background(), commit)
	if err != nil {
		fmt.Println("hook:", err)
		return
	}
	err = tree.Walk(func(path string, blob schema.BlobID, _ fs.FileMode) error {
		b, err := tree.Read(blob)
		fmt.Printf("file %s %s\n", path, b)
		return err
	})
	fmt.Println("walked", err)
}

// TestQuarantine reads a push that git has not accepted yet: loose objects and a pack, on a branch that is new and on one
// that isn't.
func TestQuarantine(t *testing.T) {
	for _, c := range []struct{ name, unpackLimit string }{{"loose", "1000"}, {"packed", "1"}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRepo(t)
			run(t, r.bare, "config", "receive.unpackLimit", c.unpackLimit)
			r.write("kept.yaml", "kept")
			r.commit("first")
			r.push("HEAD:main")
			before := run(t, r.bare, "rev-parse", "main")

			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(r.bare, "hooks"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(self, filepath.Join(r.bare, "hooks/pre-receive")); err != nil {
				t.Fatal(err)
			}
			r.write("new.yaml", "new")
			r.commit("second")
			push := exec.CommandContext(t.Context(), "git", "-C", r.work, "push", "origin", "HEAD:main")
			out, err := push.CombinedOutput()
			if err == nil {
				t.Fatalf("the hook didn't refuse:\n%s", out)
			}
			for _, want := range []string{"relation ahead <nil>", "file kept.yaml kept", "file new.yaml new", "walked <nil>"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("the push prints no %q:\n%s", want, out)
				}
			}
			if after := run(t, r.bare, "rev-parse", "main"); after != before {
				t.Errorf("the branch moved to %s", after)
			}
		})
	}
}
