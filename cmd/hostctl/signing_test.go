package main

import (
	"os"
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

func signers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: signers FILE NAME=KEY...")
	}
	var b strings.Builder
	for _, arg := range args[1:] {
		name, key, _ := strings.Cut(arg, "=")
		b.WriteString(name + ` namespaces="git" ` + ts.ReadFile(key))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o644))
}

func forge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: forge REPO OLD NEW")
	}
	repo := ts.MkAbs(args[0])
	git := func(stdin string, args ...string) string {
		c := exec.Command("git", args...)
		c.Dir, c.Stdin = repo, strings.NewReader(stdin)
		out, err := c.Output()
		ts.Check(err)
		return string(out)
	}
	commit := git("", "cat-file", "commit", "HEAD")
	forged := strings.Replace(commit, args[1], args[2], 1)
	if forged == commit {
		ts.Fatalf("the commit doesn't say %q", args[1])
	}
	id := strings.TrimSpace(git(forged, "hash-object", "-t", "commit", "-w", "--stdin"))
	git("", "update-ref", "HEAD", id)
}

// approveTag gives a repository a tag that approves its newest commit by name, unsigned or, with another repository, signed
// for what was approved there.
func approveTag(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: approvetag REPO NAME [SIGNED-IN]")
	}
	run := func(dir string, args ...string) string {
		c := exec.Command("git", args...)
		c.Dir = ts.MkAbs(dir)
		out, err := c.CombinedOutput()
		if err != nil {
			ts.Fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	head := run(args[0], "rev-parse", "HEAD")
	name := "refs/tags/approve/" + head + "/" + args[1]
	if len(args) == 2 {
		run(args[0], "tag", "--annotate", "--message", "approved", strings.TrimPrefix(name, "refs/tags/"), head)
	} else {
		tag, _, _ := strings.Cut(run(args[2], "for-each-ref", "--format=%(refname)", "refs/tags/approve/"), "\n")
		run(args[0], "fetch", "--quiet", ts.MkAbs(args[2]), "+"+tag+":"+name)
	}
	run(args[0], "push", "--quiet", "origin", name)
}
