// Command cmd writes a large config repository:
//
//	go run ./tests/generate/cmd -tenants 10000 -fqdns 10 DIR
package main

import (
	"flag"
	"fmt"
	"os"

	"hostctl/tests/generate"
)

func main() {
	var o generate.Options
	flag.IntVar(&o.Tenants, "tenants", 100, "tenants")
	flag.IntVar(&o.FQDNs, "fqdns", 10, "host names of each tenant")
	flag.IntVar(&o.ShardTenants, "shard", 500, "tenants of one web shard")
	flag.IntVar(&o.Nodes, "nodes", 2, "nodes of each web shard")
	flag.IntVar(&o.LoadBalancers, "lbs", 1, "load balancers")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "generate: name the folder to write to")
		os.Exit(2)
	}
	if err := generate.Write(flag.Arg(0), o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
