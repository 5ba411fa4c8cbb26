package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"hostctl/tests/platform"
)

// trap is a program that nobody may run, and a file that nobody may read.
type trap struct {
	t            *testing.T
	program, ran string // the program leaves ran behind
	folder, file string
	inotify      int
	text         string // of the file
	blocked      string // a FIFO that nobody writes into
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	dir := t.TempDir()
	c := &trap{
		t: t, program: filepath.Join(dir, "program"), ran: filepath.Join(dir, "ran"), text: "canary-4711",
		folder: filepath.Join(dir, "outside"), file: filepath.Join(dir, "outside", "file.yaml"), blocked: filepath.Join(dir, "fifo"),
	}
	mustDo(t, os.WriteFile(c.program, []byte("#!/bin/sh\necho \"$0 $*\" >>"+c.ran+"\nexit 1\n"), 0o755))
	mustDo(t, os.Mkdir(c.folder, 0o755))
	mustDo(t, os.WriteFile(c.file, []byte("kind: "+c.text+"\n"), 0o644))
	mustDo(t, unix.Mkfifo(c.blocked, 0o644))
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	mustDo(t, err)
	c.inotify = fd
	t.Cleanup(func() { _ = unix.Close(fd) })
	for _, path := range []string{c.folder, c.file, c.blocked} {
		_, err := unix.InotifyAddWatch(fd, path, unix.IN_OPEN|unix.IN_ACCESS)
		mustDo(t, err)
	}
	return c
}

// opened returns how often something outside was opened or read since it was last asked.
func (c *trap) opened() (n int) {
	c.t.Helper()
	b := make([]byte, 1<<16)
	for {
		size, err := unix.Read(c.inotify, b)
		if errors.Is(err, unix.EAGAIN) {
			return n
		}
		mustDo(c.t, err)
		n += size / int(unsafe.Sizeof(unix.InotifyEvent{}))
	}
}

// wantUntouched checks that nothing has fallen into the trap.
func (c *trap) wantUntouched(when string) {
	c.t.Helper()
	if b, err := os.ReadFile(c.ran); err == nil {
		c.t.Errorf("%s: a program was run: %s", when, b)
	}
	if n := c.opened(); n > 0 {
		c.t.Errorf("%s: what is outside of the repository was opened, %d times", when, n)
	}
}

// arm sets the trap in a git folder: every setting and hook by which git runs a program.
func (c *trap) arm(gitDir string) {
	c.t.Helper()
	hooks := filepath.Join(gitDir, "trap")
	mustDo(c.t, os.MkdirAll(hooks, 0o755))
	for _, name := range []string{
		"pre-commit", "post-checkout", "post-merge", "pre-push", "pre-receive", "update", "post-receive", "post-update",
		"reference-transaction", "post-index-change", "fsmonitor-watchman", "pre-auto-gc", "post-rewrite", "sendemail-validate",
	} {
		mustDo(c.t, os.Symlink(c.program, filepath.Join(hooks, name)))
	}
	config := fmt.Sprintf(`
[core]
	fsmonitor = %[1]s
	hooksPath = %[2]s
	sshCommand = %[1]s
	pager = %[1]s
	editor = %[1]s
	alternateRefsCommand = %[1]s
	gitProxy = %[1]s
	attributesFile = %[3]s/attributes
[filter "trap"]
	clean = %[1]s
	smudge = %[1]s
	process = %[1]s
	required = true
[filter "lfs"]
	clean = %[1]s
	smudge = %[1]s
	process = %[1]s
[diff]
	external = %[1]s
[diff "trap"]
	textconv = %[1]s
	command = %[1]s
[merge "trap"]
	driver = %[1]s
[gpg]
	program = %[1]s
[gpg "ssh"]
	program = %[1]s
[credential]
	helper = !%[1]s
[uploadpack]
	packObjectsHook = %[1]s
[protocol "ext"]
	allow = always
`, c.program, hooks, c.folder)
	f, err := os.OpenFile(filepath.Join(gitDir, "config"), os.O_APPEND|os.O_WRONLY, 0)
	mustDo(c.t, err)
	_, err = f.WriteString(config)
	mustDo(c.t, errors.Join(err, f.Close()))
}

// bait puts into a clone what git or a careless reader would run or follow, where a configuration may have it.
func (c *trap) bait(clone string) {
	c.t.Helper()
	for name, text := range map[string]string{
		".gitattributes":              "* filter=trap diff=trap merge=trap text\n*.yaml ident\n",
		"tenants/acme/.gitattributes": "* filter=lfs\n",
		".gitmodules":                 "[submodule \"m\"]\n\tpath = m\n\turl = ext::" + c.program + "\n",
		".lfsconfig":                  "[lfs]\n\tstandalonetransferagent = trap\n",
		"hooks/pre-receive":           "#!/bin/sh\necho >" + c.ran + "\n",
		"config":                      "[core]\n\tfsmonitor = " + c.program + "\n",
		".sops.yaml":                  "creation_rules: [{key_groups: [{exec: " + c.program + "}]}]\n",
		"tenants/acme/file$(id).md":   "$(" + c.program + ") `" + c.program + "`\n",
	} {
		mustDo(c.t, os.MkdirAll(filepath.Dir(filepath.Join(clone, name)), 0o755))
		mustDo(c.t, os.WriteFile(filepath.Join(clone, name), []byte(text), 0o755))
	}
	mustDo(c.t, os.Symlink(c.file, filepath.Join(clone, "README.md")))
	mustDo(c.t, os.Symlink(c.folder, filepath.Join(clone, "docs")))
}

// links puts symlinks out of the repository where they matter.
func (c *trap) links(clone string) {
	c.t.Helper()
	for name, to := range map[string]string{
		"tenants/acme/link.yaml": c.file, "tenants/acme/folder": c.folder, "tenants/globex/fifo.yaml": c.blocked,
		"tenants/acme/shop/public/link.html": c.file, "clusters/eu-1/up.yaml": "../../../../../../../.." + c.file,
	} {
		mustDo(c.t, os.Symlink(to, filepath.Join(clone, name)))
	}
}

// A repository that tries to have programs run, and to have files read that lie outside of it, has neither: not from
// 'hostctl plan', in a folder and of a commit, nor in pre-receive, nor in hostd (G12).
func TestG12_HostileRepository(t *testing.T) {
	t.Parallel()
	s, c := hostileSite(t), newTrap(t)
	s.must(s.WriteSites())
	s.must(s.Replace("unix:///var/run/docker.sock", "unix://"+filepath.Join(s.Dir, "nobody.sock")))
	c.bait(s.Clone())

	// All that is right so far is planned, pushed and taken.
	printed := s.pushOnly("A configuration with bait")
	if !strings.Contains(printed, "+ container web-1-0 on host-1") {
		t.Errorf("the push prints no plan:\n%s", printed)
	}
	c.wantUntouched("a push with bait")

	// Symlinks where files are read are refused, and not followed.
	c.links(s.Clone())
	s.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",tenants/acme/module")
	refusals := []string{
		"tenants/acme/link.yaml:1:1: is a symlink", "tenants/acme/folder:1:1: is a symlink", "tenants/globex/fifo.yaml:1:1: is a symlink",
		"tenants/acme/shop/public/link.html:1:1: is a symlink", "clusters/eu-1/up.yaml:1:1: is a symlink",
	}
	wantAll := func(when, printed string, more ...string) {
		t.Helper()
		for _, want := range append(more, refusals...) {
			if !strings.Contains(printed, want) {
				t.Errorf("%s doesn't print %q:\n%s", when, want, printed)
			}
		}
		if strings.Contains(printed, c.text) {
			t.Errorf("%s prints what is outside of the repository:\n%s", when, printed)
		}
		c.wantUntouched(when)
	}
	s.git("add", "--all", ":!tenants/acme/module")
	s.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",tenants/acme/module")
	s.git("commit", "--quiet", "-m", "Links out")
	s.out.take()
	if err := s.Git(t.Context(), "push", "--quiet", "origin", "main"); err == nil {
		t.Error("the push was taken")
	}
	const module = "tenants/acme/module:1:1: is a submodule"
	wantAll("the push", s.out.take(), module)

	// hostctl in the very work tree, with a git config that is hostile too.
	c.opened() // git itself has looked at what it commits
	c.arm(filepath.Join(s.Clone(), ".git"))
	for _, c := range []struct{ args, more []string }{
		{[]string{"plan"}, nil}, // a folder with a submodule has it as an empty one, or none
		{[]string{"validate"}, nil},
		{[]string{"plan", "--rev", "HEAD"}, []string{module}},
		{[]string{"validate", "--rev", "main"}, []string{module}},
	} {
		out, err := s.Hostctl(t.Context(), append(c.args, "-C", s.Clone())...)
		if err == nil {
			t.Errorf("%v: no error", c.args)
		}
		wantAll(fmt.Sprint("hostctl ", c.args), out, c.more...)
	}

	// hostd, by a way around the hook, beside a hostile config.
	head := strings.TrimSpace(s.gitOut("rev-parse", "HEAD"))
	s.mustRun("cp", "-r", filepath.Join(s.Clone(), ".git", "objects")+"/.", filepath.Join(s.Repo(), "objects"))
	c.arm(s.Repo())
	c.opened()
	s.must(os.WriteFile(filepath.Join(s.Repo(), "refs/heads/main"), []byte(head+"\n"), 0o644))
	message := ""
	s.must(platform.Until(t.Context(), time.Minute, func() error {
		st, err := s.Status(t.Context())
		if err == nil && (st.Hostd == nil || st.Hostd.Head != head || !strings.Contains(st.Hostd.Message, "is a symlink")) {
			err = fmt.Errorf("hostd doesn't refuse %s: %+v", head, st.Hostd)
		}
		if err == nil {
			message = st.Hostd.Message
		}
		return err
	}))
	wantAll("hostd", message, module)
	if log := s.log(); strings.Contains(log, c.text) {
		t.Errorf("hostd's log has what is outside of the repository:\n%s", log)
	}

	// The trap does work.
	_ = exec.CommandContext(t.Context(), "git", "-C", s.Clone(), "status").Run() // whatever it says
	if _, err := os.Stat(c.ran); err != nil {
		t.Errorf("the trap's program isn't run by git either: %v", err)
	}
	if _, err := os.ReadFile(filepath.Join(s.Clone(), "tenants/acme/link.yaml")); err != nil || c.opened() == 0 {
		t.Errorf("the trap's file can be read unseen: %v", err)
	}
}

// hostileSite is a platform without far sides: a repository, its clone, and hostd.
func hostileSite(t *testing.T) *site {
	t.Helper()
	out := &output{}
	dir, err := os.MkdirTemp("", "e2e")
	mustDo(t, err)
	s := &site{Platform: platform.Platform{Bin: programs, Dir: dir, Out: out}, t: t, out: out, release: func() {}}
	t.Cleanup(s.remove)
	s.must(s.Init(t.Context()))
	s.startHostd()
	s.must(s.MakeClone(t.Context()))
	return s
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) git(args ...string) {
	s.t.Helper()
	s.must(s.Git(s.t.Context(), args...))
}

func (s *site) gitOut(args ...string) string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "git", append([]string{"-C", s.Clone()}, args...)...).Output()
	s.must(err)
	return string(out)
}

func (s *site) mustRun(name string, args ...string) {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), name, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}
