// Command hostctl does everything with a config repository: check it, show what it would change, apply it, and tell how
// things stand.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"hostctl/reconciler"
)

// Exit codes, as diff has them.
const (
	exitOK      = 0
	exitError   = 1
	exitChanges = 2
)

// exitCode is an error that says nothing more: the answer was printed already.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func main() { os.Exit(mainArgs(os.Args)) }

// mainArgs runs a command line and returns the exit code. Called by the name of a git hook, it is that hook.
func mainArgs(args []string) int { return run(&options{out: os.Stdout, err: os.Stderr}, args) }

func run(o *options, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	root := newRoot(o)
	root.SetArgs(longFlags(root, args[1:]))
	if name := filepath.Base(args[0]); isHook(name) {
		root.SetArgs([]string{"hook", name})
	}
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	}
	says := "hostctl"
	if isHook(filepath.Base(args[0])) {
		says = "error" // the client's git shows that word in colours where it has a terminal (git-config(1), color.remote)
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", says, err)
	return exitError
}

// options are the flags that verbs share.
type options struct {
	dir      string // the config repository
	state    string
	database string
	agent    string
	ageKey   string
	branch   string
	destroy  []string // what may be destroyed
	colour   bool     // whoever reads sees colours, though no terminal is seen here

	out, err io.Writer
	connect  reconciler.Connect // in place of the real far sides; nil: these
}

func newRoot(o *options) *cobra.Command {
	root := &cobra.Command{
		Use:   "hostctl",
		Short: "A web-hosting platform from a git repository",
		Long: `hostctl checks a config repository, shows what it would change on a hosting platform, and applies it. The platform is
known by its state folder, which holds the record of what is live; hostd, which does the same by itself after each
push, keeps it too.`,
		Example: `  hostctl init --state /var/lib/hostctl hosting    make a config repository, and the bare one that hostd watches
  hostctl validate                                 check the files of this folder
  hostctl plan                                     show what they would make from nothing
  hostctl plan --state /var/lib/hostctl            show what they would change`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE:          unknownVerb,
	}
	root.SuggestionsMinimumDistance = 2
	root.SetOut(o.out)
	root.SetErr(o.err)
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { writeHelp(o.out, c) })
	root.SetFlagErrorFunc(flagError)
	f := root.PersistentFlags()
	f.StringVarP(&o.dir, "chdir", "C", ".", "the config repository: a `folder`, a clone or a bare repository")
	f.StringVar(&o.state, "state", os.Getenv("HOSTCTL_STATE"), "state `folder` of the platform, with its inventory ($HOSTCTL_STATE)")
	f.StringVar(&o.database, "database", os.Getenv("HOSTCTL_DATABASE"), "the inventory: a `URL`, postgres://user@host/name or sqlite:file; without it inventory.db in the state folder ($HOSTCTL_DATABASE)")
	f.Lookup("database").DefValue = "" // no help shows it: it may hold a password
	f.StringVar(&o.agent, "agent", os.Getenv("HOSTCTL_AGENT"), "the node-agent `program`; without it the one beside hostctl ($HOSTCTL_AGENT)")
	f.StringVar(&o.ageKey, "age-key", os.Getenv("HOSTCTL_AGE_KEY"), "`file` of the age key that opens secrets; without it age.key in the state folder ($HOSTCTL_AGE_KEY)")
	f.StringVar(&o.branch, "branch", "main", "the `branch` that is made true")
	root.SetHelpCommand(helpVerb())
	root.AddCommand(initVerb(o), hooksVerb(o), validateVerb(o), planVerb(o), showVerb(o), previewVerb(o), approveVerb(o), applyVerb(o), clusterVerb(o), seedVerb(o), statusVerb(o), dsVerb(o), trashVerb(o), historyVerb(o), whyVerb(o),
		convergeVerb(o), convergeShardVerb(o), driftVerb(o), graphVerb(o), inventoryVerb(o), schemaVerb(o), explainVerb(o), scaffoldVerb(o), secretVerb(o), versionVerb(o), hookVerb(o), notifyVerb(o))
	root.AddCommand(tokenVerb(o), auditVerb(o))
	return root
}

// needState refuses to go on where no inventory was named.
func (o *options) needState(verb string) error {
	if o.state == "" {
		return fmt.Errorf("%s needs the platform's state: name its folder with --state DIR, or in HOSTCTL_STATE", verb)
	}
	return nil
}
