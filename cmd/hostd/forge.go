package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"hostctl/cmd/internal/wire"
	"hostctl/reconciler"
	"hostctl/reconciler/forge"
	"hostctl/reconciler/git"
)

// pullRequests is what hostd can be told of the forge whose pull requests it previews.
type pullRequests struct {
	Forge   string        `env:"HOSTD_FORGE"`
	URL     string        `env:"HOSTD_FORGE_URL"`
	Project string        `env:"HOSTD_FORGE_PROJECT"`
	Token   string        `env:"HOSTD_FORGE_TOKEN"`
	Context string        `env:"HOSTD_FORGE_CONTEXT" envDefault:"hostctl"`
	Forks   bool          `env:"HOSTD_FORGE_FORKS"`
	Every   time.Duration `env:"HOSTD_FORGE_EVERY" envDefault:"1m"`
}

func (c *pullRequests) flags(f *flag.FlagSet) {
	f.StringVar(&c.Forge, "forge", c.Forge, "the `kind` of forge whose pull requests are previewed: github, gitlab or gitea (Forgejo too); empty for none (HOSTD_FORGE)")
	f.StringVar(&c.URL, "forge-url", c.URL, "`URL` of the forge's API, as https://git.example.org/api/v1; of github.com and gitlab.com it is known (HOSTD_FORGE_URL)")
	f.StringVar(&c.Project, "forge-project", c.Project, "the config repository's `owner/name` in the forge (HOSTD_FORGE_PROJECT)")
	f.StringVar(&c.Token, "forge-token", c.Token, "`file` of the token that is shown to the forge (HOSTD_FORGE_TOKEN)")
	f.StringVar(&c.Context, "forge-context", c.Context, "`name` of the status that commits get; another one for each platform of a branch (HOSTD_FORGE_CONTEXT)")
	f.BoolVar(&c.Forks, "forge-forks", c.Forks, "preview what comes from forks too, whoever has written it (HOSTD_FORGE_FORKS)")
	f.DurationVar(&c.Every, "forge-every", c.Every, "`time` between looks at all pull requests, for webhooks that were lost (HOSTD_FORGE_EVERY)")
}

// check says what is wrong with the flags.
func (c pullRequests) check() error {
	if c.Forge == "" {
		return nil
	}
	if _, err := c.open(); err != nil {
		return err
	}
	switch {
	case c.Token == "":
		return errors.New("no token for the forge: name its file with --forge-token")
	case c.Context == "" || strings.ContainsFunc(c.Context, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("--forge-context %q: want a name without spaces", c.Context)
	case c.Every < time.Second:
		return fmt.Errorf("--forge-every %s: want at least 1s", c.Every)
	}
	_, err := c.token()
	return err
}

func (c pullRequests) open() (forge.Forge, error) {
	kind, err := forge.ParseKind(c.Forge)
	if err != nil {
		return nil, fmt.Errorf("--forge: %w", err)
	}
	far, err := forge.New(forge.Options{Kind: kind, URL: c.URL, Project: c.Project, Token: c.token})
	if err != nil {
		return nil, fmt.Errorf("--forge-url, --forge-project: %w", err)
	}
	return far, nil
}

// token reads the token as it is now: it may be replaced while hostd runs.
func (c pullRequests) token() (string, error) {
	text, err := readPrivate(c.Token, "the forge's token")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no token %s; make one in the forge, and write it there", c.Token)
	case err != nil:
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s holds no token; want one line of letters, digits and signs", c.Token)
	}
	return token, nil
}

// previews returns what previews pull requests; nil where no forge is named.
func (c config) previews(ctx context.Context, t *term, platform *wire.Platform) (*forge.Previews, error) {
	p := c.PullRequests
	if p.Forge == "" {
		return nil, nil
	}
	far, err := p.open()
	if err != nil {
		return nil, err
	}
	repository, _, err := forgeRepository(platform.Source)
	if err != nil {
		return nil, err
	}
	instance, err := platform.Inventory.Instance(ctx)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	return &forge.Previews{
		Forge: far, Repository: repository, Planner: platform.Reconciler, Dir: filepath.Join(c.State, "previews"), Branch: c.Branch,
		Instance: instance, Context: p.Context, Forks: p.Forks, Poll: p.Every, Check: t.check, Log: platform.Log,
	}, nil
}

// forgeRepository is the config repository as previews see it, and where its branch is on this machine.
func forgeRepository(s reconciler.Source) (forge.Repository, *git.Source, error) {
	switch s := s.(type) {
	case *git.Mirror:
		return s, s.Source, nil
	case *git.Source:
		return forge.Here{Source: s}, s, nil
	}
	return nil, nil, errors.New("--forge: this repository has no pull requests")
}

// followBranch has all pull requests looked at when the branch has moved, until ctx is done.
func followBranch(ctx context.Context, s *git.Source, look func(int)) error {
	last := ""
	return s.Watch(ctx, func() {
		if head, err := s.Head(ctx); err == nil && head != last {
			last = head
			look(0)
		}
	})
}

// preview previews pull requests until ctx is done.
func preview(ctx context.Context, p *forge.Previews, s reconciler.Source) error {
	if p == nil {
		return nil
	}
	_, branch, err := forgeRepository(s)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return followBranch(ctx, branch, p.Look) })
	g.Go(func() error { return p.Run(ctx) })
	return g.Wait()
}
