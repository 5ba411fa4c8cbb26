package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// StartHostd starts hostd where none answers, or where the one that does is of an older build. It reports whether it
// started one.
func (p Platform) StartHostd(ctx context.Context, args ...string) (bool, error) {
	if pid, ok := p.HostdPID(); ok {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && exe == p.Program("hostd") && p.answers() {
			return false, nil
		}
		p.StopHostd()
	}
	log, err := os.OpenFile(filepath.Join(p.Dir, "hostd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return false, err
	}
	defer func() { _ = log.Close() }()
	c := exec.Command(p.Program("hostd"), append([]string{"--repo", p.Repo(), "--state", p.State(), "--listen", "127.0.0.1:0"}, args...)...)
	c.Env = append(os.Environ(), p.Env...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the one who started it
	if err := c.Start(); err != nil {
		return false, fmt.Errorf("start hostd: %w", err)
	}
	if err := os.WriteFile(p.pidFile(), []byte(strconv.Itoa(c.Process.Pid)), 0o644); err != nil {
		return false, err
	}
	gone := make(chan error, 1)
	go func() { gone <- c.Wait() }()
	return true, Until(ctx, 30*time.Second, func() error {
		select {
		case err := <-gone:
			return Fatal{fmt.Errorf("hostd has ended: %w; see %s", err, log.Name())}
		default:
		}
		if !p.answers() {
			return errors.New("hostd doesn't answer")
		}
		return nil
	})
}

func (p Platform) pidFile() string { return filepath.Join(p.Dir, "hostd.pid") }

// HostdPID returns the process of this platform's hostd, if it lives.
func (p Platform) HostdPID() (int, bool) {
	b, err := os.ReadFile(p.pidFile())
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, false
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return pid, err == nil && strings.Contains(string(args), p.State())
}

func (p Platform) answers() bool {
	c, err := net.Dial("unix", filepath.Join(p.State(), "hostd.sock"))
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// StopHostd asks hostd to end and waits for it; one that doesn't is killed.
func (p Platform) StopHostd() { p.end(syscall.SIGTERM) }

// KillHostd is kill -9.
func (p Platform) KillHostd() { p.end(syscall.SIGKILL) }

func (p Platform) end(sig syscall.Signal) {
	pid, ok := p.HostdPID()
	if !ok {
		return
	}
	_ = syscall.Kill(pid, sig)
	err := Until(context.Background(), 30*time.Second, func() error {
		// A process that is about to end has no command line any more, and its socket still answers.
		if _, alive := p.HostdPID(); alive || p.answers() {
			return errors.New("still there")
		}
		return nil
	})
	if err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
