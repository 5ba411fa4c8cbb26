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
	incoming := os.Getenv("GIT_OBJECT_DIRECTORY")
	s, err := git.OpenQuarantine(".", "main", incoming)
	if err != nil {
		fmt.Println("hook:", err)
		return
	}
	fmt.Println("hostd", readable(incoming, commit))
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
			for _, want := range []string{"hostd <nil>", "relation ahead <nil>", "file kept.yaml kept", "file new.yaml new", "walked <nil>"} {
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

// readable reads a pushed commit as hostd does, which has the repository open and is told the folder.
func readable(incoming, commit string) error {
	s, err := git.Open(".", "main")
	if err != nil {
		return err
	}
	with, err := s.Incoming(incoming)
	if err != nil {
		return err
	}
	_, err = with.Tree(context.Background(), commit)
	return err
}

// TestIncomingRefuses: nothing is opened but what git has made for a push to this very repository.
func TestIncomingRefuses(t *testing.T) {
	r, other := newRepo(t), newRepo(t)
	s, err := git.Open(r.bare, "main")
	if err != nil {
		t.Fatal(err)
	}
	const name = "tmp_objdir-incoming-abc123"
	good := filepath.Join(r.bare, "objects", name)
	elsewhere := filepath.Join(other.bare, "objects", name)
	link := filepath.Join(r.bare, "objects", "tmp_objdir-incoming-link")
	file := filepath.Join(r.bare, "objects", "tmp_objdir-incoming-file")
	for _, err := range []error{
		os.Mkdir(good, 0o700), os.Mkdir(elsewhere, 0o700), os.Symlink(elsewhere, link), os.WriteFile(file, nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Incoming(good); err != nil {
		t.Errorf("the folder of a push: %v", err)
	}
	t.Chdir(filepath.Join(r.bare, "objects"))
	for _, dir := range []string{
		"", name, elsewhere, link, file, r.bare, filepath.Join(r.bare, "objects"), filepath.Join(r.bare, "objects", "pack"),
		good + "/", good + "/..", good + "x", filepath.Dir(good) + "/../../../" + filepath.Base(filepath.Dir(other.bare)) + "/" + filepath.Base(other.bare) + "/objects/" + name,
		filepath.Dir(good) + "/incoming-gone",
	} {
		if _, err := s.Incoming(dir); err == nil {
			t.Errorf("%q is taken for the folder of a push", dir)
		}
	}
}
