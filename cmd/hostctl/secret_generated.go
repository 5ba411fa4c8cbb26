package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hostctl/cmd/internal/wire"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/reconciler/inventory"
)

func secretRotateVerb(o *options) *cobra.Command {
	var generated string
	cmd := &cobra.Command{
		Use:   "rotate FILE | rotate --generated TENANT/NAME",
		Short: "Encrypt a file with a new data key, or make another value of a generated secret",
		Long: `rotate FILE encrypts every value with a new data key; the values stay as they are. With --generated it makes another
value of a generated secret: the next plan puts it in place, and restarts what uses it.`,
		Example: `  hostctl secret rotate --state DIR tenants/acme/shop.sops.yaml
  hostctl secret rotate --state DIR --generated acme/shop-db`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case (generated == "") == (len(args) == 0):
				return errors.New("rotate needs a file, or --generated TENANT/NAME")
			case generated != "":
				return o.rotateGenerated(cmd.Context(), generated)
			}
			f, err := o.openSecretFile(args[0])
			if err != nil {
				return err
			}
			if err := f.Rotate(); err != nil {
				return err
			}
			if err := writeSecretFile(args[0], f); err != nil {
				return err
			}
			_, err = fmt.Fprintf(o.out, "%s has a new data key. Commit it.\n", args[0])
			return err
		},
	}
	cmd.Flags().StringVar(&generated, "generated", "", "the `NAME` of a generated secret, as 'hostctl secret list' prints it")
	return cmd
}

// withSecrets opens the inventory for what it knows of generated secrets.
func (o *options) withSecrets(ctx context.Context, verb string, fn func(*inventory.Store) error) error {
	if err := o.needState(verb); err != nil {
		return err
	}
	store, err := o.inventory(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fn(store), store.Close())
}

// named splits the name of a generated secret.
func named(title string) (tenant, name string, err error) {
	tenant, name, ok := strings.Cut(title, "/")
	if !ok || tenant == "" || name == "" {
		return "", "", fmt.Errorf("%q names no generated secret; want TENANT/NAME, as 'hostctl secret list' prints it", title)
	}
	if tenant == "-" {
		tenant = ""
	}
	return tenant, name, nil
}

func (o *options) rotateGenerated(ctx context.Context, title string) error {
	tenant, name, err := named(title)
	if err != nil {
		return err
	}
	return o.withSecrets(ctx, "secret rotate", func(s *inventory.Store) error {
		now, err := s.Secret(ctx, tenant, name, 0)
		if err != nil {
			return unknownSecret(title, err)
		}
		g, err := wire.Generate(ctx, o.config(), s, tenant, name, now.Generation+1)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(o.out, "%s has generation %d. The next plan puts it in place: hostctl apply, or hostd's next look.\n", title, g.Generation)
		return err
	})
}

func unknownSecret(title string, err error) error {
	if errors.Is(err, reconciler.ErrNoSecret) {
		return fmt.Errorf("no generated secret is called %s, or it wasn't needed yet; 'hostctl secret list' lists those that are", title)
	}
	return err
}

func secretListVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the generated secrets, without their values",
		Example: "  hostctl secret list --state DIR",
		Args:    noOperands,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withSecrets(cmd.Context(), "secret list", func(s *inventory.Store) error {
				all, err := s.GeneratedSecrets(cmd.Context())
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
				for _, g := range all {
					shown := "never shown"
					switch {
					case g.Sealed == "":
						shown = "lost: only nodes have it"
					case !g.Shown.IsZero():
						shown = "shown " + g.Shown.UTC().Format(time.RFC3339)
					}
					fmt.Fprintf(w, "%s\tgeneration %d\tmade %s\t%s\n", planner.Generated{Tenant: g.Tenant, Name: g.Name}, g.Generation, g.Made.UTC().Format(time.RFC3339), shown)
				}
				if len(all) == 0 {
					fmt.Fprintln(w, "No secret was generated yet.")
				}
				return w.Flush()
			})
		},
	}
}

func secretShowVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "show TENANT/NAME",
		Short: "Print the value of a generated secret, once",
		Long: `show prints the value of a generated secret, for the one who needs it outside of the platform. A value is shown once;
who has lost it makes another: 'hostctl secret rotate --generated'.`,
		Example: "  hostctl secret show --state DIR acme/shop-db",
		Args:    needs("the name of a generated secret"),
		RunE: func(cmd *cobra.Command, args []string) error {
			tenant, name, err := named(args[0])
			if err != nil {
				return err
			}
			return o.withSecrets(cmd.Context(), "secret show", func(s *inventory.Store) error {
				g, err := s.Secret(cmd.Context(), tenant, name, 0)
				if err != nil {
					return unknownSecret(args[0], err)
				}
				value, err := o.config().Unseal(g) // before it counts as shown
				if err != nil {
					return err
				}
				if g, err = s.ShowSecret(cmd.Context(), tenant, name); err != nil {
					return err
				}
				if !g.Shown.IsZero() {
					return fmt.Errorf("%s was shown on %s, and is shown once; 'hostctl secret rotate --generated %s' makes another", args[0], g.Shown.UTC().Format(time.RFC3339), args[0])
				}
				_, err = fmt.Fprintf(o.out, "%s\n", value)
				return err
			})
		},
	}
}
