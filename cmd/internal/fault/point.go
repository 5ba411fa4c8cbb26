//go:build faults

// Package fault names the points of a run at which the fault tests stop a program, to kill it there or to break what it
// is about to use.
package fault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// The files in the folder by which a test and the program speak.
const (
	passedFile  = "points"  // every point that was passed, a line each, in order
	armedFile   = "armed"   // where to stop: the name of a point, Begins and how a name begins, or Any
	reachedFile = "reached" // the point at which the program stands; it goes on when the file is gone
)

// Any in the file of the armed point stops the program at each point whose name isn't among those passed before.
const (
	Any    = "*"
	Begins = "^"
)

// folderVariable names the environment variable with the folder; nodes have theirs at a fixed place.
const (
	folderVariable = "HOSTCTL_FAULTS"
	nodeFolder     = "/run/hostctl-faults"
)

var (
	lock sync.Mutex // held while the program stands at a point: it then stands at every point
	seen map[string]bool
)

// Point notes that the program has come to a point, and stops there if a test wants that. Without the folder it does
// nothing.
func Point(name string) {
	dir := os.Getenv(folderVariable)
	if dir == "" {
		dir = nodeFolder
	}
	if _, err := os.Stat(dir); err != nil {
		return
	}
	lock.Lock()
	defer lock.Unlock()
	passed := filepath.Join(dir, passedFile)
	if seen == nil {
		seen = map[string]bool{}
		for _, line := range lines(passed) {
			seen[line] = true
		}
	}
	stop := slices.ContainsFunc(lines(filepath.Join(dir, armedFile)), func(armed string) bool { return meant(name, armed) })
	seen[name] = true
	must(appendLine(passed, name))
	if stop {
		stand(filepath.Join(dir, reachedFile), name)
	}
}

// meant reports whether to stop at a point.
func meant(name, armed string) bool {
	if start, ok := strings.CutPrefix(armed, Begins); ok {
		return strings.HasPrefix(name, start)
	}
	return armed == name || armed == Any && !seen[name]
}

// stand waits until a test has seen that the program is here, and lets it go on.
func stand(file, name string) {
	must(os.WriteFile(file+".new", []byte(name), 0o600))
	must(os.Rename(file+".new", file))
	for {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func lines(file string) []string {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	must(err)
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func appendLine(file, line string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// must ends a program under test that can't speak to its test.
func must(err error) {
	if err != nil {
		panic("fault points: " + err.Error())
	}
}
