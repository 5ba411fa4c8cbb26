package faults

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hostctl/tests/platform"
)

// halts is the folder by which a program and a test speak of fault points; see cmd/internal/fault.
type halts struct {
	t   *testing.T
	dir string
}

// arm makes the program stop at a point.
func (h halts) arm(point string) {
	h.t.Helper()
	must(h.t, os.MkdirAll(h.dir, 0o700))
	must(h.t, os.WriteFile(filepath.Join(h.dir, "armed.new"), []byte(point), 0o600))
	must(h.t, os.Rename(filepath.Join(h.dir, "armed.new"), filepath.Join(h.dir, "armed")))
}

// disarm lets the program pass everywhere; one that stands goes on.
func (h halts) disarm() {
	h.t.Helper()
	h.remove("armed")
	h.remove("reached")
}

// goOn lets a program that stands go on; it may stop again.
func (h halts) goOn() {
	h.t.Helper()
	h.remove("reached")
}

func (h halts) remove(name string) {
	h.t.Helper()
	if err := os.Remove(filepath.Join(h.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Fatal(err)
	}
}

// reached returns the point at which the program stands.
func (h halts) reached() (string, bool) {
	b, err := os.ReadFile(filepath.Join(h.dir, "reached"))
	return string(b), err == nil
}

// wait waits until the program stands at a point.
func (h halts) wait(point string) {
	h.t.Helper()
	err := platform.Until(h.t.Context(), time.Minute, func() error {
		if _, ok := h.reached(); !ok {
			return fmt.Errorf("point %q isn't reached", point)
		}
		return nil
	})
	must(h.t, err)
}

// record forgets the points that were passed and keeps the folder ready to note the next ones.
func (h halts) record() {
	h.t.Helper()
	must(h.t, os.MkdirAll(h.dir, 0o700))
	h.remove("points")
}

// passed returns the points that were passed since record, in order.
func (h halts) passed() []string {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.dir, "points"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	must(h.t, err)
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
