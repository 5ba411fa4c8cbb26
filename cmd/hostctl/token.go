package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hostctl/reconciler/web/api"
)

func tokenVerb(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token create|list|revoke",
		Short: "Give others the right to read hostd's API, and take it back",
		Long: `A token lets a program read /api/v1 of hostd: all of the platform (-scope platform), or what is one tenant's
(-scope tenant:NAME) and nothing else. Of a token only its hash is kept, in tokens.json of the state folder. A hostd
that runs learns of changes with the next request. 'hostctl audit' tells who has read what.`,
		Example: `  hostctl token create --state DIR -scope tenant:acme -expires 720h acme-dashboard
  hostctl token list --state DIR
  hostctl token revoke --state DIR acme-dashboard`,
		ValidArgsFunction: cobra.NoFileCompletions,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return fmt.Errorf("token has no verb %q; want create, list or revoke", args[0])
		},
	}
	cmd.AddCommand(tokenCreateVerb(o), tokenListVerb(o), tokenRevokeVerb(o))
	return cmd
}

func tokenCreateVerb(o *options) *cobra.Command {
	var (
		scope   string
		expires time.Duration
	)
	cmd := &cobra.Command{
		Use:     "create NAME -scope SCOPE",
		Short:   "Make a token and print it, this once",
		Long:    `create prints the token alone on the standard output. It can't be shown again: keep it where secrets are kept.`,
		Example: "  hostctl token create --state DIR -scope platform -expires 2160h monitoring",
		Args:    needs("a name for the token"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.needState("token create"); err != nil {
				return err
			}
			if scope == "" {
				return errors.New("token create needs -scope: platform, or tenant:NAME")
			}
			of, err := api.ParseScope(scope)
			if err != nil {
				return err
			}
			until := time.Time{}
			if expires != 0 {
				until = time.Now().Add(expires).Truncate(time.Second)
			}
			if err := os.MkdirAll(o.state, 0o700); err != nil {
				return err
			}
			token, err := api.OpenTokens(o.state).Create(args[0], of, until)
			if err != nil {
				return err
			}
			if until.IsZero() {
				fmt.Fprintf(o.err, "The token %s never expires; -expires 720h makes one that does.\n", args[0])
			}
			_, err = fmt.Fprintln(o.out, token)
			return err
		},
	}
	cmd.Flags().StringVar(&scope, "scope", "", "what it may read: platform, or tenant:`NAME`")
	cmd.Flags().DurationVar(&expires, "expires", 0, "the `time` after which it is worth nothing, such as 720h; 0 for never")
	return cmd
}

// tokensReport is what token list prints with -json.
type tokensReport struct {
	Format int           `json:"format"` // tokensFormat; within one, keys are added only
	Tokens []listedToken `json:"tokens"`
}

// tokensFormat is the version of what token list prints with -json.
const tokensFormat = 1

type listedToken struct {
	Name     string    `json:"name"`
	Scope    api.Scope `json:"scope"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`
	LastUsed time.Time `json:"lastUsed,omitzero"`
}

func tokenListVerb(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List the tokens, what each may read, and when it was last used",
		Example:           "  hostctl token list --state DIR",
		Args:              noOperands,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if err := o.needState("token list"); err != nil {
				return err
			}
			tokens, used, err := api.OpenTokens(o.state).List()
			if err != nil {
				return err
			}
			r := tokensReport{Format: tokensFormat, Tokens: []listedToken{}}
			for _, t := range tokens {
				r.Tokens = append(r.Tokens, listedToken{t.Name, t.Scope, t.Created, t.Expires, used[t.Name]})
			}
			if asJSON {
				return writeJSON(o.out, r)
			}
			return r.print(o.out, time.Now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (r tokensReport) print(w io.Writer, now time.Time) error {
	if len(r.Tokens) == 0 {
		_, err := fmt.Fprintln(w, "There are no tokens; 'hostctl token create' makes one.")
		return err
	}
	day := func(t time.Time, none string) string {
		if t.IsZero() {
			return none
		}
		return t.UTC().Format(time.RFC3339)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "TOKEN\tSCOPE\tCREATED\tEXPIRES\tLAST USED\n")
	for _, l := range r.Tokens {
		expires := day(l.Expires, "never")
		if !l.Expires.IsZero() && !now.Before(l.Expires) {
			expires += " (expired)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", l.Name, l.Scope, day(l.Created, "-"), expires, day(l.LastUsed, "never"))
	}
	return t.Flush()
}

func tokenRevokeVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke NAME",
		Short:   "Make a token worth nothing, at once",
		Example: "  hostctl token revoke --state DIR acme-dashboard",
		Args:    needs("the name of a token"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.needState("token revoke"); err != nil {
				return err
			}
			if err := api.OpenTokens(o.state).Revoke(args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(o.out, "The token %s is revoked.\n", args[0])
			return err
		},
	}
}
