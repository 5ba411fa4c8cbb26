package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"hostctl/planner"
	"hostctl/schema"
)

// version is set by the linker in a release.
var version = "development"

func versionVerb(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		ValidArgsFunction: cobra.NoFileCompletions,
		Long:              "version prints the version of this program, of the resources it reads, and of the plans it saves.",
		Short:             "Print the version of the program and of its formats",
		Args:              noOperands,
		RunE: func(*cobra.Command, []string) error {
			v := version
			if info, ok := debug.ReadBuildInfo(); ok && v == "development" && info.Main.Version != "" && info.Main.Version != "(devel)" {
				v = info.Main.Version
			}
			_, err := fmt.Fprintf(o.out, "hostctl %s\napi %s\nplan format %d\n%s %s/%s\n", v, schema.APIVersion, planner.PlanFormat, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
