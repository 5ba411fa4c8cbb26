package tests

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// starters are the packages that may start a program, by its argument list: what is in a node, the git and the editor of
// who runs hostctl, the git that merges, and the suite that starts itself again.
var starters = []string{
	"agent/apps", "agent/argv", "agent/cron", "agent/php", "cmd/hostctl", "cmd/internal/editor", "executors/haproxy", "reconciler/git", "reconciler/git/gittest",
	"reconciler/inventory/inventorytest",
}

// becomes are the packages by which a process of ours becomes a tenant's program: as the tenant's user, by an argument list.
var becomes = []string{"agent/apps"}

// shells are programs that take a text for commands, or that look for another program and run it.
var shells = regexp.MustCompile(`(^|[\s/'"])(sh|ash|bash|dash|zsh|ksh|csh|tcsh|fish|busybox|eval|xargs|perl|awk|gawk|sudo|su|CMD-SHELL|SHELL)($|[\s'"])`)

// scripted are the files of the images that a shell runs: fixed texts, that are given nothing which a tenant has chosen. Each
// new one is a decision.
var scripted = []string{
	"base/hostctl/init", "base/policy-rc.d", "db/hostctl/init-database", "db/hostctl/prepare", "dns/hostctl/healthy", "dns/hostctl/prepare",
	"lb/hostctl/healthy", "servicedb/hostctl/init-database",
	"build", "bootstrap", // not in an image: they make them
}

// No shell is anywhere in the program (G12): nothing but the packages above starts a program, and no text that could be a
// program's name or argument names a shell.
func TestG12_NoShell(t *testing.T) {
	read := 0
	for _, top := range []string{"agent", "cmd", "examples", "executors", "migrations", "planner", "reconciler", "schema"} {
		err := filepath.WalkDir(filepath.Join("..", top), func(file string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "testdata" {
				return fs.SkipDir
			}
			if strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") {
				read++
				noShell(t, file)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if read < 200 {
		t.Errorf("%d files were read", read)
	}
}

// noShell looks through one file of Go.
func noShell(t *testing.T, file string) {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(file), "../"))
	for _, imp := range f.Imports {
		switch name, _ := strconv.Unquote(imp.Path.Value); {
		case name == "os/exec" && !slices.Contains(starters, dir):
			t.Errorf("%s: imports %s; programs are started by %v only", files.Position(imp.Pos()), name, starters)
		case name == "plugin" || name == "C":
			t.Errorf("%s: imports %s; what is run is in the program", files.Position(imp.Pos()), name)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field: // a tag of a struct is no argument
			n.Tag = nil
		case *ast.SelectorExpr:
			if slices.Contains([]string{"StartProcess", "ForkExec", "Exec"}, n.Sel.Name) && isIdent(n.X, "os", "syscall", "unix") && !slices.Contains(becomes, dir) {
				t.Errorf("%s: starts a program, past os/exec", files.Position(n.Pos()))
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && shells.MatchString(text) && !prose(text) {
				t.Errorf("%s: %q names a shell", files.Position(n.Pos()), text)
			}
		}
		return true
	})
}

func isIdent(x ast.Expr, names ...string) bool {
	id, ok := x.(*ast.Ident)
	return ok && slices.Contains(names, id.Name)
}

// prose reports whether a text is a sentence for people: words, more than two between spaces, and no path, option or sign of
// a command.
func prose(text string) bool {
	return len(strings.Fields(text)) > 3 && !strings.ContainsAny(text, "$|>&`") && !strings.Contains(text, "/bin/") && !strings.Contains(text, " -c")
}

// What a shell runs in the images is in the list above, and nothing else.
func TestG12_ScriptsOfTheImages(t *testing.T) {
	found := []string{}
	err := filepath.WalkDir("../agent/images", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(file)
		line, _, _ := bytes.Cut(b, []byte("\n"))
		if interpreter, ok := bytes.CutPrefix(line, []byte("#!")); ok && path.Base(strings.Fields(string(interpreter))[0]) != "execlineb" {
			found = append(found, strings.TrimPrefix(filepath.ToSlash(file), "../agent/images/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if !slices.Contains(scripted, f) {
			t.Errorf("agent/images/%s is run by a shell or another interpreter; write it in execline, or list it here, on purpose", f)
		}
	}
	for _, f := range scripted {
		if !slices.Contains(found, f) {
			t.Errorf("agent/images/%s isn't a script any more; take it off the list", f)
		}
	}
}
