package cron

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"hostctl/schema/schedule"
)

const (
	// lookEvery is the most time between two looks at the clock, which somebody may have set meanwhile.
	lookEvery = 30 * time.Second
	// lateAtMost is how much later than it was due a run may begin. What is missed by more isn't made up.
	lateAtMost = time.Minute
	// between keeps the many jobs that are due at midnight from being begun in one moment.
	between = 20 * time.Millisecond
)

// clock is when each job is due next, by its name in files.
type clock map[string]*due

type due struct {
	content  string
	schedule schedule.Schedule
	zone     *time.Location
	next     time.Time
}

// Run begins what is due until ctx is done. What was due while nobody ran this isn't made up.
func (m *Manager) Run(ctx context.Context) {
	names, err := m.names()
	if err != nil {
		m.o.Log.Error("read jobs", "error", err)
	}
	m.reread(names, time.Now())
	for {
		wait := m.begin(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-m.changed:
			m.mu.Lock()
			names, m.touched = m.touched, nil
			m.mu.Unlock()
			m.reread(names, time.Now())
		case <-time.After(wait):
		}
	}
}

// reread takes up jobs as they are now. What stays as it is stays due when it was.
func (m *Manager) reread(names []string, now time.Time) {
	for _, name := range names {
		d, err := m.dueOf(name, now)
		switch {
		case err == nil:
			m.clock[name] = d
		case errors.Is(err, fs.ErrNotExist):
			delete(m.clock, name)
		default:
			delete(m.clock, name)
			m.o.Log.Error("read a job", "job", name, "error", err)
		}
	}
}

// dueOf reads a job, and finds when it is due next.
func (m *Manager) dueOf(name string, now time.Time) (*due, error) {
	j, _, err := m.read(name)
	if err != nil {
		return nil, err
	}
	content := contentOf(j)
	if was := m.clock[name]; was != nil && was.content == content {
		return was, nil
	}
	s, err := schedule.Parse(j.Schedule)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(j.Timezone)
	if err != nil {
		return nil, err
	}
	return &due{content: content, schedule: s, zone: zone, next: s.Next(now, zone)}, nil
}

// begin begins what is due, and returns how long there is nothing more.
func (m *Manager) begin(ctx context.Context, now time.Time) time.Duration {
	wait := lookEvery
	for name, d := range m.clock {
		if ctx.Err() != nil {
			return 0
		}
		if !d.next.After(now) {
			if late := now.Sub(d.next); late > lateAtMost {
				m.o.Log.Warn("a run was missed", "job", name, "due", d.next.UTC().Format(time.RFC3339), "late", late.String())
			} else {
				m.start(name, d)
				time.Sleep(between)
			}
			d.next = d.schedule.Next(now, d.zone)
		}
		wait = min(wait, time.Until(d.next))
	}
	return max(wait, 0)
}

// start starts the program that looks after a run, unless the job isn't run any more. It is nobody's child but its own
// session's: it goes on when the agent ends.
func (m *Manager) start(name string, d *due) {
	if e, err := m.record(name).read(); err == nil && e.Content == d.content && e.disabled() {
		return
	}
	cmd := exec.Command(m.o.Program, "job", name, strconv.FormatInt(d.next.Unix(), 10))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env, cmd.Dir = []string{"PATH=/usr/bin:/bin"}, "/"
	if err := cmd.Start(); err != nil {
		m.o.Log.Error("begin a run", "job", name, "error", err)
		return
	}
	go func() {
		if err := cmd.Wait(); err != nil {
			m.o.Log.Error("look after a run", "job", name, "error", err)
		}
	}()
}
