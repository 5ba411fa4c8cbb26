package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"hostctl/planner"
)

// form is how a plan is printed. The zero form is text for people.
type form struct{ json, markdown bool }

// flags gives a verb the flags that choose the form.
func (f *form) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.json, "json", false, "print the plan as JSON")
	cmd.Flags().BoolVar(&f.markdown, "markdown", false, "print the plan as Markdown, for a comment in a forge")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown")
}

func (o *options) printPlan(p planner.Plan, f form) error {
	switch {
	case f.json:
		b, err := p.JSON()
		if err != nil {
			return err
		}
		_, err = o.out.Write(b)
		return err
	case f.markdown:
		return o.printMarkdown(p)
	}
	if err := p.Text(o.out, o.colour || colours(o.out)); err != nil || p.Empty() {
		return err
	}
	why := obstacles(p)
	if len(why) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(o.out, "\nIt can't be applied as it is:"); err != nil {
		return err
	}
	for _, reason := range why {
		if _, err := fmt.Fprintf(o.out, "  %s\n", reason); err != nil {
			return err
		}
	}
	return nil
}

// printMarkdown prints a plan as a forge takes it, with no more than fits.
func (o *options) printMarkdown(p planner.Plan) error {
	return p.Markdown(o.out, planner.MarkdownLimit)
}
