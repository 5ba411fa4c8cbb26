package git_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hostctl/reconciler/git"
	"hostctl/reconciler/git/gittest"
)

// killedDir and killedURL in the environment make the test below a process that follows a remote until it is killed.
const killedDir, killedURL = "HOSTCTL_TEST_MIRROR_DIR", "HOSTCTL_TEST_MIRROR_URL"

// A mirror whose process is killed while a fetch comes in, or just after, opens, is at a commit that is all there, and goes
// on to the newest.
func TestMirrorKilled(t *testing.T) {
	how := git.Remote{URL: os.Getenv(killedURL), Every: time.Hour}
	if dir := os.Getenv(killedDir); dir != "" {
		m, err := git.OpenMirror(t.Context(), how, dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		_ = m.Watch(t.Context(), func() {})
		return
	}
	root, dir := t.TempDir(), filepath.Join(t.TempDir(), "m")
	r := gittest.New(t, root, "a.git")
	whole := gittest.Serve(t, root, gittest.Options{})
	s := gittest.Serve(t, root, gittest.Options{})
	var pushed []string
	for i, share := range []float64{0, 0.2, 0.5, 0.9, 0.99, 1, 1, 1} {
		for _, name := range []string{"a", "b", "c"} {
			r.Write(filepath.Join(name, string(rune('a'+i))), name+string(make([]byte, 1000*i)))
		}
		pushed = append(pushed, r.Commit("more"))
		r.Push("HEAD:main")
		sent := make(chan struct{}, 1)
		s.Break(func(w http.ResponseWriter, req *http.Request) bool {
			return sendShare(t, w, req, whole.URL, share, sent)
		})
		child := exec.Command(os.Args[0], "-test.run=^TestMirrorKilled$")
		child.Env = append(os.Environ(), killedDir+"="+dir, killedURL+"="+s.URL+"/a.git")
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-sent:
		case <-time.After(time.Minute):
			t.Error("the process asks for nothing")
		}
		if err := child.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = child.Wait()
		source, err := git.Open(dir, "main")
		if err != nil {
			t.Fatalf("killed after %v of a fetch: %v", share, err)
		}
		if head, err := source.Head(t.Context()); err == nil {
			if !slices.Contains(pushed, head) {
				t.Errorf("it is at %s, which was never pushed", head)
			}
			gittest.Git(t, dir, "rev-list", "--objects", head)
		}
	}
	s.Break(nil)
	how.URL = s.URL + "/a.git"
	m, err := git.OpenMirror(t.Context(), how, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	follow(t, m)
	untilHead(t, m, pushed[len(pushed)-1])
	gittest.Git(t, dir, "fsck", "--full", "--strict")
}

// sendShare answers a request for objects by the first part of what the whole server answers, says so, and, where that
// isn't all, sends no more.
func sendShare(t *testing.T, w http.ResponseWriter, req *http.Request, whole string, share float64, sent chan<- struct{}) bool {
	if req.Method != http.MethodPost {
		return false
	}
	ctx, cancel := context.WithTimeout(req.Context(), time.Minute)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, whole+req.URL.RequestURI(), req.Body)
	if err != nil {
		t.Error(err)
		return true
	}
	ask.Header.Set("Content-Type", req.Header.Get("Content-Type"))
	res, err := http.DefaultClient.Do(ask)
	if err != nil {
		return true // the process is gone
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return true
	}
	w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
	_, _ = w.Write(body[:int(share*float64(len(body)))])
	_ = http.NewResponseController(w).Flush()
	select {
	case sent <- struct{}{}:
	default:
	}
	if share < 1 {
		<-ctx.Done()
	}
	return true
}
