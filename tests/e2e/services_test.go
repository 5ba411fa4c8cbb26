package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A site in each runtime that is a program of its own; V is what it answers.
var serviceFiles = map[string]string{
	"tenants/acme/apps.yaml": `apiVersion: hosting/v1
kind: Webroot
metadata: {name: node-app}
spec:
  runtime: {type: node, version: "20"}
  content: {path: node-app}
  env: {V: one}
  health: {path: /healthz}
  fqdns: [node.acme.test]
---
apiVersion: hosting/v1
kind: Webroot
metadata: {name: python-app}
spec:
  runtime: {type: python, version: "3.13"}
  content: {path: python-app}
  command: [gunicorn, --threads=4, "hello:create()"]
  env: {V: one}
  fqdns: [python.acme.test]
---
apiVersion: hosting/v1
kind: Webroot
metadata: {name: ruby-app}
spec:
  runtime: {type: ruby, version: "3.3"}
  content: {path: ruby-app}
  env: {V: one}
  fqdns: [ruby.acme.test]
`,
	"tenants/acme/node-app/package.json": `{"main": "main.js"}`,
	"tenants/acme/node-app/main.js": `require('http').createServer((q, r) => r.end('node ' + process.env.V + ', text one\n')).listen(process.env.PORT)
`,
	"tenants/acme/python-app/hello.py": `import os
def create():
    def app(env, start):
        start("200 OK", [])
        return [b"python %s, text one\n" % os.environb[b"V"]]
    return app
`,
	"tenants/acme/ruby-app/config.ru": `run ->(env) { [200, {}, ["ruby #{ENV['V']}, text one\n"]] }
`,
}

// TestServices serves a site in each runtime through the load balancer, and changes variables and code under load: no
// request fails, and what is pushed is what is served.
func TestServices(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for path, text := range serviceFiles {
		file := filepath.Join(s.Clone(), path)
		s.must(os.MkdirAll(filepath.Dir(file), 0o755))
		s.must(os.WriteFile(file, []byte(text), 0o644))
	}
	s.push("A site in each runtime")
	hosts := []string{"node.acme.test", "python.acme.test", "ruby.acme.test"}
	served := func(words string) {
		t.Helper()
		for _, host := range hosts {
			kind, _, _ := strings.Cut(host, ".")
			s.wantServed(host, kind+" "+words)
		}
	}
	served("one, text one")
	load := s.load(hosts...)
	s.edit("V: one", "V: two")
	s.push("Another variable")
	served("two, text one")
	s.edit("text one", "text two")
	s.push("Other code")
	served("two, text two")
	load.wantNoFailures(t)
	s.wantNoChanges()
}
