package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newTerminal opens a terminal of a size, both of its ends (pts(4)).
func newTerminal(t *testing.T, columns, rows uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// TestLiveOnATerminal runs an apply on a terminal of the kernel's: while a change runs it stands in the live lines, and
// at the end they are gone, and the terminal is as it was.
func TestLiveOnATerminal(t *testing.T) {
	t.Parallel()
	const columns, rows = 72, 20
	p := newPlace(t)
	p.write("host-1", "")
	master, slave := newTerminal(t, columns, rows)
	defer func() { _ = master.Close() }()
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	a := &applying{Cmd: p.command("apply", "-C", p.repo, "-yes")}
	a.Stdin, a.Stdout, a.Stderr = slave, slave, slave
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() { defer close(read); _, _ = io.Copy(&a.out, master) }() // it ends with EIO when the last writer has closed
	const frame = "\r\nhost-1\r\n  + network eu-1  "
	waitFor(t, "the change that runs is shown", func() bool { return strings.Contains(a.out.String(), frame) })
	first := strings.Count(a.out.String(), frame)
	waitFor(t, "its time goes on", func() bool { return strings.Count(a.out.String(), frame) > first })
	p.open("host-1")
	if err := a.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &a.out)
	}
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal's modes are %+v, and were %+v: %v", after, before, err)
	}
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	<-read

	out := a.out.String()
	for _, mode := range []string{"\x1b[?25l", "\x1b[?1049h", "\x1b[?7l"} {
		if strings.Contains(out, mode) {
			t.Errorf("it sets the terminal's mode %q", mode)
		}
	}
	s := &screen{t: t, width: columns}
	if _, err := s.Write([]byte(out)); err != nil {
		t.Fatal(err)
	}
	left := strings.Join(s.lines, "\n")
	if !strings.Contains(left, "Applied") && !strings.Contains(left, "applied") {
		t.Errorf("it doesn't say how it ended:\n%s", left)
	}
	if strings.Contains(left, "█") || strings.Contains(left, "░") || strings.Contains(left, "\nhost-1\n") {
		t.Errorf("live lines are left on the terminal:\n%s", left)
	}
	if s.x != 0 {
		t.Errorf("the cursor is left in column %d of line %q", s.x, s.lines[len(s.lines)-1])
	}
}
