package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
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
	AgeKey    string        `env:"HOSTD_AGE_KEY"`
	Listen    string        `env:"HOSTD_LISTEN" envDefault:"127.0.0.1:9470"`
	LookEvery time.Duration `env:"HOSTD_LOOK_EVERY" envDefault:"15s"`

	ObserveEvery time.Duration `env:"HOSTD_OBSERVE_EVERY" envDefault:"1m"`
	Lease        time.Duration `env:"HOSTD_LEASE" envDefault:"10s"`

	Webhooks webhooks
	Remote   remote
	API      apiConfig

	PullRequests pullRequests
}

// flags are the command line's way of setting a config.
func (c *config) flags() *flag.FlagSet {
	f := flag.NewFlagSet("hostd", flag.ContinueOnError)
	f.SetOutput(io.Discard) // main tells what is wrong
	f.StringVar(&c.Repo, "repo", c.Repo, "the bare config repository to follow: a `folder` of this machine, or a URL, https://HOST/PATH or ssh://USER@HOST/PATH (HOSTD_REPO)")
	f.StringVar(&c.Branch, "branch", c.Branch, "the `branch` that is made true (HOSTD_BRANCH)")
	f.StringVar(&c.State, "state", c.State, "`folder` of the inventory, the CA and the socket (HOSTD_STATE)")
	f.StringVar(&c.Database, "database", c.Database, "the inventory: a `URL`, postgres://user@host/name or sqlite:file; without it inventory.db in the state folder (HOSTD_DATABASE)")
	f.Lookup("database").DefValue = "" // no help shows it: it may hold a password
	f.StringVar(&c.Agent, "agent", c.Agent, "the node-agent `program`; without it the one beside hostd (HOSTD_AGENT)")
	f.StringVar(&c.AgeKey, "age-key", c.AgeKey, "`file` of the age key that opens secrets; without it age.key in the state folder (HOSTD_AGE_KEY)")
	f.StringVar(&c.Listen, "listen", c.Listen, "`address` of /healthz, /readyz and /metrics, and of webhooks and the read API where they are asked for; empty for none (HOSTD_LISTEN)")
	f.DurationVar(&c.LookEvery, "look-every", c.LookEvery, "`time` between looks at the engines, and whether the nodes answer (HOSTD_LOOK_EVERY)")
	f.DurationVar(&c.ObserveEvery, "observe-every", c.ObserveEvery, "`time` between looks for drift at all that the far sides hold (HOSTD_OBSERVE_EVERY)")
	f.DurationVar(&c.Lease, "lease", c.Lease, "how long a hostd leads without a sign of life: a `time` (HOSTD_LEASE)")
	c.Webhooks.flags(f)
	c.Remote.flags(f)
	c.PullRequests.flags(f)
	c.API.flags(f)
	return f
}

// readConfig reads the environment and then the command line. It returns flag.ErrHelp where help was asked for.
func readConfig(args []string) (config, error) {
	var c config
	if err := env.Parse(&c); err != nil {
		return c, fmt.Errorf("read the environment: %w", err)
	}
	f := c.flags()
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return c, err
	case err != nil:
		return c, fmt.Errorf("%w; 'hostd --help' lists the flags", err)
	case f.NArg() > 0:
		return c, fmt.Errorf("it takes flags only, and not %q; 'hostd --help' lists them", f.Arg(0))
	case c.Repo == "":
		return c, errors.New("no repository to watch: name it with --repo, or make one with 'hostctl init'")
	case c.State == "":
		return c, errors.New("no state folder: name it with --state")
	case c.LookEvery <= 0:
		return c, fmt.Errorf("--look-every %s: want a time above zero, as in 15s", c.LookEvery)
	case c.ObserveEvery <= 0:
		return c, fmt.Errorf("--observe-every %s: want a time above zero, as in 1m", c.ObserveEvery)
	case c.Lease < time.Second:
		return c, fmt.Errorf("--lease %s: want at least 1s", c.Lease)
	}
	_, err := c.Remote.of(c.Repo, c.Branch)
	return c, errors.Join(err, c.PullRequests.check(), c.API.check(c.Listen))
}

// help is what hostd --help prints.
func help() string {
	var b strings.Builder
	b.WriteString(`hostd - keep a platform true to its config repository

  hostd --repo FOLDER [flags]
  hostd --repo URL [flags]

hostd follows a branch of a bare repository, of this machine or elsewhere. What is pushed it plans, applies and records, the newest commit first; what
it sees to differ it mends, and what failed it tries again. hostctl speaks to it through a socket in the state folder.
SIGTERM stops it when the changes under way have ended; what it didn't get to, it does when it runs again.

Flags, with the environment variables that they win over:
`)
	var c config
	_ = env.ParseWithOptions(&c, env.Options{Environment: map[string]string{}}) // the defaults
	f := c.flags()
	f.SetOutput(&b)
	f.PrintDefaults()
	b.WriteString("\nExit status: 0 it was told to stop, 1 an error.\n")
	return b.String()
}
