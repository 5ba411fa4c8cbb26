package faults

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// cut is one far side that fails while hostd is at one point of a run.
type cut struct {
	name   string
	edit   string // name of the edit that is made
	at     string // how the point's name begins
	breaks func(w *world)
	mends  func(w *world)            // nil: the platform does it by itself
	during func(w *world, id string) // what must be true while it is broken; nil for nothing
	// felt says that others may feel it: the only load balancer or name server is what fails.
	felt bool
}

const (
	aName  = "a host name"
	aSite  = "a tenant with a PHP site and a zone"
	aPHP   = "a PHP setting"
	mapDir = "/etc/haproxy/maps"
)

// cuts are the ways in which far sides fail.
var cuts = []cut{
	{name: "a web node is killed before it is spoken to", edit: aName, at: "started update vhost/web-1-0/",
		breaks: func(w *world) { w.run("docker", "kill", w.container("web-1-0")) }},
	{name: "a web node is killed after it has answered", edit: aSite, at: "done create vhost/web-1-1/",
		breaks: func(w *world) { w.run("docker", "kill", w.container("web-1-1")) }},
	{name: "a web node is removed", edit: aSite, at: "started create runtime/web-1-0/",
		breaks: func(w *world) { w.run("docker", "rm", "-f", w.container("web-1-0")) }},
	{name: "a web node's network is cut", edit: aName, at: "started update vhost/web-1-1/",
		breaks: func(w *world) {
			w.run("docker", "network", "disconnect", "-f", w.container("eu-1"), w.container("web-1-1"))
		}},
	{name: "a web node hangs", edit: aPHP, at: "started update runtime/web-1-1/",
		breaks: func(w *world) { w.run("docker", "pause", w.container("web-1-1")) }},
	{name: "nginx is killed", edit: aName, at: "started update vhost/web-1-0/",
		breaks: func(w *world) { w.signal("web-1-0", "nginx", "-k") }},
	{name: "PostgreSQL is down, so PowerDNS answers 500", edit: aName, at: "started create rrset/", felt: true,
		breaks: func(w *world) { w.signal("eu-1-db-0", "postgres", "-d") },
		during: func(w *world, id string) { w.failsAndServes(id + ".acme.test") },
		mends:  func(w *world) { w.signal("eu-1-db-0", "postgres", "-u") }},
	{name: "the service database is killed", edit: aName, at: "done create rrset/", felt: true,
		breaks: func(w *world) { w.run("docker", "kill", w.container("eu-1-db-0")) }},
	{name: "PowerDNS is killed", edit: aSite, at: "started create zone/", felt: true,
		breaks: func(w *world) { w.signal("eu-1-dns-0", "pdns", "-k") }},
	{name: "the name server's container is killed", edit: aSite, at: "done create zone/", felt: true,
		breaks: func(w *world) { w.run("docker", "kill", w.container("eu-1-dns-0")) }},
	{name: "HAProxy is killed before a route", edit: aName, at: "started create route/", felt: true,
		breaks: func(w *world) { w.signal("eu-1-lb-0", "haproxy", "-k") }},
	{name: "HAProxy is killed after a route", edit: aName, at: "done create route/", felt: true,
		breaks: func(w *world) { w.signal("eu-1-lb-0", "haproxy", "-k") }},
	{name: "the load balancer's container is killed", edit: aName, at: "started create route/", felt: true,
		breaks: func(w *world) { w.run("docker", "kill", w.container("eu-1-lb-0")) }},
	{name: "the load balancer's disk is full", edit: aName, at: "started create route/",
		breaks: func(w *world) { w.fill("eu-1-lb-0", mapDir) },
		during: func(w *world, id string) { w.fails() },
		mends:  func(w *world) { w.free("eu-1-lb-0", mapDir) }},
	{name: "a web node's disk is full", edit: aName, at: "started update vhost/web-1-0/",
		breaks: func(w *world) { w.fill("web-1-0", "/etc/nginx") },
		during: func(w *world, id string) { w.fails() },
		mends:  func(w *world) { w.free("web-1-0", "/etc/nginx") }},
}

// TestG07_FarSidesFailDuringARun breaks one far side at a time in the middle of a run, and lets it be mended. What
// doesn't need it goes on, nobody else feels it, and afterwards all is as it should be.
func TestG07_FarSidesFailDuringARun(t *testing.T) {
	t.Parallel()
	w := built(t)
	load := w.startLoad()
	taken := map[string]bool{}
	var all []string
	for _, c := range cuts {
		all = append(all, c.name)
	}
	for _, name := range sample("cuts", all, 5) {
		taken[name] = true
	}
	for _, c := range cuts {
		if !taken[c.name] {
			continue
		}
		w.cutAt(c, load)
		if t.Failed() {
			t.FailNow()
		}
	}
	load.end(w)
	t.Logf("%d of %d ways in which far sides fail", len(taken), len(cuts))
}

// cutAt makes an edit, breaks a far side at its point, and takes the edit back when all is well again.
func (w *world) cutAt(c cut, load *load) {
	w.t.Helper()
	began := time.Now()
	e := editNamed(c.edit)
	id := w.nextID()
	w.hostd.arm("^" + c.at)
	step{edit: e}.take(w, id)
	w.hostd.wait(c.at)
	c.breaks(w)
	w.hostd.disarm()
	if c.during != nil {
		c.during(w, id)
	}
	if c.mends != nil {
		c.mends(w)
	}
	w.right(c.name)
	if wrong := load.failures(); len(wrong) > 0 && !c.felt {
		w.t.Errorf("after %s: %d requests to others failed, from %s to %s", c.name, len(wrong), wrong[0], wrong[len(wrong)-1])
	}
	came := time.Since(began)
	w.check(c.name)
	step{edit: e, undo: true}.take(w, id)
	w.right("undoing what was done when " + c.name)
	w.check("undoing what was done when " + c.name)
	w.t.Logf("%s: right after %s", c.name, came.Round(time.Millisecond))
}

// right waits until hostd is converged and all is there as it should be: a run may end well before anybody has noticed what
// is broken.
func (w *world) right(after string) {
	w.t.Helper()
	err := platform.Until(w.t.Context(), patience, func() error {
		if err := w.settling(w.hostd); err != nil {
			return platform.Fatal{Err: err}
		}
		if wrong := w.checkObserved(w.live()); len(wrong) > 0 {
			return errors.New(strings.Join(wrong, "\n"))
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("after %s: %v", after, err)
	}
	w.settled()
}

func editNamed(name string) edit {
	for _, e := range edits {
		if e.name == name {
			return e
		}
	}
	panic("no edit " + name)
}

// fails waits until hostd has said that something fails.
func (w *world) fails() {
	w.t.Helper()
	must(w.t, platform.Until(w.t.Context(), patience, func() error {
		if s, err := w.hostdStatus(); err != nil || s.Message == "" || s.NextAttempt.IsZero() {
			return errors.New("hostd says nothing of a failure")
		}
		return nil
	}))
}

// failsAndServes waits until hostd has said that something fails; a host name is served all the same.
func (w *world) failsAndServes(host string) {
	w.t.Helper()
	w.fails()
	if code, _, err := w.at.Fetch(w.t.Context(), host); err != nil || code != http.StatusOK {
		w.t.Errorf("GET %s while DNS is down: %d, %v", host, code, err)
	}
}

// fill puts a small disk in the place of a folder of a node, with what the folder has, and fills it.
func (w *world) fill(node, dir string) {
	w.t.Helper()
	in := w.inside(node, dir)
	pid := strings.Split(in, "/")[2]
	copied := filepath.Join(w.t.TempDir(), "copy")
	w.run("cp", "-a", in, copied)
	w.run("nsenter", "-t", pid, "-m", "--", "mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", dir)
	w.run("cp", "-a", copied+"/.", in)
	fillDisk(w.t, in)
}

// free makes room on a disk that was filled.
func (w *world) free(node, dir string) {
	w.t.Helper()
	must(w.t, os.Remove(w.inside(node, dir+"/filler")))
}
