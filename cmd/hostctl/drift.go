package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/reconciler"
	"hostctl/reconciler/web"
	"hostctl/schema"
)

func driftVerb(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "drift",
		Short: "Show what differs from what was applied, though no commit says so",
		Long: `drift looks at all that really runs, and shows what is gone, what differs field by field (applied → found), and
what is there that nobody declared. It changes nothing. What becomes of it the Platform's driftPolicy says, by kind:
hostd corrects it at its next look, only reports it, or doesn't look. What nobody declared is never deleted by itself.`,
		Example: `  hostctl drift --state DIR
  hostctl drift adopt --state DIR rrset/eu-1-dns/acme.test/mail.acme.test/A
  hostctl drift converge --state DIR vhost/web-1-0/acme.shop`,
		Annotations:       map[string]string{exitStatus: "0 nothing differs; 1 an error, or something couldn't be looked at and nothing else differs; 2 something differs."},
		Args:              noOperands,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := o.drift(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(o.out, d)
			} else {
				err = printDrift(o.out, d)
			}
			return errors.Join(err, driftExit(d))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	converge := convergeVerb(o)
	cmd.AddCommand(adoptVerb(o), converge)
	return cmd
}

// drift asks hostd where it runs, and else looks itself.
func (o *options) drift(ctx context.Context) (reconciler.Drift, error) {
	if err := o.needState("drift"); err != nil {
		return reconciler.Drift{}, err
	}
	if hostd, err := web.Dial(ctx, filepath.Join(o.state, web.SocketName)); err == nil {
		return hostd.Drift(ctx)
	}
	platform, err := o.platform(ctx, o.dir) // for the drift policy
	if err != nil {
		if platform, err = o.platform(ctx, ""); err != nil {
			return reconciler.Drift{}, err
		}
	}
	d, err := platform.Drift(ctx, nil)
	return d, errors.Join(err, platform.Close())
}

func driftExit(d reconciler.Drift) error {
	switch {
	case len(d.Found) > 0:
		return exitCode(exitChanges)
	case len(d.Unread) > 0:
		return fmt.Errorf("%s couldn't be looked at: what is there isn't known", count(len(d.Unread), "target", "targets"))
	}
	return nil
}

// driftSigns begin the lines of findings, as in a plan.
var driftSigns = map[reconciler.DriftState]string{
	reconciler.DriftGone: "-", reconciler.DriftDiffers: "~", reconciler.DriftOrphan: "?",
}

func printDrift(w io.Writer, d reconciler.Drift) error {
	var b strings.Builder
	for _, f := range d.Found {
		fmt.Fprintf(&b, "%s %s  %s\n", driftSigns[f.State], f.Ref, becomes(f))
		if f.Owner.File != "" {
			fmt.Fprintf(&b, "      declared at %s:%d (%s %s)\n", f.Owner.File, f.Owner.Line, f.Owner.Kind, f.Owner.Name)
		}
		for _, line := range f.Differences {
			fmt.Fprintf(&b, "      %s\n", line)
		}
		if f.Fighting != nil {
			fmt.Fprintf(&b, "      corrected %s within the hour up to %s, and changed again each time\n",
				count(f.Fighting.Times, "time", "times"), f.Fighting.Since.Format("15:04:05"))
		}
	}
	for _, target := range slices.Sorted(maps.Keys(d.Unread)) {
		fmt.Fprintf(&b, "! %s couldn't be looked at: %s\n", target, d.Unread[target])
	}
	s := d.Summary()
	if len(d.Found) == 0 {
		fmt.Fprintf(&b, "No drift: %s as applied.\n", count(d.Objects, "object is", "objects are"))
	} else {
		fmt.Fprintf(&b, "%s from what was applied, of %d; %s that nobody declared.\n",
			count(s.Differs, "object differs", "objects differ"), d.Objects, count(s.Orphans, "object", "objects"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// becomes says what a finding is and what becomes of it.
func becomes(f reconciler.Finding) string {
	what := map[reconciler.DriftState]string{
		reconciler.DriftGone: "is gone, or isn't as hostctl makes it", reconciler.DriftDiffers: "differs", reconciler.DriftOrphan: "nobody declared it",
	}[f.State]
	switch {
	case f.Fighting != nil:
		return what + "; somebody undoes each correction, so it is left alone until 'hostctl converge " + f.Ref.String() + "'"
	case f.State == reconciler.DriftOrphan && f.Mode == schema.DriftCorrect:
		return what + "; the next plan deletes it"
	case f.State == reconciler.DriftOrphan:
		return what + "; it is left alone"
	case f.Mode == schema.DriftReport:
		return what + "; it is reported and left alone"
	}
	return what + "; hostd corrects it"
}
