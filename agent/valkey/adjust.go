package valkey

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// adjust gives a running instance its settings, and writes them down for its next start. What it holds is at any moment in what
// the next start would read: a snapshot is written before the file that is appended to is given up, and the other way round.
func (m *Manager) adjust(ctx context.Context, c *conn, o planner.Valkey) error {
	live, err := m.live(ctx, c, o)
	if err != nil {
		return err
	}
	want := map[string]string{}
	for _, s := range m.settings(o) {
		want[s[0]] = s[1]
	}
	if want["appendonly"] == "yes" && live["appendonly"] != "yes" {
		if err := m.startAppending(ctx, c); err != nil {
			return err
		}
	}
	anew, err := set(ctx, c, m.settings(o), live)
	if err != nil {
		return err
	}
	if o.Persistence == schema.PersistRDB && (live["save"] != want["save"] || live["appendonly"] == "yes") {
		if err := snapshot(ctx, c); err != nil {
			return err
		}
	}
	if text, err := readIfThere(m.conf(o.Name)); err != nil || text != m.configuration(o) {
		if err := put(m.conf(o.Name), []byte(m.configuration(o)), 0o640, uidOf(o)); err != nil {
			return err
		}
	}
	if want["appendonly"] == "no" && live["appendonly"] == "yes" {
		if _, err := c.do(ctx, "CONFIG", "SET", "appendonly", "no"); err != nil {
			return err
		}
	}
	if o.Persistence == schema.PersistNone && o.Source == nil {
		if err := remove(filepath.Join(m.data(o.Name), snapshotFile)); err != nil {
			return err // the next start would read what is long gone
		}
	}
	if anew {
		return m.restart(ctx, o)
	}
	_, err = c.do(ctx, "CONFIG", "SET", "tls-cert-file", want["tls-cert-file"], "tls-key-file", want["tls-key-file"], "tls-ca-cert-file", want["tls-ca-cert-file"])
	return err // they are read anew, for they may have been renewed
}

// live reads the settings of an instance.
func (m *Manager) live(ctx context.Context, c *conn, o planner.Valkey) (map[string]string, error) {
	words := []string{"CONFIG", "GET"}
	for _, s := range m.settings(o) {
		words = append(words, s[0])
	}
	reply, err := c.do(ctx, words...)
	if err != nil {
		return nil, err
	}
	pairs, err := texts(reply)
	if err != nil || len(pairs)%2 != 0 {
		return nil, errReply
	}
	live := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		live[pairs[i]] = pairs[i+1]
	}
	return live, nil
}

// set changes those settings that differ, but for appendonly, and reports whether one can only be had by another start.
func set(ctx context.Context, c *conn, want [][2]string, live map[string]string) (anew bool, err error) {
	for _, s := range want {
		if s[0] == "appendonly" || unread[s[0]] || live[s[0]] == s[1] {
			continue
		}
		_, err := c.do(ctx, "CONFIG", "SET", s[0], s[1])
		var said refusal
		switch {
		case errors.As(err, &said):
			anew = true // "can't set immutable config", "protected"
		case err != nil:
			return false, fmt.Errorf("set %s: %w", s[0], err)
		}
	}
	return anew, nil
}

// startAppending has an instance append each write to a file, which begins with all that it holds.
func (m *Manager) startAppending(ctx context.Context, c *conn) error {
	if _, err := c.do(ctx, "CONFIG", "SET", "appendonly", "yes"); err != nil {
		return err
	}
	err := until(ctx, c, func(info map[string]string) (bool, error) {
		if info["aof_rewrite_in_progress"] != "0" || info["aof_rewrite_scheduled"] != "0" {
			return false, nil
		}
		if info["aof_last_bgrewrite_status"] != "ok" || info["aof_enabled"] != "1" {
			return false, executors.Errorf(executors.Refused, "the file that is appended to can't be written; why is in the node's log")
		}
		return true, nil
	})
	if err != nil {
		_, undo := c.do(context.WithoutCancel(ctx), "CONFIG", "SET", "appendonly", "no")
		return errors.Join(err, undo)
	}
	return nil
}

// snapshot writes one of all that there is now, while the instance goes on serving. One that is being written already isn't of
// now: it is waited for, and another one is begun.
func snapshot(ctx context.Context, c *conn) error {
	before := ""
	return until(ctx, c, func(info map[string]string) (bool, error) {
		if before == "" {
			before = info["rdb_saves"] // each counts from when it begins
		}
		if info["rdb_bgsave_in_progress"] != "0" || info["aof_rewrite_in_progress"] != "0" {
			return false, nil
		}
		if info["rdb_saves"] == before {
			_, err := c.do(ctx, "BGSAVE")
			var said refusal
			if errors.As(err, &said) && strings.Contains(string(said), "in progress") {
				return false, nil
			}
			return false, err
		}
		if info["rdb_last_bgsave_status"] != "ok" {
			return false, executors.Errorf(executors.Refused, "a snapshot can't be written; why is in the node's log")
		}
		return true, nil
	})
}

// until waits until what INFO says of persistence is as wanted.
func until(ctx context.Context, c *conn, done func(map[string]string) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, writing)
	defer cancel()
	for {
		reply, err := c.do(ctx, "INFO", "persistence")
		if err != nil {
			return err
		}
		text, _ := reply.(string)
		info := map[string]string{}
		for line := range strings.SplitSeq(text, "\r\n") {
			k, v, _ := strings.Cut(line, ":")
			info[k] = v
		}
		if ok, err := done(info); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return executors.Errorf(executors.Busy, "its data isn't written after %v", writing)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// restart ends an instance and waits until the next one answers, which is another process.
func (m *Manager) restart(ctx context.Context, o planner.Valkey) error {
	before, err := m.o.Scan.State(ctx, service(o.Name))
	if err != nil {
		return err
	}
	if err := m.o.Scan.Signal(ctx, service(o.Name), "r"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, grace+settle)
	defer cancel()
	for {
		now, err := m.o.Scan.State(ctx, service(o.Name))
		if err != nil {
			return err
		}
		if now.Up && now.PID != before.PID {
			break
		}
		select {
		case <-ctx.Done():
			return executors.Errorf(executors.Busy, "the instance hasn't started anew after %v", grace)
		case <-time.After(20 * time.Millisecond):
		}
	}
	c, err := m.answering(ctx, o.Name)
	if err != nil {
		return err
	}
	return c.Close()
}

// discard moves an instance's snapshot to the trash, <name>.<time>.rdb, that only root can read. Snapshots that are older than
// keepSnapshots go.
func (m *Manager) discard(name string) error {
	if err := os.MkdirAll(m.trash(), 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(m.trash())
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > keepSnapshots {
			errs = append(errs, remove(filepath.Join(m.trash(), e.Name())))
		}
	}
	to := filepath.Join(m.trash(), name+"."+time.Now().UTC().Format("20060102T150405.000Z")+".rdb")
	return errors.Join(append(errs, take(filepath.Join(m.data(name), snapshotFile), to))...)
}

// keepSnapshots is how long the trash keeps a snapshot.
const keepSnapshots = 30 * 24 * time.Hour
