package tests

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hostctl/reconciler/forge"
	"hostctl/reconciler/forge/forgetest"
	"hostctl/reconciler/git"
	"hostctl/reconciler/git/gittest"
	"hostctl/reconciler/web"
	"hostctl/tests/inmemory"
)

// BenchmarkWebhookToStatus measures how long a pull request of one changed file waits for its plan on the same platform:
// from the webhook's request until the forge has the status. In between the forge is asked, the commit fetched by git's own
// server over HTTP, merged, and planned. Nothing but the inventory and what hostd has read before is known.
func BenchmarkWebhookToStatus(b *testing.B) {
	p := newLargePlatform(b)
	p.apply(b)
	b.Run("edit", func(b *testing.B) { p.benchPullRequests(b, false) })
	p.edit(b)
	b.Run("base-not-applied", func(b *testing.B) { p.benchPullRequests(b, true) })
}

// benchPullRequests pushes to one pull request again and again.
func (p *largePlatform) benchPullRequests(b *testing.B, behind bool) {
	w, err := inmemory.Open(b.Context(), p.platform())
	must(b, err)
	defer func() { must(b, w.Close()) }()
	served := gittest.Serve(b, filepath.Dir(p.bare), gittest.Options{})
	log := slog.New(slog.DiscardHandler)
	mirror, err := git.OpenMirror(b.Context(), git.Remote{URL: served.URL + "/" + filepath.Base(p.bare), Branch: "main"}, filepath.Join(b.TempDir(), "mirror.git"), log)
	must(b, err)
	w.Source = mirror
	if changes := p.plan(b, w); (changes > 0) != behind {
		b.Fatalf("the branch's plan has %d changes", changes)
	}
	_ = exec.Command("git", "-C", p.work, "remote", "add", "origin", p.bare).Run() // it may be there
	far := forgetest.Serve(b, forge.GitHub, gittest.Of(b, p.bare, p.work))
	api, err := forge.New(forge.Options{Kind: forge.GitHub, URL: far.URL, Project: forgetest.Project, Token: func() (string, error) { return forgetest.Token, nil }})
	must(b, err)
	previews := &forge.Previews{
		Forge: api, Repository: mirror, Planner: w, Dir: b.TempDir(), Branch: "main", Instance: strings.Repeat("0", 32), Context: "hostctl",
		Poll: time.Hour, Log: log,
	}
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(b.Context())
	go func() { done <- previews.Run(ctx) }()
	defer func() {
		stop()
		must(b, <-done)
	}()
	hook := httptest.NewServer(web.Hooks(web.HookConfig{Log: log, Forges: map[string]web.Hook{"github": hookOf(previews)}}))
	defer hook.Close()
	b.ReportAllocs()
	before := processorTime(b)
	n := 0
	for b.Loop() {
		b.StopTimer()
		p.addRecord(b)
		p.commit(b, "One more record")
		head := gittest.Git(b, p.work, "rev-parse", "HEAD")
		far.Open(1, head)
		b.StartTimer()
		n++
		post(b, hook.URL+"/hooks/github", fmt.Sprintf(`{"action":"synchronize","number":1,"after":%q,"repository":{"full_name":%q}}`, head, forgetest.Project))
		waitForStatus(b, far, head)
	}
	b.ReportMetric((processorTime(b)-before).Seconds()/float64(n), "cpu-s/op")
}

const hookSecret = "the secret of a benchmark"

func hookOf(p *forge.Previews) web.Hook {
	return func(header http.Header, body []byte) (web.News, error) {
		hint, err := forge.ParseHook(forge.GitHub, header, body, []byte(hookSecret))
		return web.News{Delivery: hint.Delivery, Tell: func() { p.Look(hint.Pull) }}, err
	}
}

func post(b *testing.B, url, body string) {
	b.Helper()
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(body))
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader([]byte(body)))
	must(b, err)
	req.Header = http.Header{"X-Github-Event": {"pull_request"}, "X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}, "Content-Type": {"application/json"}}
	res, err := http.DefaultClient.Do(req)
	must(b, err)
	_, _ = io.Copy(io.Discard, res.Body)
	must(b, res.Body.Close())
	if res.StatusCode != http.StatusOK {
		b.Fatalf("the webhook is answered %s", res.Status)
	}
}

func waitForStatus(b *testing.B, far *forgetest.Server, commit string) {
	b.Helper()
	deadline := time.After(5 * time.Minute)
	for {
		all := far.Statuses(commit)
		if n := len(all); n > 0 && all[n-1].State != "pending" {
			if all[n-1].State != "success" {
				b.Fatalf("the status is %v", all[n-1])
			}
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			b.Fatalf("no status: %v", all)
		}
	}
}
