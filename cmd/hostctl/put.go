package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/schema"
)

// clusterVerb has one verb, by its older name.
func clusterVerb(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:         "cluster",
		Short:       "Put a cluster's documents into the repository",
		Long:        "cluster apply puts the documents of a file below platform/ and clusters/, commits and pushes them.",
		Example:     "  hostctl cluster apply -C hosting -f cluster.yaml",
		Annotations: map[string]string{exitStatus: "0 it is true or was already, 1 not."},
		Args:        needs("what to do: apply"),
		RunE:        unknownVerb,
	}
	apply := putVerb(o, "apply", "platform", "clusters")
	apply.Short = "Put the documents of a file below platform/ and clusters/, commit, push"
	apply.Example = "  hostctl cluster apply -C hosting -f cluster.yaml"
	cmd.AddCommand(apply)
	return cmd
}

// seedVerb is the same for tenants.
func seedVerb(o *options) *cobra.Command {
	cmd := putVerb(o, "seed", "tenants")
	cmd.Short = "Put the documents of a file below tenants/, commit, push"
	cmd.Example = "  hostctl seed -C hosting -f tenants.yaml\n  hostctl seed -C hosting -f site.yaml --owner acme"
	return cmd
}

func putVerb(o *options, use string, tops ...string) *cobra.Command {
	var (
		p   = put{options: o, tops: tops}
		yes bool
	)
	cmd := &cobra.Command{
		Use: use + " -f FILE",
		Long: `Each document of the file takes the place of the one of its kind and name, or gets a file of its own, in the
folder of the Tenant or Cluster above it in the file. The whole repository is checked before a file is written.
What is written is committed as you, and pushed where the repository has a remote "origin", so that the push
shows the plan and carries it out; without one it is planned and applied from here. The repository stays the truth.`,
		Annotations: map[string]string{exitStatus: "0 it is true or was already, 1 not."},
		Args:        noOperands,
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := p.files(cmd.Context(), cmd.InOrStdin())
			if err != nil {
				return o.explain(err)
			}
			if len(files) == 0 {
				_, err := fmt.Fprintln(o.out, "All of it is in the repository already.")
				return err
			}
			if err := p.show(files); err != nil {
				return err
			}
			if p.file == "-" && !yes {
				return errors.New("a file from standard input leaves nobody to ask: say -yes, too")
			}
			if err := asked(cmd, yes, "Write, commit and push them? [y/N] "); err != nil {
				return err
			}
			return p.carryOut(cmd, files)
		},
	}
	cmd.Flags().StringVarP(&p.file, "file", "f", "", "the `file` with the documents; - is standard input")
	cmd.Flags().StringVar(&p.owner, "owner", "", "the tenant or cluster `name` of documents that stand below none in the file")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	cmd.Flags().StringVarP(&p.message, "message", "m", "", "the commit's `message`")
	return cmd
}

// put is documents on their way into a work tree.
type put struct {
	*options
	tops                 []string
	file, owner, message string
}

// files returns the files to write, where the repository is valid with them.
func (p *put) files(ctx context.Context, stdin io.Reader) (schema.MapTree, error) {
	if p.file == "" {
		return nil, errors.New("name the file with -f FILE")
	}
	data, err := readFileOr(stdin, p.file)
	if err != nil {
		return nil, err
	}
	src, err := p.tree(ctx, "")
	if err != nil {
		return nil, err
	}
	switch folder, ok := src.tree.(*schema.Folder); {
	case !ok || folder == nil:
		return nil, fmt.Errorf("%s is a bare repository; name a clone of it with -C", p.dir)
	case src.repository == "":
		return nil, fmt.Errorf("%s is no git repository; make one with 'hostctl init', or name a clone with -C", p.dir)
	case src.commit == "":
		return nil, fmt.Errorf("the files in %s aren't those of a commit; commit them first, or take them back with 'git stash'", p.dir)
	}
	files, err := schema.Put(src.tree, p.file, data, p.owner, p.tops...)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	_, err = schema.Load(schema.With(src.tree, files), nil)
	return files, err
}

func readFileOr(stdin io.Reader, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

func (p *put) show(files schema.MapTree) error {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sign := "+"
		if _, err := os.Lstat(path.Join(p.dir, name)); err == nil {
			sign = "~"
		}
		fmt.Fprintf(&b, "  %s %s\n", sign, name)
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// carryOut writes, commits and pushes the files, or applies the commit where there is nowhere to push to.
func (p *put) carryOut(cmd *cobra.Command, files schema.MapTree) error {
	if err := p.write(files); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(files))
	message := p.message
	if message == "" {
		message = "hostctl: " + path.Base(p.file)
	}
	ctx := cmd.Context()
	if err := p.git(ctx, append([]string{"add", "--"}, names...)...); err != nil {
		return err
	}
	if err := p.git(ctx, append([]string{"commit", "--quiet", "--message", message, "--"}, names...)...); err != nil {
		return err
	}
	if p.git(ctx, "config", "--get", "remote.origin.url") == nil {
		return p.git(ctx, "push", "--quiet", "origin", "HEAD:refs/heads/"+p.branch)
	}
	apply := applyVerb(p.options)
	apply.SetContext(ctx)
	apply.SetArgs([]string{"--yes"})
	return apply.Execute()
}

// write puts the files in place. It follows no link out of the work tree.
func (p *put) write(files schema.MapTree) error {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for name, text := range files {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// git runs git in the work tree, as the person would: with their name, their hooks, their signature, their credentials.
func (p *put) git(ctx context.Context, args ...string) error {
	if err := p.runGit(ctx, args...); err != nil {
		return fmt.Errorf("%w; what was written is in %s", err, p.dir)
	}
	return nil
}

// runGit runs git in the config repository as the person would.
func (o *options) runGit(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, "git", append([]string{"-C", o.dir}, args...)...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, o.out, o.err // gpg may ask for a passphrase
	if args[0] == "config" {
		c.Stdout = io.Discard
	}
	if err := c.Run(); err != nil {
		return fmt.Errorf("git %s: %w", args[0], err)
	}
	return nil
}
