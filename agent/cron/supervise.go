package cron

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hostctl/agent/apps"
	"hostctl/agent/limit"
	"hostctl/planner"
	"hostctl/schema"
)

const (
	// grace is how long a job may take to end once it is asked to (SIGTERM).
	grace = 10 * time.Second
	// replacing is how long a run waits for the one that it replaces.
	replacing = grace + 10*time.Second
	// besides is how many runs of one job there may be at a time.
	besides = 8
)

// Supervise carries out the run of a job that was due at a time, and returns when all of it has ended. It must be the only
// thing that its process does, as root: whatever the run leaves behind becomes that process's to end. When ctx is done the
// run is ended.
func (m *Manager) Supervise(ctx context.Context, name string, due time.Time) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%q isn't the name of a job", name)
	}
	j, l, err := m.read(name)
	if err != nil {
		return err
	}
	r := run{Manager: m, name: name, job: j, launch: l, record: m.record(name), content: contentOf(j)}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	mine, err := enter(m.runs(name))
	if err != nil {
		return err
	}
	defer mine.leave()
	var not notDueError
	if err := r.record.take(r.content, due); errors.As(err, &not) {
		return nil
	} else if err != nil {
		return err
	}
	turn, err := r.turn(ctx)
	if errors.Is(err, errHeld) {
		return r.say("was left out: the run before still runs")
	}
	if err != nil {
		return err
	}
	if turn != nil {
		defer func() { _ = turn.Close() }() // which unlocks it
	}
	return r.carryOut(ctx)
}

// run is one run of a job.
type run struct {
	*Manager
	name    string
	job     planner.Cron
	launch  apps.Launch
	record  record
	content string
}

// turn waits until the run may begin, and returns what it holds meanwhile. It is errHeld where it may not.
func (r *run) turn(ctx context.Context) (*os.File, error) {
	switch r.job.Concurrency {
	case schema.Allow:
		others, err := r.others()
		if err == nil && len(others) >= besides {
			err = errHeld
		}
		return nil, err
	case schema.Replace:
		if err := r.endOthers(); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, replacing)
		defer cancel()
		for {
			turn, err := r.record.lock(".run", false)
			if !errors.Is(err, errHeld) {
				return turn, err
			}
			select {
			case <-ctx.Done():
				return nil, errHeld
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return r.record.lock(".run", false)
}

// carryOut starts the job, waits for its end, ends what it leaves behind, and notes how it went.
func (r *run) carryOut(ctx context.Context) error {
	begun := time.Now()
	if err := r.say("begins"); err != nil {
		return err
	}
	why, err := r.execute(ctx)
	if err != nil {
		return err
	}
	took := time.Since(begun).Round(time.Millisecond)
	if ctx.Err() != nil {
		return r.say(fmt.Sprintf("was ended after %v: another run takes its place, or the job isn't to run here any more", took))
	}
	failures, err := r.record.end(r.content, outcome{At: time.Now().UTC().Truncate(time.Second), Error: why})
	if err != nil {
		return err
	}
	switch {
	case why == "":
		return r.say(fmt.Sprintf("has ended well after %v", took))
	case failures >= failuresAtMost:
		return r.say(fmt.Sprintf("failed after %v: %s; that was the %dth time in a row, and it isn't run any more until the job is changed", took, why, failures))
	}
	return r.say(fmt.Sprintf("failed after %v: %s", took, why))
}

// say writes a line into the site's log.
func (r *run) say(what string) error {
	fd, err := unix.Open(r.launch.Log, unix.O_WRONLY|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	f := os.NewFile(uintptr(fd), r.launch.Log)
	_, err = fmt.Fprintf(f, "%s job %s %s\n", time.Now().UTC().Format(time.RFC3339), r.job.Job, what)
	return errors.Join(err, f.Close())
}

// execute runs the job's program to its end, and returns why that wasn't well.
func (r *run) execute(ctx context.Context) (why string, err error) {
	cmd := exec.Command("/proc/self/exe", "become", r.path(r.name)) // this very program, also where a newer one is in its place
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env, cmd.Dir = []string{"PATH=/usr/bin:/bin"}, "/"
	if err := cmd.Start(); err != nil {
		return "", err
	}
	var end error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end = cmd.Wait()
	}()
	patience := time.NewTimer(time.Duration(r.job.Timeout) * time.Second)
	defer patience.Stop()
	select {
	case <-ended:
		return failure(end), endAll()
	case <-patience.C:
		why = fmt.Sprintf("it took longer than its timeout of %v", time.Duration(r.job.Timeout)*time.Second)
	case <-ctx.Done():
	}
	if err := unix.Kill(-cmd.Process.Pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
		return "", err
	}
	select {
	case <-ended:
	case <-time.After(grace):
		if err := killAll(); err != nil {
			return "", err
		}
		<-ended
	}
	return why, endAll()
}

// failure says in a few words how a program ended that didn't end well.
func failure(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Become becomes the program of the job whose file is at path, in the place of the caller. It returns only an error.
func (m *Manager) Become(path string) error {
	name := filepath.Base(path)
	j, l, err := m.read(name[:len(name)-len(filepath.Ext(name))])
	if err != nil {
		return err
	}
	return apps.Become(l, limit.Of(bounds(j)))
}

// bounds are what a job's site is held to.
func bounds(j planner.Cron) planner.Runtime {
	return planner.Runtime{MemoryLimit: j.MemoryLimit, TaskLimit: j.TaskLimit}
}

// Due reads the time of a run as it is handed to the program that looks after it.
func Due(text string) (time.Time, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q isn't a time: want seconds since 1970", text)
	}
	return time.Unix(n, 0), nil
}
