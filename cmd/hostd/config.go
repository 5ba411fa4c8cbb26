package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/caarlos0/env/v11"
)

// config is all that hostd can be told. A flag wins over its environment variable.
type config struct {
	Repo      string        `env:"HOSTD_REPO"`
	Branch    string        `env:"HOSTD_BRANCH" envDefault:"main"`
	State     string        `env:"HOSTD_STATE" envDefault:"/var/lib/hostctl"`
	Database  string        `env:"HOSTD_DATABASE"`
	Agent     string        `env:"HOSTD_AGENT"`
	Listen    string        `env:"HOSTD_LISTEN" envDefault:"127.0.0.1:9470"`
	LookEvery time.Duration `env:"HOSTD_LOOK_EVERY" envDefault:"15s"`
}

// readConfig reads the environment and then the command line.
func readConfig(args []string) (config, error) {
	var c config
	if err := env.Parse(&c); err != nil {
		return c, fmt.Errorf("read the environment: %w", err)
	}
	f := flag.NewFlagSet("hostd", flag.ContinueOnError)
	f.StringVar(&c.Repo, "repo", c.Repo, "the bare config repository to watch (HOSTD_REPO)")
	f.StringVar(&c.Branch, "branch", c.Branch, "the branch that is made true (HOSTD_BRANCH)")
	f.StringVar(&c.State, "state", c.State, "folder of the inventory, the CA and the socket (HOSTD_STATE)")
	f.StringVar(&c.Database, "database", c.Database, "the inventory, sqlite:FILE; default inventory.db in the state folder (HOSTD_DATABASE)")
	f.StringVar(&c.Agent, "agent", c.Agent, "the node-agent program; default beside hostd (HOSTD_AGENT)")
	f.StringVar(&c.Listen, "listen", c.Listen, "address of /healthz, /readyz and /metrics; empty for none (HOSTD_LISTEN)")
	f.DurationVar(&c.LookEvery, "look-every", c.LookEvery, "time between looks at the far sides (HOSTD_LOOK_EVERY)")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if c.Repo == "" {
		return c, errors.New("no repository to watch: name it with --repo, or make one with 'hostctl init'")
	}
	return c, nil
}
