package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

// TestMain lets the scripts run hostctl in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hostctl": func() { os.Exit(mainArgs(os.Args)) },
	})
}

// TestScripts runs tests/script: the command line as a person uses it, readable without Go.
func TestScripts(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "../../tests/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			// An agent program to plan with; nothing runs it here.
			agent := filepath.Join(e.WorkDir, "node-agent")
			if err := os.WriteFile(agent, []byte("not run\n"), 0o755); err != nil {
				return err
			}
			e.Setenv("EXAMPLES", examples)
			e.Setenv("HOSTCTL_AGENT", agent)
			e.Setenv("GIT_AUTHOR_NAME", "Test")
			e.Setenv("GIT_AUTHOR_EMAIL", "test@example.test")
			e.Setenv("GIT_COMMITTER_NAME", "Test")
			e.Setenv("GIT_COMMITTER_EMAIL", "test@example.test")
			e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
	})
}
