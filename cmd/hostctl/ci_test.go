package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// workflow is as much of the files in examples/ci as is looked into.
type workflow struct {
	On          map[string]any    `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]struct {
		Permissions map[string]string `yaml:"permissions"`
		Env         map[string]string `yaml:"env"`
		Steps       []struct {
			Uses string            `yaml:"uses"`
			Run  string            `yaml:"run"`
			If   string            `yaml:"if"`
			With map[string]any    `yaml:"with"`
			Env  map[string]string `yaml:"env"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
	Hostctl struct { // GitLab's
		Variables map[string]string   `yaml:"variables"`
		Rules     []map[string]string `yaml:"rules"`
		Script    []string            `yaml:"script"`
		Artifacts struct {
			Paths   []string          `yaml:"paths"`
			Reports map[string]string `yaml:"reports"`
		} `yaml:"artifacts"`
	} `yaml:"hostctl"`
}

// The workflows of examples/ci work, each command line of them, in a clone as the forge's CI makes one: where a change is
// fine, and where it isn't.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	p := newProposed(t)
	for _, forge := range []string{"github", "gitlab", "gitea"} {
		t.Run(forge, func(t *testing.T) {
			b, err := os.ReadFile("../../examples/ci/" + forge + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			var w workflow
			if err := yaml.Unmarshal(b, &w); err != nil {
				t.Fatal(err)
			}
			if forge == "gitlab" {
				testGitLab(t, p, w)
			} else {
				testActions(t, p, forge, w)
			}
			if bytes.Contains(b, []byte("secrets.")) {
				t.Error("it asks for a secret")
			}
		})
	}
}

var pinnedCheckout = regexp.MustCompile(`^(https://github\.com/)?actions/checkout@[0-9a-f]{40}$`)

func testActions(t *testing.T, p proposed, forge string, w workflow) {
	if _, ok := w.On["pull_request"]; !ok || len(w.On) != 1 {
		t.Errorf("it runs on %v", w.On)
	}
	granted := w.Jobs["plan"].Permissions
	if forge == "gitea" {
		granted = w.Permissions
	}
	for what, access := range granted {
		if want := map[string]string{"contents": "read", "pull-requests": "write"}[what]; access != want {
			t.Errorf("its token may %s %s", access, what)
		}
	}
	var steps []string
	for _, s := range w.Jobs["plan"].Steps {
		if s.Uses != "" && (!pinnedCheckout.MatchString(s.Uses) || s.With["persist-credentials"] != false || s.With["fetch-depth"] != 0) {
			t.Errorf("uses %s with %v", s.Uses, s.With)
		}
		if strings.Contains(s.Run, "${{") {
			t.Errorf("%q: what others name becomes part of a command line", s.Run)
		}
		if len(s.Env["GH_TOKEN"]) > 0 && !strings.Contains(s.If, "head.repo.full_name == github.repository") {
			t.Errorf("%q has a token that writes, on forks too", s.Run)
		}
		if s.Run != "" {
			steps = append(steps, s.Run)
		}
	}
	for _, bad := range []bool{false, true} {
		c := p.ci(t, bad)
		c.vars["BASE"], c.vars["GITHUB_STEP_SUMMARY"], c.vars["PULL"] = "main", filepath.Join(c.dir, "..", "summary.md"), "7"
		out := c.runs(steps)
		if bad && !strings.Contains(out, "::error file=tenants/acme/new.yaml,line=2,col=7::kind: ") {
			t.Errorf("the mistake isn't told at its line:\n%s", out)
		}
		if forge == "github" {
			c.wants("plan.md", c.want())
			c.wants("../summary.md", c.want())
		}
		if !bad && !strings.Contains(out, "+ webroot   acme.new on web-1") {
			t.Errorf("the log doesn't tell the plan:\n%s", out)
		}
	}
}

func testGitLab(t *testing.T, p proposed, w workflow) {
	if r := w.Hostctl.Rules; len(r) != 1 || r[0]["if"] != `$CI_PIPELINE_SOURCE == "merge_request_event"` || w.Hostctl.Variables["GIT_DEPTH"] != "0" {
		t.Errorf("rules %v, variables %v", r, w.Hostctl.Variables)
	}
	for _, bad := range []bool{false, true} {
		c := p.ci(t, bad)
		c.vars["CI_MERGE_REQUEST_TARGET_BRANCH_NAME"], c.vars["CI_COMMIT_SHA"] = "main", c.head
		c.runs(w.Hostctl.Script)
		for _, file := range w.Hostctl.Artifacts.Paths {
			c.wants(file, c.want())
		}
		quality := "[]"
		if bad {
			quality = `"path": "tenants/acme/new.yaml"`
		}
		c.wants(w.Hostctl.Artifacts.Reports["codequality"], quality)
	}
}

// ci is a clone as a forge's CI makes one of a proposal.
type ci struct {
	t    *testing.T
	dir  string
	head string
	bad  bool // what is proposed has a mistake
	vars map[string]string
}

// proposed is a repository with two branches that are proposed, the second with a mistake, and a server that has hostctl.
type proposed struct {
	place
	url   string
	heads [2]string
}

func newProposed(t *testing.T) proposed {
	t.Helper()
	p := proposed{place: newPlace(t)}
	p.mustGit("push", "--quiet", "origin", "HEAD:main")
	program, err := exec.LookPath("hostctl")
	if err != nil {
		t.Fatal(err)
	}
	binary := p.read(program)
	p.edit("hostctl.sha256", fmt.Sprintf("%x  hostctl\n", sha256.Sum256([]byte(binary))))
	for i, kind := range []string{"Webroot", "Webrot"} {
		p.edit("tenants/acme/new.yaml", "apiVersion: hosting/v1\nkind: "+kind+"\nmetadata: {name: new}\nspec: {runtime: {type: static}}\n")
		p.commit("A site")
		p.mustGit("push", "--quiet", "origin", fmt.Sprintf("HEAD:refs/heads/topic%d", i))
		p.heads[i] = strings.TrimSpace(p.mustGit("rev-parse", "HEAD"))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, binary) }))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// ci makes a clone as a forge's CI does, of what is proposed.
func (p proposed) ci(t *testing.T, bad bool) ci {
	t.Helper()
	c := ci{t: t, dir: filepath.Join(t.TempDir(), "work"), bad: bad, head: p.heads[0], vars: map[string]string{"HOSTCTL_URL": p.url}}
	if bad {
		c.head = p.heads[1]
	}
	p.mustGit("clone", "--quiet", "--no-checkout", p.repo+".git", c.dir)
	p.mustGit("-C", c.dir, "checkout", "--quiet", "--detach", c.head)
	return c
}

// runs runs command lines and returns what they print. Only the plan of a mistake may fail. gh isn't run, for it needs GitHub.
func (c ci) runs(steps []string) string {
	c.t.Helper()
	var all strings.Builder
	for _, s := range steps {
		words := c.words(s)
		if words[0] == "gh" {
			want := []string{"gh", "pr", "comment", "7", "--edit-last", "--create-if-none", "--body-file", "plan.md"}
			if !slices.Equal(words, want) {
				c.t.Errorf("%q", words)
			}
			continue
		}
		cmd := exec.CommandContext(c.t.Context(), words[0], words[1:]...)
		if strings.HasPrefix(words[0], "./") {
			cmd.Path = filepath.Join(c.dir, words[0])
			cmd.Err = nil
		}
		cmd.Dir = c.dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(c.dir)}
		out, err := cmd.CombinedOutput()
		if fails := c.bad && words[0] == "./hostctl"; (err != nil) != fails {
			c.t.Fatalf("%s: %v\n%s", s, err, out)
		}
		all.Write(out)
	}
	return all.String()
}

// words splits a command line as any shell does that has nothing to do but that.
func (c ci) words(line string) []string {
	c.t.Helper()
	if strings.ContainsAny(line, "|&;<>()`'\\*?~\n") {
		c.t.Fatalf("%q is more than a command line", line)
	}
	var words []string
	for _, w := range strings.Fields(line) {
		words = append(words, os.Expand(strings.ReplaceAll(w, `"`, ""), func(name string) string {
			value, ok := c.vars[name]
			if !ok {
				c.t.Errorf("%q: no %s", line, name)
			}
			return value
		}))
	}
	return words
}

// want is what the report of the plan has in it.
func (c ci) want() string {
	if c.bad {
		return "tenants/acme/new.yaml:2:7: kind: "
	}
	return "<details><summary>tenant <code>acme</code>: "
}

func (c ci) wants(file, text string) {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, file))
	if err != nil || !strings.Contains(string(b), text) {
		c.t.Errorf("%s holds no %q: %v\n%s", file, text, err, b)
	}
}
