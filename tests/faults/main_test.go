// Package faults runs whole platforms on the real parts and breaks them: it kills hostd, hostctl and agents at every
// point of a run that has a name, and cuts far sides off before and after what they do. After each fault it lets things
// run and compares what is really there with what should be.
//
// Programs are built with the tag faults: they have points at which they stop when a test wants that (see
// cmd/internal/fault), so that a fault strikes exactly there. A sample of the points is taken, always the same one, so that
// a failure is the change's; HOSTCTL_FAULTS=random takes another, =<seed> the one that a run has printed, =all every point.
package faults

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// programs is where the three programs under test were built.
var programs string

// seed decides which points are in the sample; all takes every one.
var (
	seed uint64
	all  bool
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if strings.Contains(strings.Join(os.Args, " "), "-test.short=true") {
		fmt.Println("fault tests need Docker and minutes: not with -short")
		return 0
	}
	switch v := os.Getenv("HOSTCTL_FAULTS"); v {
	case "all":
		all = true
	case "":
		seed = 1
	case "random":
		seed = rand.Uint64() % 1_000_000
		fmt.Printf("a sample of the fault points; to take it again: HOSTCTL_FAULTS=%d\n", seed)
	default:
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			fmt.Fprintf(os.Stderr, "HOSTCTL_FAULTS: want all, random or a number: %v\n", err)
			return 1
		}
		seed = n
	}
	// The variable of this test is another one in the programs.
	if err := os.Unsetenv("HOSTCTL_FAULTS"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "hostctl-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	programs = dir
	return m.Run()
}

// build builds the programs with fault points; the agent must run in any image.
func build(dir string) error {
	for _, pkg := range []string{"hostctl", "hostd", "node-agent"} {
		c := exec.Command("go", "build", "-tags", "faults", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", dir, "hostctl/cmd/"+pkg)
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", pkg, err, out)
		}
	}
	return nil
}

// random returns the source of a test's choices.
func random(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// sample returns n of all points in their order, or all of them where all are wanted.
func sample(name string, points []string, n int) []string {
	if all || n >= len(points) {
		return points
	}
	picked := map[int]bool{}
	for _, i := range random(name).Perm(len(points))[:n] {
		picked[i] = true
	}
	var out []string
	for i, p := range points {
		if picked[i] {
			out = append(out, p)
		}
	}
	return out
}
