// Package s6 drives the supervisor of a node's services: folders below a scan folder, and s6's own commands, called by
// argument lists. See https://skarnet.org/software/s6/servicedir.html.
package s6

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hostctl/agent/argv"
)

// Scan is a scan folder, that s6-svscan watches.
type Scan string

// Service is what runs.
type Service struct {
	Name       string   // a-z, 0-9, . and -
	Run        []string // argument list of a program that stays in the foreground
	DownSignal string   // what it is asked to stop with; "" is SIGTERM
	Grace      time.Duration
}

// State is whether a service runs, and as which process.
type State struct {
	Up  bool
	PID int
}

// settle bounds how long s6 may take over what it does at once.
const settle = 10 * time.Second

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,127}$`)

func (s Scan) dir(name string) string { return filepath.Join(string(s), name) }

// Add makes a service and waits until its process was started. The folder is made under a name that s6 ignores and then
// renamed, so that s6 never sees half of one. A service of the name that is there already is left as it is and started.
func (s Scan) Add(ctx context.Context, v Service) error {
	if !nameForm.MatchString(v.Name) {
		return fmt.Errorf("service %q: no name for a service", v.Name)
	}
	if _, err := os.Lstat(s.dir(v.Name)); err == nil {
		return s.Up(ctx, v.Name)
	}
	half := s.dir(".new-" + v.Name)
	if err := write(half, v); err != nil {
		return fmt.Errorf("service %s: %w", v.Name, err)
	}
	if err := os.Rename(half, s.dir(v.Name)); err != nil {
		return fmt.Errorf("service %s: %w", v.Name, err)
	}
	if _, err := argv.Run(ctx, "s6-svscanctl", "-a", string(s)); err != nil {
		return fmt.Errorf("service %s: %w", v.Name, err)
	}
	if err := s.supervised(ctx, v.Name); err != nil {
		return err
	}
	return s.wait(ctx, "-u", v.Name)
}

// write makes a service's folder: https://skarnet.org/software/s6/servicedir.html
func write(dir string, v Service) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := map[string]string{"run": "#!/usr/bin/execlineb -P\n" + Words(v.Run) + "\n"}
	if v.DownSignal != "" {
		files["down-signal"] = v.DownSignal + "\n"
	}
	if v.Grace > 0 { // SIGKILL after that
		files["timeout-kill"] = strconv.FormatInt(v.Grace.Milliseconds(), 10) + "\n"
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil { //nolint:gosec // s6 runs it
			return err
		}
	}
	return nil
}

// Words writes an argument list in execline's syntax, each word quoted:
// https://skarnet.org/software/execline/execlineb.html
func Words(argv []string) string {
	words := make([]string, len(argv))
	for i, w := range argv {
		words[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
	}
	return strings.Join(words, " ")
}

// supervised waits until s6 has taken a service up: its supervisor listens, and then writes a first state.
func (s Scan) supervised(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for {
		_, err := argv.Run(ctx, "s6-svok", s.dir(name))
		if err == nil {
			_, err = os.Stat(filepath.Join(s.dir(name), "supervise", "status"))
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("service %s: not supervised after %v: %w", name, settle, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s Scan) wait(ctx context.Context, what, name string) error {
	ms := strconv.FormatInt(settle.Milliseconds(), 10)
	if _, err := argv.Run(ctx, "s6-svwait", what, "-t", ms, s.dir(name)); err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}
	return nil
}

// Up starts a service that is there, if it doesn't run, and waits until its process was started.
func (s Scan) Up(ctx context.Context, name string) error {
	if err := s.supervised(ctx, name); err != nil {
		return err
	}
	if _, err := argv.Run(ctx, "s6-svc", "-u", s.dir(name)); err != nil {
		return fmt.Errorf("start service %s: %w", name, err)
	}
	return s.wait(ctx, "-u", name)
}

// Signal sends a service one of the signals that s6-svc knows by a letter ("h" SIGHUP, "2" SIGUSR2, ...).
func (s Scan) Signal(ctx context.Context, name, letter string) error {
	if _, err := argv.Run(ctx, "s6-svc", "-"+letter, s.dir(name)); err != nil {
		return fmt.Errorf("signal service %s: %w", name, err)
	}
	return nil
}

// Remove stops a service, waits until it has ended (it may take as long as its Grace), and forgets it. It is out of the
// list of services at once. One that isn't there is removed already.
func (s Scan) Remove(ctx context.Context, name string, grace time.Duration) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("service %q: no name for a service", name)
	}
	if !s.Has(name) {
		return nil
	}
	// The supervisor is inside its folder, under whatever name: once the scanner finds it gone from its list, it is told
	// to bring its service down and to end. Told so while listed, it would be started anew.
	gone := ".old-" + name
	if err := errors.Join(os.RemoveAll(s.dir(gone)), os.Rename(s.dir(name), s.dir(gone))); err != nil {
		return fmt.Errorf("remove service %s: %w", name, err)
	}
	if _, err := argv.Run(ctx, "s6-svscanctl", "-an", string(s)); err != nil {
		return fmt.Errorf("remove service %s: %w", name, err)
	}
	if err := s.ended(ctx, gone, grace); err != nil {
		return err
	}
	return os.RemoveAll(s.dir(gone))
}

// ended waits until a service has no supervisor any more.
func (s Scan) ended(ctx context.Context, name string, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace+settle)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if _, err := argv.Run(ctx, "s6-svok", s.dir(name)); argv.Code(err) == 1 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("service %s: still runs after %v", name, grace+settle)
		case <-time.After(pause):
		}
	}
}

// State says whether a service runs. One that isn't there, or isn't supervised, doesn't.
func (s Scan) State(ctx context.Context, name string) (State, error) {
	out, err := argv.Run(ctx, "s6-svstat", "-o", "up,pid", s.dir(name))
	if argv.Code(err) == 1 || argv.Code(err) == 111 && !s.Has(name) {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("state of service %s: %w", name, err)
	}
	up, pid, _ := strings.Cut(out, " ")
	n, err := strconv.Atoi(pid)
	if err != nil {
		return State{}, fmt.Errorf("state of service %s: s6-svstat says %q", name, out)
	}
	return State{Up: up == "true", PID: n}, nil
}

// Has reports whether there is such a service.
func (s Scan) Has(name string) bool {
	_, err := os.Lstat(s.dir(name))
	return err == nil
}

// List returns the names of all services, sorted.
func (s Scan) List() ([]string, error) {
	entries, err := os.ReadDir(string(s))
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// WantedDown reports whether a service isn't to be started with the node: it has a file "down".
func (s Scan) WantedDown(name string) bool {
	_, err := os.Lstat(filepath.Join(s.dir(name), "down"))
	return err == nil
}
