package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// farSide takes messages, and fails as it is told to.
type farSide struct {
	mu     sync.Mutex
	got    map[string][]int // by key
	busy   map[string]bool
	down   bool
	slow   time.Duration
	wrong  []string // what must not happen
	now    int      // deliveries under way
	most   int
	answer error // where it isn't down
}

func newFarSide() *farSide { return &farSide{got: map[string][]int{}, busy: map[string]bool{}} }

func (f *farSide) take(ctx context.Context, key string, body json.RawMessage) error {
	var n int
	if err := json.Unmarshal(body, &n); err != nil {
		return err
	}
	down, slow, answer := f.begin(key)
	defer f.end(key)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(slow):
	}
	if down {
		return errors.New("503")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := f.got[key]; len(got) > 0 && got[len(got)-1] > n {
		f.wrong = append(f.wrong, fmt.Sprintf("%s: %d came after %d", key, n, got[len(got)-1]))
	}
	f.got[key] = append(f.got[key], n)
	return answer
}

func (f *farSide) begin(key string) (bool, time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy[key] {
		f.wrong = append(f.wrong, key+" is delivered by two at once")
	}
	f.busy[key] = true
	f.now++
	f.most = max(f.most, f.now)
	return f.down, f.slow, f.answer
}

func (f *farSide) end(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy[key] = false
	f.now--
}

func (f *farSide) last(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := f.got[key]; len(got) > 0 {
		return got[len(got)-1]
	}
	return 0
}

func silent() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// running delivers what a box holds until stop is called.
func running(b *Box, f *farSide) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Deliver(ctx, map[string]Deliver{"news": f.take}) }()
	return func() error { cancel(); return <-ended }
}

func open(t testing.TB, dir string) *Box {
	t.Helper()
	b, err := Open(dir, silent())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, b *Box, key string, n int) {
	t.Helper()
	if err := b.Put(context.Background(), Message{Kind: "news", Key: key, Body: json.RawMessage(fmt.Sprint(n))}); err != nil {
		t.Fatal(err)
	}
}

// Whatever happens to the far side and the process: what was put is delivered in the end, the newest of a key comes last,
// and no key is delivered by two at once.
func TestNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(r *rapid.T) { history(t, r) })
	})
}

var errKilled = errors.New("killed")

func history(t *testing.T, r *rapid.T) {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		r.Fatal(err)
	}
	far, want := newFarSide(), map[string]int{}
	b := open(t, dir)
	stop := running(b, far)
	defer func() { _ = stop() }()
	for n := range rapid.IntRange(1, 30).Draw(r, "steps") {
		key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "key")
		switch rapid.SampledFrom([]string{"put", "put", "put", "killed", "restart", "down", "up", "slow", "wait"}).Draw(r, "step") {
		case "put":
			put(t, b, key, n+1)
			want[key] = n + 1
		case "killed": // after the message was written, and before it has its name
			b.rename = func(string, string) error { return errKilled }
			if err := b.Put(context.Background(), Message{Kind: "news", Key: key, Body: json.RawMessage("-1")}); !errors.Is(err, errKilled) {
				r.Fatalf("put returned %v", err)
			}
			if err := os.WriteFile(filepath.Join(dir, newFile+"1"), []byte(`{"ki`), 0o600); err != nil {
				r.Fatal(err)
			}
			fallthrough
		case "restart":
			if err := stop(); err != nil {
				r.Fatal(err)
			}
			b = open(t, dir)
			stop = running(b, far)
		case "down", "up":
			far.mu.Lock()
			far.down = !far.down
			far.mu.Unlock()
		case "slow":
			far.mu.Lock()
			far.slow = time.Duration(rapid.IntRange(0, 90).Draw(r, "slow")) * time.Second
			far.mu.Unlock()
		case "wait":
			time.Sleep(time.Duration(rapid.IntRange(1, 600).Draw(r, "wait")) * time.Second)
		}
		synctest.Wait()
	}
	far.mu.Lock()
	far.down, far.slow = false, 0
	far.mu.Unlock()
	time.Sleep(2 * lastRetry)
	for key, n := range want {
		if got := far.last(key); got != n {
			r.Fatalf("%s: %d was delivered last, want %d", key, got, n)
		}
	}
	if len(far.wrong) > 0 {
		r.Fatal(strings.Join(far.wrong, "; "))
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 || b.Waiting("news") > 0 {
		r.Fatalf("left over: %v %v", left, err)
	}
}

func TestAFarSideSaysWhenItWantsToBeAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarSide()
		far.answer = &Later{After: 90 * time.Second}
		b := open(t, t.TempDir())
		stop := running(b, far)
		put(t, b, "a", 1)
		synctest.Wait()
		put(t, b, "a", 2) // a newer one waits as long
		time.Sleep(89 * time.Second)
		if got := far.last("a"); got != 1 {
			t.Fatalf("%d was sent before its time", got)
		}
		far.mu.Lock()
		far.answer = nil
		far.mu.Unlock()
		time.Sleep(time.Minute)
		if got := far.last("a"); got != 2 || b.Waiting("news") != 0 {
			t.Fatalf("%d was delivered last, and %d wait", got, b.Waiting("news"))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWhatCannotBeDeliveredIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFarSide()
		far.answer = fmt.Errorf("post: %w", &Never{errors.New("404: there is no such pull request")})
		b := open(t, t.TempDir())
		stop := running(b, far)
		put(t, b, "a", 1)
		time.Sleep(time.Hour)
		far.mu.Lock()
		if got := far.got["a"]; len(got) != 1 || b.Waiting("news") != 0 {
			t.Errorf("it was tried %d times, and %d wait", len(got), b.Waiting("news"))
		}
		far.mu.Unlock()
		far.mu.Lock()
		far.down = true
		far.mu.Unlock()
		if err := b.Put(t.Context(), Message{Kind: "news", Key: "b", Body: json.RawMessage("1"), Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		if b.Waiting("news") != 0 {
			t.Error("a message waits beyond its time")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// A far side that hangs is given up after a while, holds a few places only, and keeps no other kind from being delivered.
func TestAFarSideThatHangsHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung, well := newFarSide(), newFarSide()
		hung.slow = time.Hour
		b := open(t, t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- b.Deliver(ctx, map[string]Deliver{"news": hung.take, "well": well.take,
				"faulty": func(context.Context, string, json.RawMessage) error { panic("index out of range") }})
		}()
		for n := range 20 {
			put(t, b, fmt.Sprint(n), 1)
		}
		for _, kind := range []string{"well", "faulty", "nobody's"} {
			if err := b.Put(ctx, Message{Kind: kind, Key: "a", Body: json.RawMessage("1")}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if well.last("a") != 1 {
			t.Error("the far side that answers got nothing")
		}
		synctest.Wait()
		hung.mu.Lock()
		if hung.most != atOnce {
			t.Errorf("%d deliveries at once, want %d", hung.most, atOnce)
		}
		hung.mu.Unlock()
		time.Sleep(20 * time.Minute)
		if b.Waiting("news") != 20 || b.Waiting("faulty") != 1 || b.Waiting("nobody's") != 1 {
			t.Error("a message that wasn't delivered is gone")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

func TestOneWhoNoLongerLeadsWritesAndSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, far, succeeded := t.TempDir(), newFarSide(), errors.New("another leads")
		far.slow = 10 * time.Second
		b := open(t, dir)
		leads := true
		b.Check = func() error {
			if leads {
				return nil
			}
			return succeeded
		}
		ended := make(chan error, 1)
		go func() { ended <- b.Deliver(t.Context(), map[string]Deliver{"news": far.take}) }()
		put(t, b, "a", 1)
		put(t, b, "b", 1)
		synctest.Wait()
		leads = false
		if err := b.Put(t.Context(), Message{Kind: "news", Key: "c", Body: json.RawMessage("1")}); !errors.Is(err, succeeded) {
			t.Errorf("put returned %v", err)
		}
		if err := <-ended; !errors.Is(err, succeeded) {
			t.Errorf("deliver returned %v", err)
		}
		if after := open(t, dir); after.Waiting("news") != 2 {
			t.Errorf("the successor finds %d messages, want 2", after.Waiting("news"))
		}
	})
}

func TestABoxIsForNobodyElse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	b := open(t, dir)
	put(t, b, "../../a", 1)
	for _, path := range []string{dir, b.path(id{"news", "../../a"})} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := open(t, dir); again.Waiting("news") != 1 {
		t.Error("a file that is no message hides one that is")
	}
	for _, m := range []Message{{Key: "a", Body: json.RawMessage("1")}, {Kind: "news", Body: json.RawMessage("1")}, {Kind: "news", Key: "a", Body: json.RawMessage("{")}} {
		if err := b.Put(t.Context(), m); err == nil {
			t.Errorf("%+v was put", m)
		}
	}
}
