package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/reconciler"
)

func adoptVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "adopt REF",
		Short: "Print the YAML that would make what was found the declared thing",
		Long: `adopt prints what to write into the config repository so that what was found is what is declared: review it, put it where
it belongs, commit and push. Only DNS has a declaration that says all that can be found; for other kinds adopt tells
where the declaration is.`,
		Example:           "  hostctl drift adopt --state DIR rrset/eu-1-dns/acme.test/mail.acme.test/A",
		ValidArgsFunction: o.live(refNames),
		Args:              needs("a reference that 'hostctl drift' shows: kind/target/name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := planner.ParseRef(args[0])
			if err != nil {
				return fmt.Errorf("%w; 'hostctl drift' shows what there is to adopt", err)
			}
			d, err := o.drift(cmd.Context())
			if err != nil {
				return err
			}
			i := slices.IndexFunc(d.Found, func(f reconciler.Finding) bool { return f.Ref == ref })
			if i < 0 {
				return fmt.Errorf("%s doesn't differ from what was applied: there is nothing to adopt; 'hostctl drift' shows what there is", ref)
			}
			store, err := o.inventory(cmd.Context())
			if err != nil {
				return err
			}
			live, err := store.Live(cmd.Context())
			if err = errors.Join(err, store.Close()); err != nil {
				return err
			}
			text, err := adoption(d.Found[i], live)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(o.out, text)
			return err
		},
	}
}

// adoption returns the document that makes a finding true, or says why there is none.
func adoption(f reconciler.Finding, live planner.Live) (string, error) {
	at := fmt.Sprintf("%s %s at %s:%d", f.Owner.Kind, f.Owner.Name, f.Owner.File, f.Owner.Line)
	if f.State == reconciler.DriftGone {
		return "", fmt.Errorf("%s is gone; to make that true, remove what declares it: %s. To have it back: 'hostctl drift converge %s'", f.Ref, at, f.Ref)
	}
	found, err := planner.Decode(f.Found)
	if err != nil {
		return "", err
	}
	switch found := found.(type) {
	case planner.RRset:
		return adoptRRset(f, found, live)
	case planner.Zone:
		if f.State == reconciler.DriftDiffers {
			return fmt.Sprintf("# in %s:%d\nspec:\n  nameservers: [%s]\n  ttl: %d\n", f.Owner.File, f.Owner.Line, quotedList(found.Nameservers), found.TTL), nil
		}
	}
	if f.State == reconciler.DriftOrphan {
		return "", fmt.Errorf("%s: nobody declared it, and a %s follows from other declarations: remove it by hand, or declare what needs it", f.Ref, f.Ref.Kind)
	}
	return "", fmt.Errorf("%s follows from %s, which doesn't declare all of it; edit that by hand (%s), or 'hostctl drift converge %s'",
		f.Ref, at, strings.Join(f.Differences, "; "), f.Ref)
}

// adoptRRset returns a ZoneRecord. The addresses of host names that the platform serves are no records of their own.
func adoptRRset(f reconciler.Finding, set planner.RRset, live planner.Live) (string, error) {
	if f.Owner.Kind == "FQDN" {
		return "", fmt.Errorf("%s has the published addresses of the load balancers, for FQDN %s at %s:%d; change the LBAddresses, or set dns: {manage: false} there and declare a ZoneRecord",
			f.Ref, f.Owner.Name, f.Owner.File, f.Owner.Line)
	}
	zone, ok := live.State[planner.Ref{Kind: planner.KindZone, Target: set.Target, Name: set.Zone}]
	if !ok {
		return "", fmt.Errorf("%s: nobody declared its zone %s; declare the Zone first", f.Ref, set.Zone)
	}
	owner, name := zone.Owner(), "@"
	if set.FQDN != set.Zone {
		name = strings.TrimSuffix(set.FQDN, "."+set.Zone)
	}
	where := "a file beside " + owner.File
	if f.Owner.File != "" {
		where = fmt.Sprintf("%s:%d, in place of what is there", f.Owner.File, f.Owner.Line)
	}
	return fmt.Sprintf(`# for %s
apiVersion: hosting/v1
kind: ZoneRecord
spec:
  zone: %s
  name: %q
  type: %s
  ttl: %d
  values: [%s]
`, where, owner.Name, name, set.Type, set.TTL, quotedList(set.Values)), nil
}

// quotedList writes strings as the items of a YAML list in brackets.
func quotedList(values []string) string {
	q := make([]string, len(values))
	for i, v := range values {
		q[i] = strconv.Quote(v)
	}
	return strings.Join(q, ", ")
}
