package tests

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hostctl/planner"
	"hostctl/tests/generate"
	"hostctl/tests/inmemory"
)

// finished begins the line of a change that the journal has taken.
const finished = "finished"

// BenchmarkBesideTerraform does the same with hostctl and with Terraform, in one run: plan so many objects, make them, plan
// again, and be killed in the middle of making them. hostctl's far sides are in memory; Terraform's resources are
// terraform_data, which are nowhere but in its state. TENANTS says how many tenants, of 30 objects each. Where there is
// no terraform, its half is left out.
func BenchmarkBesideTerraform(b *testing.B) {
	o := generate.Options{Tenants: 10, FQDNs: 10}
	if n, err := strconv.Atoi(os.Getenv("TENANTS")); err == nil {
		o.Tenants = n
	}
	p := newPlatform(b, o)
	b.Run("hostctl/plan", func(b *testing.B) { p.bench(b, exitChanges, "plan", "-C", p.bare) })
	b.Run("hostctl/apply", func(b *testing.B) {
		measure(b, func() *exec.Cmd { p.state = b.TempDir(); return p.applying() })
	})
	objects := p.apply(b)
	b.Run("hostctl/again", func(b *testing.B) { p.bench(b, exitSame, "plan", "-C", p.bare, "--state", p.state) })
	b.Run("hostctl/killed", func(b *testing.B) {
		for b.Loop() {
			p.state = b.TempDir()
			c := p.applying()
			c.Env = append(c.Env, applySay+"=1")
			said := killAfter(b, c, c.StderrPipe, finished+" ", objects/2)
			known, whole := p.recorded(b)
			if whole < said {
				b.Fatalf("%d changes were finished, %d of them are recorded so", said, whole)
			}
			reportKilled(b, said, known)
		}
	})

	program, err := exec.LookPath("terraform")
	if err != nil {
		b.Log("there is no terraform here, so its half is left out")
		return
	}
	t := terraform{program: program, dir: b.TempDir()}
	t.write(b, objects)
	b.Run("terraform/plan", func(b *testing.B) { measure(b, func() *exec.Cmd { return t.command("plan") }) })
	b.Run("terraform/apply", func(b *testing.B) {
		measure(b, func() *exec.Cmd { t.forget(b); return t.command("apply", "-auto-approve") })
	})
	b.Run("terraform/again", func(b *testing.B) { measure(b, func() *exec.Cmd { return t.command("plan") }) })
	b.Run("terraform/killed", func(b *testing.B) {
		for b.Loop() {
			t.forget(b)
			c := t.command("apply", "-auto-approve")
			said := killAfter(b, c, c.StdoutPipe, "Creation complete", objects/2)
			reportKilled(b, said, t.recorded(b))
		}
	})
}

// measure runs programs that must succeed, and reports their peak memory and processor time.
func measure(b *testing.B, next func() *exec.Cmd) {
	b.Helper()
	var peak, cpu float64
	for b.Loop() {
		c := next()
		if out, err := c.CombinedOutput(); err != nil {
			b.Fatalf("%v: %v\n%s", c.Args, err, out[max(0, len(out)-2000):])
		}
		peak = max(peak, float64(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024)
		cpu += (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
	}
	b.ReportMetric(peak, "MB-peak")
	b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
}

// killAfter kills a program once it has printed so many lines with a text, and returns how many it had printed.
func killAfter(b *testing.B, c *exec.Cmd, pipe func() (io.ReadCloser, error), text string, lines int) (said int) {
	b.Helper()
	out, err := pipe()
	must(b, err)
	must(b, c.Start())
	for in := bufio.NewScanner(out); in.Scan(); {
		if !strings.Contains(in.Text(), text) {
			continue
		}
		if said++; said == lines {
			must(b, c.Process.Kill())
		}
	}
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		b.Fatalf("it wasn't killed, but ended: %v", err)
	}
	return said
}

func reportKilled(b *testing.B, said, known int) {
	b.ReportMetric(float64(said), "said-finished")
	b.ReportMetric(float64(known), "known-after")
}

// recorded returns how many objects the inventory knows, and how many of them without a doubt.
func (p *largePlatform) recorded(b *testing.B) (known, whole int) {
	b.Helper()
	w, err := inmemory.Open(b.Context(), p.platform())
	must(b, err)
	l, err := w.Inventory.Live(b.Context())
	must(b, errors.Join(err, w.Close()))
	refs := map[planner.Ref]bool{}
	for r := range l.State {
		refs[r] = true
		if _, dirty := l.Dirty[r]; !dirty {
			whole++
		}
	}
	for r := range l.Dirty {
		refs[r] = true
	}
	return len(refs), whole
}

// terraform is a folder with a configuration.
type terraform struct{ program, dir string }

func (t terraform) command(args ...string) *exec.Cmd {
	c := exec.Command(t.program, append(args, "-no-color", "-input=false")...)
	c.Dir = t.dir
	c.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1")
	return c
}

func (t terraform) write(b *testing.B, resources int) {
	b.Helper()
	config := fmt.Sprintf("resource \"terraform_data\" \"x\" {\n  count = %d\n  input = {\n    name = \"site-${count.index}\"\n    host = \"www.site-${count.index}.example\"\n  }\n}\n", resources)
	must(b, os.WriteFile(filepath.Join(t.dir, "main.tf"), []byte(config), 0o644))
	if out, err := t.command("init").CombinedOutput(); err != nil {
		b.Fatalf("terraform init: %v\n%s", err, out)
	}
}

func (t terraform) state() string { return filepath.Join(t.dir, "terraform.tfstate") }

func (t terraform) forget(b *testing.B) {
	b.Helper()
	for _, file := range []string{t.state(), t.state() + ".backup", filepath.Join(t.dir, ".terraform.tfstate.lock.info")} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			b.Fatal(err)
		}
	}
}

// recorded returns how many resources the state has.
func (t terraform) recorded(b *testing.B) int {
	b.Helper()
	text, err := os.ReadFile(t.state())
	if errors.Is(err, os.ErrNotExist) || err == nil && len(text) == 0 {
		return 0
	}
	must(b, err)
	var state struct {
		Resources []struct{ Instances []json.RawMessage }
	}
	must(b, json.Unmarshal(text, &state))
	n := 0
	for _, r := range state.Resources {
		n += len(r.Instances)
	}
	return n
}
