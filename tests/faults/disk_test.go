package faults

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hostctl/tests/platform"
)

// TestG04_StateOnAFullDisk fills the disk of hostd's state in the middle of a run: what can't be journaled isn't done.
// With room again the edit comes to its end.
func TestG04_StateOnAFullDisk(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t)
	must(t, os.MkdirAll(w.State(), 0o700))
	must(t, unix.Mount("tmpfs", w.State(), "tmpfs", 0, "size=16m,mode=700"))
	w.unmount = func() { _ = unix.Unmount(w.State(), unix.MNT_DETACH) }
	w.startHostd()
	w.commit("A platform with two tenants")
	w.settled()
	w.look()
	load := w.startLoad()
	e := editNamed(aSite)
	points := []string{"^begin", "^begun", "^started create user/", "^done create webroot/", "^start create route/", "^done create rrset/", "^end"}
	for _, point := range sample("state disk", points, 2) {
		id := w.nextID()
		what := e.name + ", the disk of the state full at: " + point
		w.hostd.arm(point)
		step{edit: e}.take(w, id)
		w.hostd.wait(point)
		free := fillDisk(t, w.State())
		w.hostd.disarm()
		w.felt()
		free()
		w.right(what)
		w.check(what)
		step{edit: e, undo: true}.take(w, id)
		w.right("undoing " + what)
		load.wantNone(w, what)
	}
	load.end(w)
}

// felt waits until hostd has said that something fails, or is through: the journal may still have had room.
func (w *world) felt() {
	w.t.Helper()
	must(w.t, platform.Until(w.t.Context(), patience, func() error {
		s, err := w.hostdStatus()
		if err == nil && !s.Converged && s.NextAttempt.IsZero() {
			err = errors.New("hostd neither fails nor converges")
		}
		return err
	}))
}

// fillDisk fills the disk that a folder is on. It returns what makes room again.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	filler, err := os.Create(filepath.Join(dir, "filler"))
	must(t, err)
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	must(t, filler.Close())
	return func() { must(t, os.Remove(filler.Name())) }
}
