package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// leapDay is a schedule that doesn't come while a test runs.
const leapDay = "0 0 29 2 1"

// job returns a job of a site.
func (s site) job(name string, argv ...string) planner.Cron {
	return planner.Cron{
		Meta:   planner.Meta{Target: nodeName, Name: s.vhost.Name + "/" + name, From: planner.Owner{Tenant: s.vhost.Tenant, Kind: "CronJob", Name: name}},
		Tenant: s.vhost.Tenant, Site: s.vhost.Site, Job: name, Login: s.user.Login, Type: s.vhost.Type, Version: s.vhost.Version,
		Schedule: leapDay, Timezone: "Europe/Berlin", Argv: argv, Timeout: 60, Concurrency: schema.Forbid,
		MemoryLimit: s.runtime.MemoryLimit, TaskLimit: s.runtime.TaskLimit,
	}
}

// runs runs a site's jobs as the agent does when they are due, each time a later one.
type runs struct {
	n    *node
	site string
	mu   sync.Mutex
	due  int64
}

func (n *node) runs(s site) *runs {
	return &runs{n: n, site: s.vhost.Name, due: time.Now().Add(-time.Hour).Unix()}
}

func (r *runs) next() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due++
	return strconv.FormatInt(r.due, 10)
}

// run carries out a run, and returns what the site's log says of it when it has ended.
func (r *runs) run(job string) string {
	r.n.t.Helper()
	before := r.log()
	r.n.exec("/var/lib/hostctl/bin/node-agent", "job", r.site+"."+job, r.next())
	return strings.TrimPrefix(r.log(), before)
}

// begin begins a run, and returns when it says that it has.
func (r *runs) begin(job string) {
	r.n.t.Helper()
	said := strings.Count(r.log(), "up: "+job)
	docker(r.n.t, "exec", "--detach", r.n.container, "/var/lib/hostctl/bin/node-agent", "job", r.site+"."+job, r.next())
	r.wait("up: "+job, said+1)
}

func (r *runs) log() string { return r.n.exec("cat", "/var/log/sites/"+r.site+".cron.log") }

// wait waits until the log holds some words that often.
func (r *runs) wait(words string, times int) {
	r.n.t.Helper()
	within(r.n.t, 90*time.Second, words, func() error {
		if log := r.log(); strings.Count(log, words) < times {
			return errors.New(log)
		}
		return nil
	})
}

// changeJob applies a change of a job.
func (n *node) changeJob(old, now planner.Object) {
	n.t.Helper()
	c := planner.Change{Action: planner.Update, Old: old, New: now}
	if now == nil {
		c.Action = planner.Delete
	}
	if err := n.dial(1).Apply(n.t.Context(), []planner.Change{c})[0]; err != nil {
		n.t.Fatal(err)
	}
}

// alive returns how many processes have some words among their arguments.
func (n *node) alive(words string) int {
	n.t.Helper()
	out := n.script("ps axww -o args= | grep -F '" + words + "' | grep -vc grep || true")
	count, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		n.t.Fatal(err)
	}
	return count
}

const tellAll = `echo "I am $(id -un) $(id -Gn) in $(pwd), $COLOR, $TZ, $(php -r 'echo PHP_VERSION;'), $(grep '^Max processes' /proc/self/limits | tr -s ' ' | cut -d' ' -f3) $(ulimit -n)"
echo "home $(stat -c %U $HOME) $(stat -c %a $HOME)"; cat; grep NoNewPrivs /proc/self/status; echo "$@"`

// A job runs as its tenant's user, once at a time, as long as it may, and not for ever when it fails.
func TestCronJobs(t *testing.T) {
	n := startNodeOf(t, "web", nodeName, "HOSTCTL_CHECK_EVERY=1s")
	s := n.newSite("acme", 20001, true, n.files.add("public/index.php", "<?php echo 1;"), n.files.add("tell.sh", tellAll))
	s.runtime.Env = map[string]string{"COLOR": "blue"}
	n.create(s.objects()...)
	r := n.runs(s)

	// What the clock begins by itself: the rest is tried meanwhile.
	regular := n.newSite("regular", 20003, false)
	tick := regular.job("tick", "sh", "-c", "echo up: tick; sleep 5; echo ticked")
	tick.Schedule = "* * * * *"
	tell := s.job("tell", "sh", "tell.sh", `a $HOME "b"`)
	tell.Env = s.runtime.Env
	slow := n.newSite("slow", 20002, false)
	long := slow.job("long", "sh", "-c", `trap "" TERM; echo up: long; (setsid sh -c 'trap "" TERM; sleep 47110; sleep 47111' &) ; setsid sleep 47112 & while :; do sleep 47113; done`)
	long.Timeout = 1
	n.create(slow.user, slow.webroot, regular.user, regular.webroot, tick, tell, long)
	slowly := n.runs(slow)
	slowly.begin("long")

	told := r.run("tell")
	for _, want := range []string{
		"job tell begins", "I am t-acme t-acme in /srv/tenants/acme/shop, blue, Europe/Berlin, 8.4.", "512 4096",
		"home t-acme 700", "NoNewPrivs:\t1", `a $HOME "b"`, "job tell has ended well after",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("the job doesn't say %q:\n%s", want, told)
		}
	}

	t.Run("once", func(t *testing.T) {
		due := r.next()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { n.exec("/var/lib/hostctl/bin/node-agent", "job", "acme.shop.tell", due) })
		}
		before := strings.Count(r.log(), "job tell begins")
		all.Wait()
		if got := strings.Count(r.log(), "job tell begins") - before; got > 1 {
			t.Errorf("one run was begun %d times", got)
		}
	})

	t.Run("failures", func(t *testing.T) {
		bad := s.job("bad", "sh", "-c", "exit 3")
		n.create(bad)
		w := n.watch(schema.DriftPolicy{})
		told := func(ok bool, words string) func(executors.Report) error {
			return func(r executors.Report) error {
				if !slices.ContainsFunc(r.Health, func(p executors.Part) bool {
					return p.Name == "cron/acme.shop/bad" && p.OK == ok && strings.Contains(p.Message, words)
				}) {
					return fmt.Errorf("%+v", r.Health)
				}
				return nil
			}
		}
		if out := r.run("bad"); !strings.Contains(out, "job bad failed after") || !strings.Contains(out, "exit status 3") {
			t.Errorf("a run that fails: %s", out)
		}
		w.until(t, "one failure is told of", told(true, "failed once, the last time at 20"))
		for range 3 {
			r.run("bad")
		}
		if out := r.run("bad"); !strings.Contains(out, "5th time in a row") {
			t.Errorf("the fifth run that fails: %s", out)
		}
		w.until(t, "five failures are told of", told(false, "isn't run any more: it failed 5 times in a row"))
		if out := r.run("bad"); out != "" {
			t.Errorf("a job that failed five times is run: %s", out)
		}
		n.create(bad) // made again as it is, as in a container that was made anew
		if out := r.run("bad"); out != "" {
			t.Errorf("a job that failed five times and is put back is run: %s", out)
		}
		better := bad
		better.Argv = []string{"true"}
		n.changeJob(bad, better)
		if out := r.run("bad"); !strings.Contains(out, "job bad has ended well") {
			t.Errorf("a job that was changed: %s", out)
		}
		w.until(t, "nothing more is told of", func(r executors.Report) error {
			if slices.ContainsFunc(r.Health, func(p executors.Part) bool { return strings.HasPrefix(p.Name, "cron/acme.") }) {
				return fmt.Errorf("%+v", r.Health)
			}
			return nil
		})
		missing := s.job("missing", "bin/not-there")
		n.create(missing)
		if out := r.run("missing"); !strings.Contains(out, "bin/not-there: no such file") || !strings.Contains(out, "job missing failed") {
			t.Errorf("a program that isn't there: %s", out)
		}
	})

	t.Run("concurrency", func(t *testing.T) {
		for _, c := range []struct {
			how   schema.Concurrency
			begun int
			left  int
		}{{schema.Forbid, 1, 1}, {schema.Allow, 2, 2}, {schema.Replace, 2, 1}} {
			name := "is-" + strings.ToLower(string(c.how))
			j := s.job(name, "sh", "-c", "echo up: "+name+"; exec sleep 4713"+strconv.Itoa(c.begun)+strconv.Itoa(c.left))
			j.Concurrency = c.how
			n.create(j)
			r.begin(name)
			if c.how == schema.Forbid {
				if out := r.run(name); !strings.Contains(out, "left out: the run before still runs") {
					t.Errorf("%s: %s", c.how, out)
				}
			} else {
				r.begin(name)
			}
			if got := n.alive(strings.Join(j.Argv[2:], " ")[len("echo up: "+name+"; exec "):]); got != c.left {
				t.Errorf("%s: %d run, want %d", c.how, got, c.left)
			}
			if got := strings.Count(r.log(), "job "+name+" begins"); got != c.begun {
				t.Errorf("%s: %d were begun, want %d", c.how, got, c.begun)
			}
			// Neither what was replaced nor what is taken away has failed; and with the job goes what runs of it.
			n.changeJob(j, nil)
			if got := n.alive("exec sleep 4713"); got > 0 || strings.Contains(r.log(), "job "+name+" failed") {
				t.Errorf("%s: %d run after the job was removed:\n%s", c.how, got, r.log())
			}
		}
		if out := n.exec("ls", "/srv/tenants/.hostctl/cron"); strings.Contains(out, "is-allow.json") || !strings.Contains(out, "tell.json") {
			t.Errorf("records: %s", out)
		}
	})

	t.Run("timeout", func(t *testing.T) {
		slowly.wait("job long failed after 1", 1)
		slowly.wait("it took longer than its timeout of 1s", 1)
		if left := n.alive("sleep 4711"); left > 0 {
			t.Errorf("%d processes are left of a run that took too long", left)
		}
		leaves := slow.job("leaves", "sh", "-c", `(setsid sleep 47120 &); echo up: leaves`)
		n.create(leaves)
		if out := slowly.run("leaves"); !strings.Contains(out, "has ended well") || n.alive("sleep 4712") > 0 {
			t.Errorf("a job that leaves something behind: %s", out)
		}
	})

	// It was begun when it was due. Its agent ends meanwhile, and it doesn't.
	clock := n.runs(regular)
	clock.wait("up: tick", 1)
	n.script("s6-svc -r /run/service/node-agent")
	clock.wait("ticked", 1)
	clock.wait("job tick has ended well", 1)
	n.ready()

	for what, spoilt := range map[string]func(*planner.Cron){
		"a shell's line":      func(j *planner.Cron) { j.Argv = []string{"sh -c id"} },
		"a program elsewhere": func(j *planner.Cron) { j.Argv = []string{"../../bin/x"} },
		"no program":          func(j *planner.Cron) { j.Argv = nil },
		"a bad schedule":      func(j *planner.Cron) { j.Schedule = "* * * * * root x" },
		"spaces":              func(j *planner.Cron) { j.Schedule = "*  * * * *" },
		"a zone elsewhere":    func(j *planner.Cron) { j.Timezone = "../etc/passwd" },
		"no end":              func(j *planner.Cron) { j.Timeout = 0 },
		"another name":        func(j *planner.Cron) { j.Job = "other" },
		"another's site":      func(j *planner.Cron) { j.Tenant = "victim" },
		"root":                func(j *planner.Cron) { j.Login = "root" },
		"a variable":          func(j *planner.Cron) { j.Env = map[string]string{"LD_PRELOAD": "x.so"} },
		"a way":               func(j *planner.Cron) { j.Concurrency = "Sometimes" },
		"a version":           func(j *planner.Cron) { j.Version = "9.9" },
	} {
		j := s.job("spoilt", "true")
		spoilt(&j)
		if err := n.tryCreate(j)[0]; executors.KindOf(err) != executors.Refused {
			t.Errorf("%s: %v (%s), want it refused", what, err, executors.KindOf(err))
		}
	}
	if err := exec.CommandContext(context.WithoutCancel(t.Context()), "docker", "exec", n.container, "/var/lib/hostctl/bin/node-agent", "job", "../../etc/x", "1").Run(); err == nil {
		t.Error("a job by a path is run")
	}
}
