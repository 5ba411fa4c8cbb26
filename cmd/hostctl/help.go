package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// exitStatus is the annotation of a verb whose exit codes say more than whether it went well.
const exitStatus = "exit status"

// helpVerb is 'hostctl help VERB'.
func helpVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "Tell what a verb does",
		RunE: func(c *cobra.Command, args []string) error {
			verb, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownVerb(c.Root(), args)
			}
			return verb.Help()
		},
	}
}

// writeHelp writes the help of a verb in the order of a manual page: name, synopsis, description, verbs, flags, exit
// status, examples.
func writeHelp(w io.Writer, c *cobra.Command) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s - %s\n\n", c.CommandPath(), lowerFirst(c.Short))
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s VERB [flags]\n", c.CommandPath())
	} else {
		fmt.Fprintf(&b, "  %s\n", c.UseLine())
	}
	if c.Long != "" {
		fmt.Fprintf(&b, "\n%s\n", c.Long)
	}
	writeVerbs(&b, c)
	writeFlags(&b, "Flags:", c.LocalNonPersistentFlags())
	shared := c.InheritedFlags()
	if !c.HasParent() {
		shared = c.PersistentFlags()
	}
	writeFlags(&b, "Flags of every verb; each long flag may be written with one dash:", shared)
	if s := c.Annotations[exitStatus]; s != "" {
		fmt.Fprintf(&b, "\nExit status: %s\n", s)
	}
	if c.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n'%s help VERB' tells more of one.\n", c.Root().Name())
	}
	_, _ = io.WriteString(w, b.String()) // there is nobody to tell where that fails
}

func writeVerbs(b *strings.Builder, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	b.WriteString("\nVerbs:\n")
	for _, v := range c.Commands() {
		if v.IsAvailableCommand() && v.Name() != "help" {
			fmt.Fprintf(b, "  %-14s %s\n", v.Name(), v.Short)
		}
	}
}

// writeFlags lists flags, each with what it takes and what it does.
func writeFlags(b *strings.Builder, title string, flags *pflag.FlagSet) {
	var names, texts []string
	width := 0
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		takes, text := pflag.UnquoteUsage(f)
		name := "    --" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", --" + f.Name
		}
		if takes != "" && f.Value.Type() != "bool" {
			name += " " + strings.ToUpper(takes)
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && !strings.Contains(text, "$") {
			text += "; default " + f.DefValue
		}
		names, texts = append(names, name), append(texts, text)
		width = max(width, len(name))
	})
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for i := range names {
		fmt.Fprintf(b, "  %-*s  %s\n", width, names[i], texts[i])
	}
}

func lowerFirst(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToLower(s[:1]) + s[1:]
}
