package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hostctl/examples"
	"hostctl/reconciler"
	"hostctl/reconciler/forge"
	"hostctl/reconciler/forge/forgetest"
	"hostctl/reconciler/git"
	"hostctl/reconciler/git/gittest"
	"hostctl/tests/inmemory"
)

// story is docs/pull-requests.md as it is carried out: its git at git's own server, its hostd with far sides in memory.
type story struct {
	*testing.T
	dir  string // where the commands run
	env  []string
	repo *gittest.Repo
}

var (
	storyLines  = regexp.MustCompile("(?s)```console\n(.*?)```")
	storyFile   = regexp.MustCompile("(?s)in a file `([^`]+)`:\n\n```yaml\n(.*?)```")
	storyBlocks = regexp.MustCompile("(?s)```(status|comment)\n(.*?)```")
	quoted      = regexp.MustCompile(`"([^"]*)"|\S+`)
)

// TestPullRequestsPage carries out docs/pull-requests.md, from the empty forge to the change that is applied.
func TestPullRequestsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/pull-requests.md")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	s := &story{T: t, dir: t.TempDir(), repo: gittest.New(t, root, "platform.git")}
	served := gittest.Serve(t, root, gittest.Options{})
	s.env = append(gittest.Env(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url."+served.URL+"/.insteadOf", "GIT_CONFIG_VALUE_0=https://git.example.org/acme/")
	file := storyFile.FindSubmatch(page)
	if file == nil {
		t.Fatal("the page has no file")
	}
	commands := storyLines.FindAllSubmatch(page, -1)
	if len(commands) < 3 {
		t.Fatalf("the page has %d blocks of commands", len(commands))
	}
	s.run(string(commands[0][1]))
	s.run(string(commands[1][1]))
	world, previews, far := s.platform(served.URL)
	for _, line := range strings.Split(strings.TrimSpace(string(commands[2][1])), "\n") {
		if strings.Contains(line, " add ") {
			path := filepath.Join(s.dir, "work", string(file[1]))
			s.must(os.WriteFile(path, file[2], 0o644))
		}
		s.run(line)
	}
	id := gittest.Git(t, s.repo.Bare, "rev-parse", "blog")
	s.repo.Git("fetch", "--quiet", "origin")
	far.Open(1, id)
	previews.Look(1)
	s.told(page, far, id)

	s.repo.Git("checkout", "--quiet", "--detach", "origin/main")
	s.repo.Git("merge", "--quiet", "--no-ff", "-m", "Merge the blog", id)
	s.repo.Push("HEAD:main")
	merged := s.repo.Git("rev-parse", "HEAD")
	s.until("the merge is applied", func() bool {
		runs, err := world.Inventory.Runs(t.Context(), 1)
		return err == nil && len(runs) == 1 && runs[0].Commit == merged && runs[0].State == reconciler.Succeeded
	})
}

func (s *story) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// run carries out commands. hostctl init makes what it starts with, hostd's flags are read, and people type by themselves.
func (s *story) run(commands string) {
	s.Helper()
	for line := range strings.SplitSeq(strings.TrimSpace(commands), "\n") {
		var argv []string
		for _, m := range quoted.FindAllStringSubmatch(strings.TrimPrefix(line, "$ "), -1) {
			argv = append(argv, firstNotEmpty(m[1], m[0]))
		}
		switch argv[0] {
		case "git":
			cmd := exec.CommandContext(s.Context(), "git", argv[1:]...)
			cmd.Dir, cmd.Env = s.dir, s.env
			if out, err := cmd.CombinedOutput(); err != nil {
				s.Fatalf("%s: %v\n%s", line, err, out)
			}
		case "hostctl":
			s.init(filepath.Join(s.dir, argv[len(argv)-1]))
		case "hostd":
			s.flags(argv[1:])
		case "install":
		default:
			s.Fatalf("nobody knows %q", line)
		}
	}
}

func firstNotEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// init makes a repository of what 'hostctl init' starts with.
func (s *story) init(dir string) {
	s.Helper()
	s.must(os.CopyFS(dir, examples.Minimal()))
	gittest.Git(s, dir, "init", "--quiet", "--initial-branch=main")
	gittest.Git(s, dir, "add", "--all")
	gittest.Git(s, dir, "commit", "--quiet", "-m", "A platform")
}

// flags reads hostd's flags as hostd does, with files of this machine in place of those in /etc.
func (s *story) flags(args []string) {
	s.Helper()
	s.must(os.WriteFile(filepath.Join(s.dir, "secret"), []byte("a-secret-of-enough-characters\n"), 0o600))
	for i, a := range args {
		if strings.HasPrefix(a, "/etc/hostctl/") {
			args[i] = filepath.Join(s.dir, "secret")
		}
	}
	c, err := readConfig(args)
	if err != nil || c.PullRequests.Forge != "gitea" {
		s.Errorf("hostd's flags on the page: %v", err)
	}
}

// platform starts what hostd does: it makes the branch of a mirror true, and previews pull requests.
func (s *story) platform(url string) (inmemory.World, *forge.Previews, *forgetest.Server) {
	s.Helper()
	agent := filepath.Join(s.dir, "node-agent")
	s.must(os.WriteFile(agent, []byte("not run\n"), 0o755))
	p := inmemory.Platform{Repo: s.repo.Bare, State: filepath.Join(s.dir, "state"), Agent: agent}
	_, err := inmemory.Apply(s.Context(), p)
	s.must(err)
	world, err := inmemory.Open(s.Context(), p)
	s.must(err)
	log := slog.New(slog.DiscardHandler)
	mirror, err := git.OpenMirror(s.Context(), git.Remote{URL: url + "/platform.git", Every: time.Second}, filepath.Join(s.dir, "mirror.git"), log)
	s.must(err)
	world.Source = mirror
	far := forgetest.Serve(s, forge.Gitea, s.repo)
	api, err := forge.New(forge.Options{Kind: forge.Gitea, URL: far.URL, Project: forgetest.Project, Token: func() (string, error) { return forgetest.Token, nil }})
	s.must(err)
	previews := &forge.Previews{
		Forge: api, Repository: mirror, Planner: world, Dir: filepath.Join(s.dir, "previews"), Branch: "main", Instance: strings.Repeat("0", 32),
		Context: "hostctl", Poll: time.Hour, Log: log,
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	loop := &reconciler.Loop{Reconciler: world.Reconciler, Feed: &reconciler.Feed{}}
	go func() { ended <- loop.Run(ctx) }()
	go func() { ended <- preview(ctx, previews, mirror) }()
	s.Cleanup(func() {
		stop()
		s.must(errors.Join(<-ended, <-ended, world.Close()))
	})
	return world, previews, far
}

// told waits until the forge shows what the page says that it does.
func (s *story) told(page []byte, far *forgetest.Server, commit string) {
	s.Helper()
	for _, block := range storyBlocks.FindAllSubmatch(page, -1) {
		want := strings.TrimSpace(string(block[2]))
		got := ""
		s.until(string(block[1])+" as on the page", func() bool {
			got = ""
			if string(block[1]) == "comment" {
				for _, c := range far.Comments(1) {
					got = c.Body
				}
				return strings.Contains(got, want)
			}
			for _, st := range far.Statuses(commit) {
				got += fmt.Sprintf("%s %s: %s\n", st.Context, st.State, st.Description)
			}
			got = strings.TrimSpace(got) // what is pending need not be told any more once it is planned
			return strings.Contains(got, "success") && strings.HasSuffix(want, got)
		})
	}
}

func (s *story) until(what string, ok func() bool) {
	s.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			s.Fatalf("waited in vain: %s", what)
		}
	}
}
