package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// longFlags lets a long flag be written with one dash, as in -out FILE. So can one that there isn't, to be called by
// its whole name in the refusal. What begins with another sign than a letter is the platform's secret -/NAME.
func longFlags(root *cobra.Command, args []string) []string {
	long, short := map[string]bool{"help": true}, map[string]bool{"h": true}
	for _, c := range append(root.Commands(), root) {
		for _, flags := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags()} {
			flags.VisitAll(func(f *pflag.Flag) { long[f.Name], short[f.Shorthand] = true, true })
		}
	}
	out := slices.Clone(args)
	for i, a := range out {
		if a == "--" {
			break
		}
		name, ok := strings.CutPrefix(a, "-")
		name, _, _ = strings.Cut(name, "=")
		if ok && (long[name] || len(name) > 1 && unicode.IsLetter(rune(name[0])) && !short[name[:1]]) {
			out[i] = "-" + a
		}
	}
	return out
}

// unknownVerb is what hostctl does where its arguments name no verb.
func unknownVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return root.Help()
	}
	if like := root.SuggestionsFor(args[0]); len(like) > 0 {
		return fmt.Errorf("no verb %q; did you mean 'hostctl %s'?", args[0], strings.Join(like, "' or 'hostctl "))
	}
	return fmt.Errorf("no verb %q; 'hostctl help' lists them", args[0])
}

// flagError adds the next step to what is wrong with a flag.
func flagError(c *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return fmt.Errorf("%w; '%s --help' lists the flags", err, c.CommandPath())
}

// needs takes exactly one argument, and else says what it is.
func needs(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s needs %s; want '%s'", c.Name(), what, c.UseLine())
		}
		return atMostOne(c, args)
	}
}

// atMostOne takes one argument or none.
func atMostOne(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("%s: one argument too many: %q; want '%s'", c.Name(), args[1], c.UseLine())
	}
	return nil
}

// noOperands takes none.
func noOperands(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags only, and not %q; '%s --help' lists them", c.Name(), args[0], c.CommandPath())
	}
	return nil
}
