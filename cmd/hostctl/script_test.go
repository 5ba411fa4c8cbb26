package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v5"

	"hostctl/cmd/internal/wire"
	"hostctl/tests/inmemory"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

// TestMain lets the scripts run hostctl in a process of its own, and git its hooks.
func TestMain(m *testing.M) {
	hostctl := func() { os.Exit(mainArgs(os.Args)) }
	inMemory := func() { os.Exit(run(&options{out: os.Stdout, err: os.Stderr, connect: gated}, os.Args)) }
	testscript.Main(m, map[string]func(){
		"hostctl": hostctl, "pre-receive": hostctl, "post-receive": hostctl, "hostctl-inmemory": inMemory,
	})
}

// TestScripts runs tests/script: the command line as a person uses it, readable without Go. Besides testscript's own
// commands there are
//
//	json FILE PATH VALUE    FILE is a JSON document that has VALUE at PATH, as in changes.0.action; "-" for any value
//	jsonschema FILE         FILE is a JSON Schema
//	exit CODE PROGRAM...    PROGRAM ends with CODE
//	hostctl-inmemory        hostctl with far sides in memory: every change succeeds, see gated
//	generated STATE NAME    the first generation of a generated secret is made, as the change makes it that needs it
//	signers FILE NAME=KEY.. FILE is an allowed_signers file of names with the keys of other files
//	forge REPO OLD NEW      the newest commit of REPO says NEW where it said OLD, under the signature that it had
//	approvetag REPO NAME [FROM]  a tag approves the newest commit of REPO, unsigned or with the signature of one in FROM
//	applied REPO STATE      the newest commit of REPO is wholly applied, on far sides in memory
func TestScripts(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "../../tests/script",
		UpdateScripts: *update,
		Setup:         func(e *testscript.Env) error { return setUp(e, examples) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"json": checkJSON, "jsonschema": checkJSONSchema, "exit": checkExit, "applied": apply, "generated": generate, "signers": signers, "forge": forge, "approvetag": approveTag,
		},
	})
}

// setUp makes the environment of a script: git that knows who commits and nothing else, and an agent program to plan
// with; nothing runs it here.
func setUp(e *testscript.Env, examples string) error {
	agent := filepath.Join(e.WorkDir, "node-agent")
	if err := os.WriteFile(agent, []byte("not run\n"), 0o755); err != nil {
		return err
	}
	e.Setenv("EXAMPLES", examples)
	e.Setenv("HOSTCTL_AGENT", agent)
	e.Setenv("HOME", e.WorkDir)
	e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		e.Setenv("GIT_"+who+"_NAME", "Test")
		e.Setenv("GIT_"+who+"_EMAIL", "test@example.test")
	}
	return nil
}

func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: json FILE PATH VALUE")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &v))
	for _, key := range strings.Split(args[1], ".") {
		v = below(v, key)
	}
	if got := fmt.Sprint(v); v == nil || args[2] != "-" && got != args[2] {
		ts.Fatalf("%s is %s, want %s", args[1], got, args[2])
	}
}

// below returns what a JSON value has at a key or an index; nil if nothing.
func below(v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		return v[key]
	case []any:
		if i, err := strconv.Atoi(key); err == nil && i < len(v) {
			return v[i]
		}
	}
	return nil
}

func checkJSONSchema(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: jsonschema FILE")
	}
	c := jsonschema.NewCompiler()
	c.LoadURL = func(url string) (_ io.ReadCloser, err error) { return nil, fmt.Errorf("it refers to %s", url) }
	ts.Check(c.AddResource("it.json", bytes.NewReader([]byte(ts.ReadFile(args[0])))))
	_, err := c.Compile("it.json")
	ts.Check(err)
}

func checkExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE PROGRAM...")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Check(err)
		}
		code = exit.ExitCode()
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func apply(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: applied REPO STATE")
	}
	_, err := inmemory.Apply(context.Background(), inmemory.Platform{
		Repo: ts.MkAbs(args[0]), State: ts.MkAbs(args[1]), Agent: ts.Getenv("HOSTCTL_AGENT"),
	})
	ts.Check(err)
}

func generate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: generated STATE NAME")
	}
	tenant, name, err := named(args[1])
	ts.Check(err)
	ctx, c := context.Background(), wire.Config{State: ts.MkAbs(args[0])}
	store, err := wire.OpenInventory(ctx, c)
	ts.Check(err)
	_, err = wire.Generate(ctx, c, store, tenant, name, 1)
	ts.Check(errors.Join(err, store.Close()))
}
