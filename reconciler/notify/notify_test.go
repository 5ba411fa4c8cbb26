package notify

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hostctl/reconciler"
	"hostctl/reconciler/outbox"
	"hostctl/schema"
)

const commit = "1111111111111111111111111111111111111111"

// world is a platform in trouble, and those who are told of it.
type world struct {
	testing.TB
	status   reconciler.Status
	troubles reconciler.Troubles
	audience reconciler.Audience
	secrets  map[string]string
	dir      string
	now      time.Time
}

func (w *world) Status() reconciler.Status     { return w.status }
func (w *world) Troubles() reconciler.Troubles { return w.troubles }
func (w *world) Audience(context.Context, string) (reconciler.Audience, error) {
	return w.audience, nil
}

func newWorld(t testing.TB, all ...schema.Notification) *world {
	return &world{
		TB: t, status: reconciler.Status{Applied: commit}, troubles: reconciler.Troubles{Tried: true, Looked: true}, secrets: map[string]string{},
		audience: reconciler.Audience{Platform: "hosting.test", Notifications: all}, dir: t.TempDir(), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}
}

// teller is a new one, as after a restart of hostd.
func (w *world) teller() *Teller {
	w.Helper()
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	box, err := outbox.Open(filepath.Join(w.dir, "outbox"), silent)
	if err != nil {
		w.Fatal(err)
	}
	t := &Teller{Source: w, Box: box, File: filepath.Join(w.dir, "told.json"), Log: silent, Reveal: w.reveal}
	if err := t.memory.load(t.File); err != nil {
		w.Fatal(err)
	}
	return t
}

func (w *world) reveal(_ context.Context, _ string, ref schema.SecretRef) (string, error) {
	if value, ok := w.secrets[ref.Key]; ok {
		return value + "\n", nil
	}
	return "", errors.New("no such value")
}

// pass lets a time go by, in which t looks every ten seconds.
func (w *world) pass(t *Teller, d time.Duration) {
	w.Helper()
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(10 * time.Second) {
		if err := t.look(context.Background(), w.now); err != nil {
			w.Fatal(err)
		}
	}
}

func secretOf(key string) *schema.Secret {
	return &schema.Secret{Ref: &schema.SecretRef{File: "notify.sops.yaml", Path: "platform/notify.sops.yaml", Key: key}}
}

func hook(name string, events ...schema.NotificationEvent) schema.Notification {
	if len(events) == 0 {
		events = schema.NotificationEvents
	}
	return schema.Notification{Name: name, Type: schema.NotifyWebhook, Events: events, URL: secretOf("url")}
}

// listener is a far side that remembers what it got.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	got    []Message
	raw    []*http.Request
	bodies [][]byte
	answer int
	header http.Header
}

func listen(t testing.TB) *listener {
	l := &listener{answer: http.StatusNoContent}
	l.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m Message
		_ = json.Unmarshal(body, &m)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.got, l.raw, l.bodies = append(l.got, m), append(l.raw, r), append(l.bodies, body)
		for k, v := range l.header {
			w.Header()[k] = v
		}
		w.WriteHeader(l.answer)
	}))
	l.Config.ErrorLog = log.New(io.Discard, "", 0)
	l.StartTLS()
	t.Cleanup(l.Close)
	return l
}

func (l *listener) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(l.Certificate())
	return pool
}

// waiting returns what waits in the outbox, by whom it is for.
func (w *world) waiting(t *Teller) map[string]Message {
	w.Helper()
	var mu sync.Mutex
	all := map[string]Message{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	want := t.Box.Waiting(Kind)
	go func() {
		ended <- t.Box.Deliver(ctx, map[string]outbox.Deliver{Kind: func(_ context.Context, key string, body json.RawMessage) error {
			var m Message
			err := json.Unmarshal(body, &m)
			mu.Lock()
			defer mu.Unlock()
			all[key] = m
			if len(all) == want {
				cancel()
			}
			return err
		}})
	}()
	if want == 0 {
		cancel()
	}
	if err := <-ended; err != nil {
		w.Fatal(err)
	}
	return all
}

func failing(tenants ...string) *reconciler.Trouble {
	t := &reconciler.Trouble{Commit: commit}
	for _, tenant := range tenants {
		t.Items = append(t.Items, reconciler.TroubleItem{Tenant: tenant, Object: "vhost/web-1-0/" + tenant + ".shop", Text: "nginx: no space left on device"})
	}
	return t
}

func TestATroubleIsToldWhenItBeginsAndWhenItEnds(t *testing.T) {
	w := newWorld(t, hook("all"), hook("failures", schema.OnRunFailed))
	w.audience.Notifications = append(w.audience.Notifications, func() schema.Notification { n := hook("beta"); n.Tenants = []string{"beta"}; return n }())
	teller := w.teller()
	w.pass(teller, time.Hour)
	if n := teller.Box.Waiting(Kind); n != 0 {
		t.Fatalf("%d messages, and nothing is wrong", n)
	}

	w.troubles.Failed = failing("acme")
	w.pass(teller, time.Minute)
	got := w.waiting(teller)
	m := got["all/runFailed"]
	if len(got) != 2 || m.Event != schema.OnRunFailed || m.Over || m.Commit != commit || m.Next != "hostctl status" || len(m.Items) != 1 || m.Items[0].Tenant != "acme" {
		t.Fatalf("%+v", got)
	}

	teller = w.teller() // hostd was restarted: it doesn't know yet how things stand, then that nothing is different
	w.troubles.Tried = false
	failed := w.troubles.Failed
	w.troubles.Failed = nil
	w.pass(teller, time.Minute)
	w.troubles.Tried, w.troubles.Failed = true, failed
	w.pass(teller, time.Hour)
	if got := w.waiting(teller); len(got) != 0 {
		t.Fatalf("told again: %+v", got)
	}

	w.troubles.Failed = failing("acme", "beta")
	w.pass(teller, time.Minute)
	if got := w.waiting(teller); len(got) != 3 || len(got["beta/runFailed"].Items) != 1 || got["beta/runFailed"].Items[0].Tenant != "beta" || len(got["all/runFailed"].Items) != 2 {
		t.Fatalf("%+v", got)
	}

	w.troubles.Failed = nil
	w.pass(teller, time.Minute)
	got = w.waiting(teller)
	if m := got["all/runFailed"]; len(got) != 2 || m.Event != schema.OnRecovered || m.Of != schema.OnRunFailed || !m.Over || got["beta/runFailed"].ID == m.ID {
		t.Fatalf("%+v", got)
	}
}

func TestEachTopicIsToldForItself(t *testing.T) {
	w := newWorld(t, hook("all"))
	teller := w.teller()
	w.troubles = reconciler.Troubles{Tried: true, Looked: true, Failed: failing("a"), Refused: failing("b"), Drift: failing("c")}
	w.pass(teller, time.Minute)
	var events []string
	for _, m := range w.waiting(teller) {
		events = append(events, string(m.Event))
	}
	slices.Sort(events)
	if want := []string{"driftFound", "guardRefused", "runFailed"}; !slices.Equal(events, want) {
		t.Errorf("%v, want %v", events, want)
	}
}

// deliver sends a message as the outbox would.
func (w *world) deliver(t *Teller, name string) error {
	m := newMessage("hosting.test", name, schema.OnRunFailed, begun, failing("acme"), w.now, w.now)
	body, err := json.Marshal(m)
	if err != nil {
		w.Fatal(err)
	}
	return t.Deliver(context.Background(), name+"/runFailed", body)
}

func TestAWebhookIsSigned(t *testing.T) {
	n := hook("tickets")
	n.SigningKey = secretOf("key")
	w, far := newWorld(t, n), listen(t)
	w.secrets = map[string]string{"url": far.URL + "/hooks/s3cret", "key": "the key"}
	teller := w.teller()
	teller.Roots = far.roots()
	if err := w.deliver(teller, "tickets"); err != nil {
		t.Fatal(err)
	}
	if err := teller.Test(t.Context(), "tickets"); err != nil {
		t.Fatal(err)
	}
	if err := teller.Test(t.Context(), "ticket"); err == nil || !strings.Contains(err.Error(), `no notification "ticket"; it has: tickets`) {
		t.Errorf("%v", err)
	}
	if len(far.got) != 2 || far.got[0].Event != schema.OnRunFailed || far.got[1].Event != OnTest || far.got[0].Title != "hosting.test: a run failed" {
		t.Fatalf("%+v", far.got)
	}
	r := far.raw[0]
	if want := "sha256=" + sign("the key", r.Header.Get(headerTimestamp), far.bodies[0]); r.Header.Get(headerSignature) != want || r.Header.Get(headerID) != far.got[0].ID {
		t.Errorf("%v, want the signature %s", r.Header, want)
	}
	w.audience.Notifications = nil
	var never *outbox.Never
	if err := w.deliver(teller, "tickets"); !errors.As(err, &never) {
		t.Errorf("somebody who is no longer told: %v", err)
	}
}

func TestAWebhookGoesNowhereElse(t *testing.T) {
	far := listen(t)
	port := far.URL[strings.LastIndexByte(far.URL, ':'):]
	for raw, want := range map[string]string{
		"http://chat.example.com/s3cret":          "https",
		"ftp://localhost/s3cret":                  "https",
		"https:///s3cret":                         "isn't a URL",
		"://s3cret":                               "isn't a URL",
		"https://[::ffff:169.254.169.254]/s3cret": "this machine, or its link",
		"https://169.254.169.254/s3cret":          "this machine, or its link",
		"https://0.0.0.0" + port + "/s3cret":      "this machine, or its link",
	} {
		w := newWorld(t, hook("tickets"))
		w.secrets["url"] = raw
		if err := w.deliver(w.teller(), "tickets"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %s", raw, err, want)
		}
	}
	elsewhere := listen(t)
	far.answer, far.header = http.StatusTemporaryRedirect, http.Header{"Location": {elsewhere.URL}}
	w := newWorld(t, hook("tickets"))
	w.secrets["url"] = far.URL + "/s3cret"
	teller := w.teller()
	if err := w.deliver(teller, "tickets"); err == nil || len(far.got) != 0 || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("to one whose certificate nobody knows: %v", err)
	}
	teller.Roots = far.roots()
	if err := w.deliver(teller, "tickets"); err == nil || !strings.Contains(err.Error(), "307") || len(elsewhere.got) != 0 {
		t.Errorf("%v, and %d messages elsewhere", err, len(elsewhere.got))
	}
}

func TestWhatAFarSideAnswers(t *testing.T) {
	far := listen(t)
	w := newWorld(t, hook("tickets"))
	w.secrets["url"] = far.URL
	teller := w.teller()
	teller.Roots = far.roots()
	for answer, want := range map[int]string{200: "done", 429: "later", 503: "later", 500: "again", 401: "again", 404: "again", 400: "never", 410: "never"} {
		far.answer, far.header = answer, http.Header{"Retry-After": {"90"}}
		err := w.deliver(teller, "tickets")
		var later *outbox.Later
		var never *outbox.Never
		got := "again"
		switch {
		case err == nil:
			got = "done"
		case errors.As(err, &later) && later.After == 90*time.Second:
			got = "later"
		case errors.As(err, &never):
			got = "never"
		}
		if got != want {
			t.Errorf("%d: %s (%v), want %s", answer, got, err, want)
		}
	}
}

func TestSlack(t *testing.T) {
	n := hook("chat")
	n.Type = schema.NotifySlack
	w, far := newWorld(t, n), listen(t)
	w.secrets["url"] = far.URL
	teller := w.teller()
	teller.Roots = far.roots()
	if err := w.deliver(teller, "chat"); err != nil {
		t.Fatal(err)
	}
	var body struct{ Text string }
	if err := json.Unmarshal(far.bodies[0], &body); err != nil {
		t.Fatal(err)
	}
	want := "*hosting.test: a run failed*\n```\ncommit 111111111111\nsince 2026-11-23 12:00:00 UTC\n\n" +
		"tenant acme: vhost/web-1-0/acme.shop: nginx: no space left on device\n\nto see more: hostctl status\n```"
	if body.Text != want {
		t.Errorf("got\n%s\nwant\n%s", body.Text, want)
	}
}

// A hostd that was stopped while another took over tells nothing when it goes on, and leaves alone what that remembers.
func TestOneWhoNoLongerLeadsTellsNothing(t *testing.T) {
	w := newWorld(t, hook("all"))
	teller := w.teller()
	succeeded := errors.New("another leads")
	teller.Box.Check = func() error { return succeeded }
	w.troubles.Failed = failing("acme")
	for range 10 {
		w.now = w.now.Add(time.Minute)
		if err := teller.look(t.Context(), w.now); !errors.Is(err, succeeded) {
			t.Fatalf("%v", err)
		}
	}
	if files, err := filepath.Glob(filepath.Join(w.dir, "*.json")); err != nil || len(files) > 0 || teller.Box.Waiting(Kind) > 0 {
		t.Errorf("%v, %v, and %d messages", files, err, teller.Box.Waiting(Kind))
	}
}
