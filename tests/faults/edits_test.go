package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// edit is something that a person changes in the repository, and takes back.
type edit struct {
	name string
	// do and undo change the clone; id is another one each time, and in all that is named.
	do, undo func(w *world, id string)
	allow    string // what the commit that undoes it must say; ID stands for the id
	points   int    // how many of its fault points are in a sample
}

// edits are the changes under which things are broken: each kind of object is made, changed and removed in one of them.
var edits = []edit{
	{
		name: "a host name", points: 3,
		do: func(w *world, id string) {
			w.replace("    - www.shop.acme.test\n", "    - www.shop.acme.test\n    - "+id+".acme.test\n")
		},
		undo: func(w *world, id string) { w.replace("    - "+id+".acme.test\n", "") },
	},
	{
		name: "a tenant with a PHP site and a zone", points: 3, allow: "Allow-Destroy: Tenant/ID",
		do:   func(w *world, id string) { w.write("tenants/"+id+"/all.yaml", strings.ReplaceAll(tenant, "ID", id)) },
		undo: func(w *world, id string) { must(w.t, os.RemoveAll(filepath.Join(w.Clone(), "tenants", id))) },
	},
	{
		name: "a PHP setting", points: 1,
		do:   func(w *world, id string) { w.replace("memory_limit: 128M", "memory_limit: 129M") },
		undo: func(w *world, id string) { w.replace("memory_limit: 129M", "memory_limit: 128M") },
	},
	{
		name: "every web node made anew", points: 1,
		do: func(w *world, id string) {
			w.replace("  image: hostctl/web:v1\n", "  image: hostctl/web:v1\n  env: {MARK: seen}\n")
		},
		undo: func(w *world, id string) { w.replace("  env: {MARK: seen}\n", "") },
	},
	{
		name: "a third web node", points: 1,
		do:   func(w *world, id string) { w.replace("nodeCount: 2", "nodeCount: 3") },
		undo: func(w *world, id string) { w.replace("nodeCount: 3", "nodeCount: 2") },
	},
}

// tenant is all that a small customer has; ID is its name.
const tenant = `apiVersion: hosting/v1
kind: Tenant
metadata:
  name: ID
spec:
  plan: small
  shards: {web: web-1}
---
apiVersion: hosting/v1
kind: Webroot
metadata:
  name: site
spec:
  runtime: {type: php, version: "8.4"}
  fqdns: [ID.test]
---
apiVersion: hosting/v1
kind: Zone
metadata:
  name: own
spec:
  domain: ID.test
`

// nextID names the next edit.
func (w *world) nextID() string {
	w.serial++
	return fmt.Sprintf("t%03d", w.serial)
}

func (w *world) replace(old, with string) {
	w.t.Helper()
	must(w.t, w.Replace(old, with))
}

func (w *world) write(name, text string) {
	w.t.Helper()
	file := filepath.Join(w.Clone(), name)
	must(w.t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(w.t, os.WriteFile(file, []byte(text), 0o644))
}

// step is one half of an edit: a commit, and the fault points of the run that makes it true.
type step struct {
	edit   edit
	undo   bool
	points []string // ID stands for the id
}

func (s step) String() string {
	if s.undo {
		return "undo " + s.edit.name
	}
	return "do " + s.edit.name
}

// take makes the step's commit.
func (s step) take(w *world, id string) {
	w.t.Helper()
	if !s.undo {
		s.edit.do(w, id)
		w.commit(s.String())
		return
	}
	s.edit.undo(w, id)
	w.commit(s.String() + "\n\n" + strings.ReplaceAll(s.edit.allow, "ID", id))
}

// list does and undoes an edit without a fault and returns both steps with the points that were passed.
func (w *world) list(e edit) (do, undo step) {
	w.t.Helper()
	do, undo = step{edit: e}, step{edit: e, undo: true}
	id := w.nextID()
	for _, s := range []*step{&do, &undo} {
		w.hostd.record()
		s.take(w, id)
		w.settled()
		for _, p := range w.hostd.passed() {
			s.points = append(s.points, strings.ReplaceAll(p, id, "ID"))
		}
	}
	return do, undo
}
