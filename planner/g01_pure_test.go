package planner_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

// pure is what the planner may import. Nothing of it asks for the time, for chance, or for anything outside of the program:
// of packages that could, the names that may be used are listed.
var pure = map[string][]string{
	"bufio": nil, "bytes": nil, "cmp": nil, "crypto/sha256": nil, "encoding/hex": nil, "encoding/json": nil, "errors": nil,
	"fmt":  {"Sprintf", "Sprint", "Sprintln", "Errorf", "Fprintf", "Fprint", "Fprintln", "Sscanf", "Sscan", "Stringer"},
	"io":   nil,
	"iter": nil, "maps": nil, "math": nil, "net/netip": nil, "path": nil, "slices": nil, "sort": nil, "strconv": nil, "strings": nil,
	"net":  {"JoinHostPort", "SplitHostPort"},
	"sync": {"Mutex"},
	"time": {"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour", "ParseDuration"},

	"unicode": nil, "unicode/utf8": nil, "hostctl/schema": nil,
}

// The planner's source can't reach a clock, chance, the environment, a file, the network or a log, nor start a goroutine,
// whose order would be chance too (G1).
func TestG01_NothingImpureIsInReach(t *testing.T) {
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, n := range names {
		if !strings.HasSuffix(n.Name(), ".go") || strings.HasSuffix(n.Name(), "_test.go") {
			continue
		}
		read++
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, n.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			name, _ := strconv.Unquote(imp.Path.Value)
			if _, ok := pure[name]; !ok || imp.Name != nil {
				t.Errorf("%s: imports %s; the planner is pure, and imports by name what is in this test's list", files.Position(imp.Pos()), name)
			}
		}
		ast.Inspect(f, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.GoStmt, *ast.SelectStmt:
				t.Errorf("%s: concurrency", files.Position(node.Pos()))
			case *ast.SelectorExpr:
				if x, ok := node.X.(*ast.Ident); ok && pure[x.Name] != nil && !slices.Contains(pure[x.Name], node.Sel.Name) {
					t.Errorf("%s: %s.%s is not in this test's list", files.Position(node.Pos()), x.Name, node.Sel.Name)
				}
			}
			return true
		})
	}
	if read < 10 {
		t.Errorf("%d files were read", read)
	}
}

// What is declared counts, not in which file, and in which order there: the plan is the same but for the places that it
// names (G1).
func TestG01_OrderOfTheInputMakesNoDifference(t *testing.T) {
	tree := mapTree(t, "../examples/demo")
	for i := range 5 {
		name := fmt.Sprintf("t%d", i)
		tree["tenants/"+name+"/tenant.yaml"] = "apiVersion: hosting/v1\nkind: Tenant\nmetadata: {name: " + name + "}\nspec: {plan: small, shards: {web: web-1}}\n"
	}
	want := placeless(t, mustPlan(t, load(t, tree), planner.Live{}))
	for seed := range uint64(20) {
		got := placeless(t, mustPlan(t, load(t, shuffled(tree, rand.New(rand.NewPCG(seed, 1)))), planner.Live{}))
		if got != want {
			t.Fatalf("with seed %d the plan is\n%s\nand was\n%s", seed, got, want)
		}
	}
}

func mapTree(t *testing.T, dir string) schema.MapTree {
	t.Helper()
	from, err := schema.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	tree := schema.MapTree{}
	err = from.Walk(func(file string, _ schema.BlobID, _ fs.FileMode) error {
		b, err := os.ReadFile(filepath.Join(dir, file))
		tree[file] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// shuffled puts the documents of each folder into files of other names, in another order.
func shuffled(tree schema.MapTree, chance *rand.Rand) schema.MapTree {
	out := schema.MapTree{}
	documents := map[string][]string{}
	for _, file := range slices.Sorted(maps.Keys(tree)) {
		dir := path.Dir(file)
		switch {
		case !strings.HasSuffix(file, ".yaml") || file == "platform/platform.yaml":
			out[file] = tree[file]
		case strings.HasPrefix(dir, "tenants/") && strings.Count(dir, "/") > 1:
			out[file] = tree[file]
		default:
			documents[dir] = append(documents[dir], strings.Split(tree[file], "\n---\n")...)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(documents)) {
		docs := documents[dir]
		chance.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
		for n := 1; len(docs) > 0; n++ {
			some := 1 + chance.IntN(len(docs))
			out[fmt.Sprintf("%s/%03d.yaml", dir, chance.IntN(100)*10+n%10)] += strings.Join(docs[:some], "\n---\n") + "\n---\n"
			docs = docs[some:]
		}
	}
	return out
}

// placeless is a plan without the files and lines that it names.
func placeless(t *testing.T, p planner.Plan) string {
	t.Helper()
	p.Remember = planner.Memory{}
	saved := string(encoded(t, p))
	var b strings.Builder
	_, body, _ := strings.Cut(saved, `"plan":`)
	for i, part := range strings.Split(body, `"file":"`) {
		if i > 0 {
			_, part, _ = strings.Cut(part, `"line":`)
			part = strings.TrimLeft(part, "0123456789")
		}
		b.WriteString(part)
	}
	return b.String()
}

// planEnv is set where this program runs to print a plan, and nothing else.
const planEnv = "HOSTCTL_TEST_PRINT_PLAN"

// printPlan prints the plan of the demo, and what a second plan takes to three nodes.
func printPlan() {
	tree, err := schema.Dir("../examples/demo")
	if err != nil {
		panic(err)
	}
	m, err := schema.Load(tree, nil)
	if err != nil {
		panic(err)
	}
	first, err := planner.New(m, planner.Live{}, agent)
	if err != nil {
		panic(err)
	}
	m.Shards[0].NodeCount++
	second, err := planner.New(m, applied(first), agent)
	if err != nil {
		panic(err)
	}
	for _, p := range []planner.Plan{first, second} {
		b, err := planner.EncodePlan(p)
		if err != nil {
			panic(err)
		}
		_, _ = os.Stdout.Write(b)
	}
}

// Two processes plan the same from the same, whatever their environment is (G1).
func TestG01_ProcessesAgree(t *testing.T) {
	want := ""
	for i, env := range [][]string{
		{"GOMAXPROCS=1", "TZ=UTC", "LANG=C"},
		{"GOMAXPROCS=4", "TZ=Pacific/Auckland", "LANG=tr_TR.UTF-8", "HOSTNAME=another", "USER=nobody", "GOGC=1"},
		{},
	} {
		c := exec.Command(os.Args[0])
		c.Env = append(slices.Clone(env), planEnv+"=1")
		got, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want = string(got)
		}
		if strings.Count(want, `"format":`) != 2 || string(got) != want {
			t.Fatalf("with %v:\n%s\nand before:\n%s", env, got, want)
		}
	}
}
