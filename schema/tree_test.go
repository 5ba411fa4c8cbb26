package schema_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hostctl/schema"
)

// oddTree is a MapTree in which some files aren't regular, as a commit may hold them.
type oddTree struct {
	schema.MapTree
	modes map[string]fs.FileMode
}

func (t oddTree) Walk(fn func(string, schema.BlobID, fs.FileMode) error) error {
	return t.MapTree.Walk(func(p string, id schema.BlobID, _ fs.FileMode) error { return fn(p, id, t.modes[p]) })
}

// TestOddFiles is row B53 for what a txtar archive can't hold.
func TestOddFiles(t *testing.T) {
	base := func() schema.MapTree { return treeOf(mustArchive(t, "testdata/base.txtar")) }
	for _, c := range []struct {
		name, path string
		mode       fs.FileMode
		want       string
	}{
		{"symlink", "tenants/acme/link.yaml", fs.ModeSymlink, "tenants/acme/link.yaml:1:1: is a symlink; links aren't followed: commit the file itself"},
		{"symlinked folder", "tenants/evil", fs.ModeSymlink, "tenants/evil:1:1: is a symlink; links aren't followed: commit the file itself"},
		{"symlinked top", "platform", fs.ModeSymlink, "platform:1:1: is a symlink; links aren't followed: commit the file itself"},
		{"submodule", "tenants/acme/module", fs.ModeIrregular, "tenants/acme/module:1:1: is a submodule; other repositories aren't read: commit the files themselves"},
		{"submodule as a folder", "tenants/acme/module", fs.ModeDir, "tenants/acme/module:1:1: is a submodule; other repositories aren't read: commit the files themselves"},
		{"device", "tenants/acme/dev", fs.ModeDevice, "tenants/acme/dev:1:1: isn't a regular file; take it out"},
		{"newline", "tenants/acme/a\nb.yaml", 0, `"tenants/acme/a\nb.yaml":1:1: the file's name holds a line break, control or invisible character; rename it`},
		{"traversal", "tenants/acme/../x.yaml", 0, "tenants/acme/../x.yaml:1:1: the file's path isn't a clean relative path; rename it"},
		{"file for a folder", "tenants", 0, "tenants:1:1: is a file; tenants must be a folder"},
		{"symlink beside", "README.md", fs.ModeSymlink, ""},
	} {
		t.Run("B53 "+c.name, func(t *testing.T) {
			tree := oddTree{base(), map[string]fs.FileMode{c.path: c.mode}}
			tree.MapTree[c.path] = "# nothing\n"
			if got := strings.TrimSpace(report(tree)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestOddBytes is row B52 for bytes that a txtar archive can't hold.
func TestOddBytes(t *testing.T) {
	base := treeOf(mustArchive(t, "testdata/base.txtar"))
	const head = "apiVersion: hosting/v1\nkind: Webroot\nmetadata: {name: site}\nspec:\n  runtime: {type: static}\n"
	for name, c := range map[string]struct{ data, want string }{
		"NUL":            {head + "# \x00\n", "6:3: holds a NUL byte; is this a text file?"},
		"tab":            {head + "  x-a:\tb\n", `6:7: holds a tab; use spaces, or \t in double quotes`},
		"tab indent":     {head + "\tx-a: b\n", `6:1: holds a tab; use spaces, or \t in double quotes`},
		"BOM":            {"\ufeff" + head, "1:1: begins with a byte order mark; save it as UTF-8 without BOM"},
		"latin 1":        {head + "  x-a: gr\xfc\xdfe\n", "6:10: isn't UTF-8; save the file as UTF-8"},
		"CR":             {head + "x-a: b\rx-c: d\n", "6:7: holds a carriage return without line feed; end lines with a line feed"},
		"bidi":           {head + "x-a: b\u202e\n", "6:7: holds the invisible character U+202E; take it out"},
		"line separator": {head + "x-a: b\u2028\n", "6:7: holds the invisible character U+2028; take it out"},
		"control":        {head + "x-a: b\x1b[0m\n", "6:7: holds the invisible character U+001B; take it out"},
		"10 MB scalar":   {head + "  x-a: " + strings.Repeat("a", 10<<20) + "\n", "1:1: the file has more than 4194304 bytes; split it into several files"},
		"100 KB scalar":  {head + "  x-a: " + strings.Repeat("a", 100<<10) + "\n", "6:8: is a value of 102400 bytes; at most 65536 are allowed"},
		"deep":           {"a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n", "1:44: is nested more than 40 levels deep"},
		"CRLF":           {strings.ReplaceAll(head, "\n", "\r\n"), ""},
		"no file end":    {strings.TrimSpace(head), ""},
		"escaped NUL":    {head + "  documentRoot: \"a\\0b\"\n", `6:17: webroot/site: spec.documentRoot: "a\x00b" isn't a valid path; use letters, digits and . _ - between single slashes`},
	} {
		t.Run("B52 "+name, func(t *testing.T) {
			base["tenants/acme/x.yaml"] = c.data
			want := c.want
			if want != "" {
				want = "tenants/acme/x.yaml:" + want
			}
			if got := strings.TrimSpace(report(base)); got != want {
				t.Errorf("got  %.300s\nwant %s", got, want)
			}
		})
	}
}

// TestManyFiles is row B53's repository of 100,000 files: those that declare nothing cost next to nothing.
func TestManyFiles(t *testing.T) {
	tree := manyTenants(t, 1)
	for i := range 100_000 {
		tree.paths = append(tree.paths, fmt.Sprintf("tenants/t00000/files/%06d.txt", i))
	}
	mustLoad(t, tree, nil)
}

func TestDir(t *testing.T) {
	root := t.TempDir()
	for path, data := range treeOf(mustArchive(t, "testdata/base.txtar")) {
		write(t, filepath.Join(root, path), data)
	}
	write(t, filepath.Join(root, ".git/tenants/x.yaml"), "not: ours\n")
	write(t, filepath.Join(root, "docs/x.yaml"), "not: ours\n")
	if got := report(open(t, root)); got != "" {
		t.Fatal(got)
	}
	secret := filepath.Join(t.TempDir(), "secret.yaml")
	write(t, secret, "secret: x\n")
	for _, link := range []string{"tenants/acme/link.yaml", "tenants/evil"} {
		if err := os.Symlink(secret, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "tenants/acme/large.zip"), strings.Repeat("x", schema.MaxFileSize+1))
	write(t, filepath.Join(root, "tenants/acme/large.yaml"), strings.Repeat("# x\n", schema.MaxFileSize/4+1))
	want := "tenants/acme/large.yaml:1:1: the file has more than 4194304 bytes; split it into several files\n" +
		"tenants/acme/link.yaml:1:1: is a symlink; links aren't followed: commit the file itself\n" +
		"tenants/evil:1:1: is a symlink; links aren't followed: commit the file itself\n"
	if diff := cmp.Diff(want, report(open(t, root))); diff != "" {
		t.Error(diff)
	}
}

// TestDirNoticesChanges: a file that is swapped after it was hashed isn't taken for what it was.
func TestDirNoticesChanges(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "tenants/acme/x.yaml")
	write(t, path, "one\n")
	tree := open(t, root)
	write(t, path, "two\n")
	if _, err := tree.Read(schema.GitBlobID([]byte("one\n"))); err == nil {
		t.Error("a changed file was read as what it was")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if data, err := tree.Read(schema.GitBlobID([]byte("one\n"))); err == nil {
		t.Errorf("a symlink was followed: %.40s", data)
	}
}

func TestGitBlobID(t *testing.T) {
	if got := schema.GitBlobID(nil); got != "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391" {
		t.Errorf("the id of an empty file is %s", got)
	}
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(git, "hash-object", "--stdin")
	cmd.Stdin = strings.NewReader("hello\n")
	out, err := cmd.Output()
	if got := schema.GitBlobID([]byte("hello\n")); err != nil || string(got) != strings.TrimSpace(string(out)) {
		t.Errorf("got %s, git says %s %v", got, out, err)
	}
}

// TestTreeErrors: what the tree itself can't do is no problem of the repository.
func TestTreeErrors(t *testing.T) {
	_, err := schema.Load(brokenTree{manyTenants(t, 1)}, nil)
	if !errors.Is(err, errBroken) || errors.As(err, new(schema.Errors)) {
		t.Errorf("got %v", err)
	}
}

var errBroken = errors.New("disk on fire")

type brokenTree struct{ *indexTree }

func (brokenTree) Read(schema.BlobID) ([]byte, error) { return nil, errBroken }

func open(t *testing.T, root string) *schema.Folder {
	t.Helper()
	tree, err := schema.Dir(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	return tree
}

func write(t testing.TB, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}
