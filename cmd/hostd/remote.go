package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"hostctl/reconciler/git"
)

// remote is what hostd can be told of a config repository that lies elsewhere.
type remote struct {
	Token      string        `env:"HOSTD_REPO_TOKEN"`
	User       string        `env:"HOSTD_REPO_USER"`
	CA         string        `env:"HOSTD_REPO_CA"`
	SSHKey     string        `env:"HOSTD_REPO_SSH_KEY"`
	KnownHosts string        `env:"HOSTD_REPO_KNOWN_HOSTS"`
	Poll       time.Duration `env:"HOSTD_POLL"`
}

func (c *remote) flags(f *flag.FlagSet) {
	f.StringVar(&c.Token, "repo-token", c.Token, "`file` of the token that reads a repository over https; read anew each time (HOSTD_REPO_TOKEN)")
	f.StringVar(&c.User, "repo-user", c.User, "the `name` that goes with the token, where the forge asks for one (HOSTD_REPO_USER)")
	f.StringVar(&c.CA, "repo-ca", c.CA, "`file` of the certificates that are trusted for a repository over https, in place of the system's (HOSTD_REPO_CA)")
	f.StringVar(&c.SSHKey, "repo-ssh-key", c.SSHKey, "`file` of the private key that reads a repository over ssh (HOSTD_REPO_SSH_KEY)")
	f.StringVar(&c.KnownHosts, "repo-known-hosts", c.KnownHosts, "`file` of the host keys that are trusted for it (HOSTD_REPO_KNOWN_HOSTS)")
	f.DurationVar(&c.Poll, "poll", c.Poll, "`time` between looks at a repository elsewhere; without it 1m (HOSTD_POLL)")
}

// of returns how a repository is reached: nil where it is a folder of this machine.
func (c remote) of(repo, branch string) (*git.Remote, error) {
	if !git.IsURL(repo) {
		if c != (remote{}) {
			return nil, errors.New("--repo is a folder of this machine; leave --repo-token and the like, and --poll, out, or name a URL")
		}
		return nil, nil
	}
	if c.Poll != 0 && c.Poll < time.Second {
		return nil, fmt.Errorf("--poll %s: want at least 1s", c.Poll)
	}
	r := &git.Remote{
		URL: repo, Branch: branch, TokenFile: c.Token, Username: c.User, CAFile: c.CA,
		SSHKeyFile: c.SSHKey, KnownHostsFile: c.KnownHosts, Every: c.Poll,
	}
	return r, r.Check()
}
