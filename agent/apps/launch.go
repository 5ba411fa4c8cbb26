package apps

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hostctl/agent/limit"
	"hostctl/agent/logs"
	"hostctl/planner"
	"hostctl/schema"
)

const (
	socketFile = "sock"
	startsFile = "starts"
	// listenFD is where a program finds its socket: SD_LISTEN_FDS_START of sd_listen_fds(3).
	listenFD = 3
	backlog  = 511
	files    = 4096 // RLIMIT_NOFILE
)

// Exec becomes the program of a generation, whose app.json is at path: it makes the socket, takes the log for standard
// output and error, gives up root for good, and executes the program in its own place. A program that keeps ending is
// started with longer and longer pauses. It returns only an error.
func Exec(path string) error {
	runtime.LockOSThread() // no_new_privs is a thread's, and the one that executes the program needs it
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var l Launch
	if err := json.Unmarshal(data, &l); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	run := filepath.Join(l.Sockets, filepath.Base(filepath.Dir(path)))
	if err := pause(run); err != nil {
		return err
	}
	socket, err := listen(filepath.Join(run, socketFile), l.WebUID)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := takeLog(l); err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	hold, err := bounds(l)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := drop(l.UID, hold); err != nil {
		return fmt.Errorf("become user %d: %w", l.UID, err)
	}
	if err := os.Chdir(l.Dir); err != nil {
		return err
	}
	return become(l, socket)
}

// pause notes that the service starts, and waits where it has done so often.
func pause(run string) error {
	now := time.Now()
	recent, err := recentStarts(run, now)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(run, startsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(second(fmt.Fprintln(f, now.Unix())), f.Close()); err != nil {
		return err
	}
	if recent >= endings {
		time.Sleep(min(time.Second<<min(recent-endings, 5), 30*time.Second))
	}
	return nil
}

func second(_ int, err error) error { return err }

// recentStarts is how often a service was started within the last five minutes.
func recentStarts(run string, now time.Time) (int, error) {
	data, err := os.ReadFile(filepath.Join(run, startsFile))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	count := 0
	for line := range strings.Lines(string(data)) {
		at, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err == nil && now.Sub(time.Unix(at, 0)) < 5*time.Minute {
			count++
		}
	}
	return count, nil
}

// listen makes the socket, for one user alone to connect to.
func listen(path string, owner int) (int, error) {
	if err := unlink(path); err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	old := unix.Umask(0o177)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	unix.Umask(old)
	if err != nil {
		return 0, err
	}
	return fd, errors.Join(os.Chown(path, owner, -1), unix.Listen(fd, backlog))
}

// takeLog makes the site's log what is written to standard output and error. Its folder is root's.
func takeLog(l Launch) error {
	if err := logs.Make(l.Log, l.UID); err != nil {
		return err
	}
	fd, err := unix.Open(l.Log, unix.O_WRONLY|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Dup3(fd, 1, 0), unix.Dup3(fd, 2, 0))
}

// bounds are the limits of what a tenant's user runs. A kernel that is short of memory ends it before what is the node's own.
func bounds(l Launch) (limit.Process, error) {
	o, err := planner.Decode(l.Object)
	if err != nil {
		return limit.Process{}, err
	}
	r, ok := o.(planner.Runtime)
	if !ok {
		return limit.Process{}, fmt.Errorf("it describes a %s", o.Ref().Kind)
	}
	return limit.Of(r), os.WriteFile("/proc/self/oom_score_adj", []byte(limit.OOMScore), 0o600)
}

// drop gives up root: no group but the tenant's own, no capability that is left to be had again (no_new_privs), and limits.
func drop(uid int, hold limit.Process) error {
	limits := map[int]uint64{unix.RLIMIT_NOFILE: files, unix.RLIMIT_NPROC: hold.Tasks, unix.RLIMIT_DATA: hold.Data, unix.RLIMIT_CORE: 0}
	for what, n := range limits {
		var have unix.Rlimit
		if err := unix.Getrlimit(what, &have); err != nil {
			return err
		}
		n = min(n, have.Max)
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	unix.Umask(0o027)
	return errors.Join(
		unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
		syscall.Setgroups([]int{uid}), syscall.Setgid(uid), syscall.Setuid(uid), // of all threads
	)
}

// become executes the program.
func become(l Launch, socket int) error {
	argv := l.Argv
	if len(argv) == 0 {
		argv = usual(filepath.Base(filepath.Dir(l.Bin)))
	}
	env := inVenv(l)
	program, err := find(argv[0], env)
	if err != nil {
		return err
	}
	env = append(env, "LISTEN_FDS=1", "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	if err := unix.Dup3(socket, listenFD, 0); err != nil {
		return err
	}
	return fmt.Errorf("execute %s: %w", program, unix.Exec(program, argv, env))
}

// usual is the command of a site that names none, by what is in its folder.
func usual(folder string) []string {
	kind, _, _ := strings.Cut(folder, "-")
	switch schema.RuntimeType(kind) {
	case schema.RuntimePython:
		if exists("wsgi.py") {
			return []string{"gunicorn", "--threads=4", "wsgi"}
		}
		return []string{"gunicorn", "--threads=4", "app:app"}
	case schema.RuntimeRuby:
		return []string{"puma", "--bind-to-activated-sockets", "only", "config.ru"}
	default: // node reads main from package.json, and else takes index.js
		if exists("server.js") {
			return []string{"node", "server.js"}
		}
		return []string{"node", "."}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// inVenv is a program's environment; where the site has a virtual environment of python's, its programs come first.
func inVenv(l Launch) []string {
	env := slices.Clone(l.Env)
	for _, dir := range []string{"venv", ".venv"} {
		venv := filepath.Join(l.Dir, dir)
		if !strings.HasPrefix(filepath.Base(filepath.Dir(l.Bin)), "python-") || !exists(filepath.Join(venv, "bin", "python")) {
			continue
		}
		for i, v := range env {
			if path, ok := strings.CutPrefix(v, "PATH="); ok {
				env[i] = "PATH=" + filepath.Join(venv, "bin") + ":" + path
			}
		}
		return append(env, "VIRTUAL_ENV="+venv)
	}
	return env
}

// find returns the path of a program: one with a slash in it is below the site's folder, another one is looked for in PATH.
func find(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return filepath.Abs(name)
	}
	for _, v := range env {
		path, ok := strings.CutPrefix(v, "PATH=")
		for dir := range strings.SplitSeq(path, ":") {
			file := filepath.Join(dir, name)
			if !ok {
				break
			}
			if _, err := exec.LookPath(file); err == nil {
				return file, nil
			}
		}
	}
	return "", fmt.Errorf("program %q: %w", name, exec.ErrNotFound)
}
