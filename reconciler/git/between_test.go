package git_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hostctl/reconciler/git"
)

// committed makes a commit of an empty tree with the given parents and time, in minutes, and returns it.
func committed(t testing.TB, r *repo, minute int, message string, parents ...string) string {
	t.Helper()
	when := fmt.Sprintf("%d +0000", 1_700_000_000+60*minute)
	text := "tree " + emptyTree(t, r) + "\n"
	for _, p := range parents {
		text += "parent " + p + "\n"
	}
	text += fmt.Sprintf("author A <a@b> %[1]s\ncommitter A <a@b> %[1]s\n\n%s\n", when, message)
	return hashed(t, r, "commit", text)
}

// hashed writes an object and returns its id.
func hashed(t testing.TB, r *repo, kind, text string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "hash-object", "-t", kind, "-w", "--stdin")
	cmd.Dir, cmd.Stdin = r.bare, strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func emptyTree(t testing.TB, r *repo) string {
	t.Helper()
	return hashed(t, r, "tree", "")
}

// What is new is found by reading what is new: of a long history the older commits needn't be there at all.
func TestBetweenReadsWhatIsNew(t *testing.T) {
	r := newRepo(t)
	var line []string
	for i := range 40 {
		line = append(line, committed(t, r, i, fmt.Sprint(i), line[max(0, i-1):]...))
	}
	applied := line[39]
	side := committed(t, r, 41, "side\n\nAllow-Destroy: tenant/x", line[36]) // begun some commits ago
	head := committed(t, r, 42, "merge", applied, side)
	s := r.source()
	old := filepath.Join(r.bare, "objects", line[30][:2], line[30][2:])
	if err := os.Remove(old); err != nil {
		t.Fatal(err)
	}
	infos, err := s.Between(t.Context(), applied, head)
	if err != nil {
		t.Fatalf("it reads commits that were there before: %v", err)
	}
	var got []string
	for _, c := range infos {
		got = append(got, c.Commit)
	}
	if !slices.Equal(got, []string{head, side}) {
		t.Errorf("new are %q, want %q", got, []string{head, side})
	}
	if said, err := s.Trailers(t.Context(), "Allow-Destroy", applied, head); err != nil || len(said) != 1 {
		t.Errorf("the trailers are %q, %v", said, err)
	}
	if base, err := s.MergeBase(t.Context(), applied, side); err != nil || base != line[36] {
		t.Errorf("the merge base is %s, %v; want %s", base, err, line[36])
	}
}

// BenchmarkBetween asks what a push of one commit brings to a history of 20,000.
func BenchmarkBetween(b *testing.B) {
	r := newRepo(b)
	first := r.commit("first")
	var stream strings.Builder
	for i := range 20_000 {
		from := ""
		if i == 0 {
			from = "from " + first + "\n"
		}
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter A <a@b> %d +0000\ndata 1\nx\n%s\n", 1_600_000_000+i, from)
	}
	cmd := exec.CommandContext(b.Context(), "git", "fast-import", "--quiet", "--force")
	cmd.Dir, cmd.Stdin = r.work, strings.NewReader(stream.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	r.push("main:main")
	s, err := git.Open(r.bare, "main")
	if err != nil {
		b.Fatal(err)
	}
	before, head := run(b, r.bare, "rev-parse", "main~1"), run(b, r.bare, "rev-parse", "main")
	for b.Loop() {
		if infos, err := s.Between(b.Context(), before, head); err != nil || len(infos) != 1 {
			b.Fatal(len(infos), err)
		}
	}
}
