package tests

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/reconciler"
	"hostctl/reconciler/web"
	"hostctl/tests/generate"
	"hostctl/tests/inmemory"
)

// BenchmarkPlan plans a large platform with the hostctl program itself, a process each time, as a person or a hook does:
// 10,000 tenants with ten host names each (100 with -short, or as many as the variable TENANTS says). MB-peak is the most
// memory that a process had.
//
//	first     a folder, against an empty inventory
//	first-git the same, from a commit of a bare repository
//	again     a commit that was wholly applied, against its inventory: no changes, and nothing known of it
//	unchanged the same once more
//	edit      a commit that adds one record to it
//	all       a commit that adds a host name to every tenant
func BenchmarkPlan(b *testing.B) {
	p := newLargePlatform(b)
	b.Run("first", func(b *testing.B) { p.bench(b, exitChanges, "plan", "-C", p.work) })
	b.Run("first-git", func(b *testing.B) { p.bench(b, exitChanges, "plan", "-C", p.bare) })
	objects := p.apply(b)
	b.Run("again", func(b *testing.B) {
		p.forget = true
		p.bench(b, exitSame, "plan", "-C", p.bare, "--state", p.state)
		p.forget = false
		b.ReportMetric(float64(objects), "objects")
	})
	b.Run("unchanged", func(b *testing.B) { p.bench(b, exitSame, "plan", "-C", p.bare, "--state", p.state) })
	p.edit(b)
	b.Run("edit", func(b *testing.B) { p.bench(b, exitChanges, "plan", "-C", p.bare, "--state", p.state) })
	p.editAll(b)
	b.Run("all", func(b *testing.B) { p.bench(b, exitChanges, "plan", "-C", p.bare, "--state", p.state) })
}

// BenchmarkPlanWarm plans the same platform as hostd does, which keeps what it has read: the same commit again, commits
// that add one record each, and one that adds a host name to every tenant. It comes after BenchmarkPlan, for what it keeps
// would count as the memory of the programs that are started later.
func BenchmarkPlanWarm(b *testing.B) {
	p := newLargePlatform(b)
	p.apply(b)
	w, err := inmemory.Open(b.Context(), p.platform())
	must(b, err)
	defer func() { must(b, w.Close()) }()
	p.plan(b, w)
	b.Run("unchanged", func(b *testing.B) { p.benchWarm(b, w, nil) })
	b.Run("edit", func(b *testing.B) {
		p.benchWarm(b, w, func() { p.edit(b) })
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MB-kept")
	})
	b.Run("all", func(b *testing.B) { p.benchWarm(b, w, func() { p.editAll(b) }) })
}

// BenchmarkPush pushes commits of one changed file to a branch of the same platform, with the hooks that hostctl installs:
// from the commit to its plan in the push's output. First no hostd runs, then one does, which has planned the branch
// before. cpu-s/op is that of git, its hooks and hostd.
func BenchmarkPush(b *testing.B) {
	p := newLargePlatform(b)
	p.apply(b)
	run(b, p.bare, p.hostctl, "init", "--state", p.state, "--bare", p.bare)
	pushes := 0
	push := func(b *testing.B) {
		b.ReportAllocs()
		var cpu time.Duration
		for b.Loop() {
			b.StopTimer()
			p.addRecord(b)
			p.commit(b, "One more record")
			pushes++
			c := exec.Command("git", "-C", p.work, "push", "--quiet", p.bare, fmt.Sprintf("HEAD:refs/heads/topic-%d", pushes))
			c.Env = append(os.Environ(), "HOSTCTL_AGENT="+p.agent)
			before := processorTime(b)
			b.StartTimer()
			out, err := c.CombinedOutput()
			b.StopTimer()
			if err != nil || !strings.Contains(string(out), "Plan: ") {
				b.Fatalf("%v\n%s", err, out)
			}
			cpu += processorTime(b) - before + c.ProcessState.UserTime() + c.ProcessState.SystemTime()
			b.StartTimer()
		}
		b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
	}
	b.Run("alone", push)

	w, err := inmemory.Open(b.Context(), p.platform())
	must(b, err)
	p.plan(b, w)
	socket, err := net.Listen("unix", filepath.Join(p.state, web.SocketName))
	must(b, err)
	hostd := &http.Server{Handler: web.Local(&reconciler.Loop{Reconciler: w.Reconciler, Feed: &reconciler.Feed{}})}
	defer func() { must(b, errors.Join(hostd.Close(), w.Close())) }()
	go func() { _ = hostd.Serve(socket) }()
	b.Run("hostd", push)
}

// benchWarm plans after an edit each time; nil edits nothing.
func (p *largePlatform) benchWarm(b *testing.B, w inmemory.World, edit func()) {
	b.ReportAllocs()
	var cpu time.Duration
	for b.Loop() {
		b.StopTimer()
		if edit != nil {
			edit()
		}
		before := processorTime(b)
		b.StartTimer()
		changes := p.plan(b, w)
		b.StopTimer()
		if (changes > 0) != (edit != nil) {
			b.Fatalf("the plan has %d changes", changes)
		}
		cpu += processorTime(b) - before
		b.StartTimer()
	}
	b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
}

// processorTime is what this process has used, of all threads.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// plan plans the newest commit and returns how many changes that makes.
func (p *largePlatform) plan(b *testing.B, w inmemory.World) int {
	b.Helper()
	head, err := w.Source.Head(b.Context())
	must(b, err)
	plan, err := w.Plan(b.Context(), head)
	must(b, err)
	return len(plan.Changes)
}

// The exit codes of 'hostctl plan'.
const (
	exitSame    = 0
	exitChanges = 2
)

// largePlatform is a generated repository, as a work tree and as a bare repository, and a state folder.
type largePlatform struct {
	hostctl, agent    string
	work, bare, state string

	options generate.Options
	forget  bool // what a process has left for the next one
}

func newLargePlatform(b *testing.B) *largePlatform {
	b.Helper()
	o := generate.Options{Tenants: 10_000, FQDNs: 10}
	if testing.Short() {
		o.Tenants = 100
	}
	if n, err := strconv.Atoi(os.Getenv("TENANTS")); err == nil {
		o.Tenants = n
	}
	return newPlatform(b, o)
}

func newPlatform(b *testing.B, o generate.Options) *largePlatform {
	b.Helper()
	dir := b.TempDir()
	p := &largePlatform{
		options: o,
		hostctl: filepath.Join(dir, "hostctl"), agent: filepath.Join(dir, "node-agent"),
		work: filepath.Join(dir, "work"), bare: filepath.Join(dir, "bare.git"), state: filepath.Join(dir, "state"),
	}
	run(b, ".", "go", "build", "-o", p.hostctl, "hostctl/cmd/hostctl")
	must(b, os.WriteFile(p.agent, []byte("nothing runs it here\n"), 0o755))
	must(b, generate.Write(p.work, o))
	run(b, p.work, "git", "init", "--quiet", "--initial-branch=main")
	run(b, p.work, "git", "config", "user.name", "Bench")
	run(b, p.work, "git", "config", "user.email", "bench@hosting.test")
	run(b, p.work, "git", "config", "gc.auto", "0")
	p.commit(b, "A large platform")
	run(b, dir, "git", "clone", "--quiet", "--bare", p.work, p.bare)
	run(b, p.bare, "git", "config", "receive.autogc", "false") // it would still be at work when the folder is removed
	return p
}

func (p *largePlatform) platform() inmemory.Platform {
	return inmemory.Platform{Repo: p.bare, State: p.state, Agent: p.agent}
}

func (p *largePlatform) commit(b *testing.B, message string) {
	b.Helper()
	run(b, p.work, "git", "add", "--all")
	run(b, p.work, "git", "commit", "--quiet", "-m", message)
}

// bench runs hostctl and reports its peak memory, and its processor time: that hardly depends on who else is at work.
func (p *largePlatform) bench(b *testing.B, want int, args ...string) {
	var (
		peak int64 // KiB (getrusage(2), ru_maxrss)
		cpu  time.Duration
	)
	for b.Loop() {
		if p.forget {
			must(b, os.RemoveAll(filepath.Join(p.state, "cache")))
		}
		c := exec.Command(p.hostctl, args...)
		c.Env = append(os.Environ(), "HOSTCTL_AGENT="+p.agent)
		out, err := c.Output()
		if code := c.ProcessState.ExitCode(); code != want {
			b.Fatalf("hostctl %v: exit %d, want %d: %v\n%s%s", args, code, want, err, out[:min(len(out), 2000)], stderrOf(err))
		}
		cpu += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		peak = max(peak, c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	}
	b.ReportMetric(float64(peak)/1024, "MB-peak")
	b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
}

func stderrOf(err error) []byte {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.Stderr
	}
	return nil
}

// apply carries the commit out on far sides in memory, so that the inventory in the state folder holds all of it. It
// does so in a process of its own: what Linux says of a child's peak memory counts its parent's (getrusage(2)).
func (p *largePlatform) apply(b *testing.B) (objects int) {
	b.Helper()
	c := p.applying()
	out, err := c.Output()
	if err != nil {
		b.Fatalf("apply in memory: %v\n%s%s", err, out, stderrOf(err))
	}
	_, err = fmt.Sscan(string(out), &objects)
	must(b, err)
	return objects
}

// applying is the test program as it applies the commit in memory.
func (p largePlatform) applying() *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), applyRepo+"="+p.bare, applyState+"="+p.state, applyAgent+"="+p.agent)
	return c
}

// The environment that makes the test program apply a repository in memory, and do nothing else.
const (
	applyRepo  = "HOSTCTL_TEST_APPLY_REPO"
	applyState = "HOSTCTL_TEST_APPLY_STATE"
	applyAgent = "HOSTCTL_TEST_APPLY_AGENT"
	applySay   = "HOSTCTL_TEST_APPLY_SAY" // where set, each change that is finished is told on standard error
)

func TestMain(m *testing.M) {
	repo := os.Getenv(applyRepo)
	if repo == "" {
		os.Exit(m.Run())
	}
	platform := inmemory.Platform{Repo: repo, State: os.Getenv(applyState), Agent: os.Getenv(applyAgent)}
	if os.Getenv(applySay) != "" {
		platform.Progress = func(e executors.Event) {
			if e.Phase == executors.PhaseFinished && e.Err == nil {
				fmt.Fprintln(os.Stderr, finished, e.Change.Ref())
			}
		}
	}
	objects, err := inmemory.Apply(context.Background(), platform)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(objects)
}

// edit pushes a commit that adds a record to the first tenant's zone, another one each time.
func (p *largePlatform) edit(b *testing.B) {
	b.Helper()
	p.addRecord(b)
	p.commit(b, "One more record")
	run(b, p.work, "git", "push", "--quiet", p.bare, "main")
}

// addRecord adds a record to the first tenant's zone in the work tree.
func (p *largePlatform) addRecord(b *testing.B) {
	b.Helper()
	file := filepath.Join(p.work, "tenants", generate.Tenant(0), generate.Tenant(0)+".yaml")
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	must(b, err)
	info, err := f.Stat()
	must(b, err)
	_, err = fmt.Fprintf(f, "    - {name: new-%d, type: A, values: [192.0.2.1]}\n", info.Size())
	must(b, errors.Join(err, f.Close()))
}

// editAll pushes a commit that adds a host name to every tenant.
func (p *largePlatform) editAll(b *testing.B) {
	b.Helper()
	p.options.FQDNs++
	must(b, generate.Write(p.work, p.options))
	p.commit(b, "One more host name for everybody")
	run(b, p.work, "git", "push", "--quiet", p.bare, "main")
}

func run(b *testing.B, dir, name string, args ...string) {
	b.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		b.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
