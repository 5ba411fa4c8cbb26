// Package generate makes config repositories of any size, the same bytes each time: for benchmarks, and for whoever wants
// to see how hostctl does on a large platform.
package generate

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// Options say how large a repository is. Zero fields take the defaults.
type Options struct {
	Tenants       int // default 100
	FQDNs         int // host names of each tenant; default 10
	ShardTenants  int // tenants of one web shard; default 500
	Nodes         int // of each web shard; default 2
	LoadBalancers int // default 1
}

func (o Options) withDefaults() Options {
	o.Tenants = orDefault(o.Tenants, 100)
	o.FQDNs = orDefault(o.FQDNs, 10)
	o.ShardTenants = orDefault(o.ShardTenants, 500)
	o.Nodes = orDefault(o.Nodes, 2)
	o.LoadBalancers = orDefault(o.LoadBalancers, 1)
	return o
}

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// Write writes a repository into a folder, which is made where it isn't there.
func Write(dir string, o Options) error {
	for path, content := range Files(o) {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("generate: %w", err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return fmt.Errorf("generate: %w", err)
		}
	}
	return nil
}

// Files yields the files of a repository, path and content: one cluster with as many web shards as its tenants need, and
// one file a tenant, which declares the tenant, a PHP site with all its host names, and its zone.
func Files(o Options) iter.Seq2[string, string] {
	o = o.withDefaults()
	return func(yield func(path, content string) bool) {
		if !yield("platform/platform.yaml", platform(o)) ||
			!yield("clusters/eu-1/cluster.yaml", cluster(o)) ||
			!yield("clusters/eu-1/profiles.yaml", profiles) {
			return
		}
		for i := range o.Tenants {
			if !yield(fmt.Sprintf("tenants/%s/%[1]s.yaml", Tenant(i)), tenant(i, o)) {
				return
			}
		}
	}
}

// Tenant is the name of a tenant, counting from 0.
func Tenant(i int) string { return fmt.Sprintf("t%05d", i) }

// Domain is the domain of a tenant's zone.
func Domain(i int) string { return Tenant(i) + ".test" }

func platform(o Options) string {
	return fmt.Sprintf(`apiVersion: hosting/v1
kind: Platform
metadata:
  name: hosting
spec:
  domain: hosting.test
  nameservers: [ns1.hosting.test, ns2.hosting.test]
  hostmaster: hostmaster@hosting.test
  uidRange: {first: 20000, last: %d}
---
apiVersion: hosting/v1
kind: Region
metadata:
  name: eu
spec:
  runtimes:
    - {type: php, versions: ["8.4"]}
---
apiVersion: hosting/v1
kind: HostingPlan
metadata:
  name: standard
spec:
  limits: {webroots: 1, fqdns: %d, zones: 1, records: 1000}
`, 59999+o.Tenants, o.FQDNs)
}

func cluster(o Options) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: hosting/v1
kind: Cluster
metadata:
  name: eu-1
spec:
  region: eu
  network:
    subnet: 10.64.0.0/16
  infrastructure:
    haproxy:
      managed: {profile: lb, count: %d}
    powerdns:
      managed: {profile: dns, count: 1}
    serviceDB:
      managed: {profile: servicedb}
---
apiVersion: hosting/v1
kind: LBAddress
metadata:
  name: lb-public
spec:
  address: 192.0.2.10
  published: true
---
apiVersion: hosting/v1
kind: Host
metadata:
  name: host-1
spec:
  address: 127.0.0.1
  docker:
    endpoint: unix:///nonexistent/docker.sock
  portRange: {first: 20000, last: 29999}
`, o.LoadBalancers)
	for i := range (o.Tenants + o.ShardTenants - 1) / o.ShardTenants {
		fmt.Fprintf(&b, `---
apiVersion: hosting/v1
kind: Shard
metadata:
  name: web-%d
spec:
  role: web
  nodeCount: %d
  profile: web
`, i+1, o.Nodes)
	}
	return b.String()
}

const profiles = `apiVersion: hosting/v1
kind: NodeProfile
metadata:
  name: web
spec:
  role: web
  image: hostctl/web:v1
---
apiVersion: hosting/v1
kind: NodeProfile
metadata:
  name: lb
spec:
  role: lb
  image: hostctl/lb:v1
  ports:
    - {name: http, container: 80}
---
apiVersion: hosting/v1
kind: NodeProfile
metadata:
  name: dns
spec:
  role: dns
  image: hostctl/dns:v1
  ports:
    - {name: dns, container: 53, protocol: udp}
---
apiVersion: hosting/v1
kind: NodeProfile
metadata:
  name: servicedb
spec:
  role: servicedb
  image: hostctl/servicedb:v1
`

func tenant(i int, o Options) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: hosting/v1
kind: Tenant
metadata:
  name: %s
spec:
  plan: standard
  shards: {web: web-%d}
---
apiVersion: hosting/v1
kind: Webroot
metadata:
  name: www
spec:
  runtime: {type: php, version: "8.4"}
  documentRoot: public
  fqdns:
    - %s
`, Tenant(i), i/o.ShardTenants+1, Domain(i))
	for n := range o.FQDNs - 1 {
		fmt.Fprintf(&b, "    - site-%d.%s\n", n+1, Domain(i))
	}
	fmt.Fprintf(&b, `---
apiVersion: hosting/v1
kind: Zone
metadata:
  name: main
spec:
  domain: %s
  records:
    - {name: "@", type: MX, values: ["10 mail.hosting.test."]}
    - {name: "@", type: TXT, values: ["v=spf1 mx -all"]}
`, Domain(i))
	return b.String()
}
