package web_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hostctl/reconciler"
	"hostctl/reconciler/web"
)

// hooked is a handler of webhooks, and how often it has told something.
type hooked struct {
	*web.HookHandler
	told int
}

func newHooked() *hooked {
	h := &hooked{}
	h.HookHandler = web.Hooks(web.HookConfig{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Forges: map[string]web.Hook{
		"gitea": func(header http.Header, body []byte) (web.News, error) {
			switch {
			case header.Get("Signature") != "good":
				return web.News{}, fmt.Errorf("gitea: %w", web.ErrUnsigned)
			case string(body) == "star":
				return web.News{}, web.ErrNoNews
			case string(body) == "panic":
				panic("index out of range")
			case string(body) == "{":
				return web.News{}, io.ErrUnexpectedEOF
			}
			return web.News{Delivery: string(body), Tell: func() { h.told++ }}, nil
		},
	}})
	return h
}

func (h *hooked) post(path, from, signature, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.RemoteAddr = from
	r.Header.Set("Signature", signature)
	r.Header.Set("X-Forwarded-For", "198.51.100.1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHooks(t *testing.T) {
	h := newHooked()
	for _, c := range []struct {
		name, path, signature, body string
		status, told                int
	}{
		{"news", "/hooks/gitea", "good", "1", http.StatusOK, 1},
		{"the same again", "/hooks/gitea", "good", "1", http.StatusOK, 1},
		{"other news", "/hooks/gitea", "good", "2", http.StatusOK, 2},
		{"not signed", "/hooks/gitea", "bad", "3", http.StatusUnauthorized, 2},
		{"no news", "/hooks/gitea", "good", "star", http.StatusNoContent, 2},
		{"a panic", "/hooks/gitea", "good", "panic", http.StatusInternalServerError, 2},
		{"not to be read", "/hooks/gitea", "good", "{", http.StatusBadRequest, 2},
		{"too large", "/hooks/gitea", "good", strings.Repeat("x", 1<<20+1), http.StatusRequestEntityTooLarge, 2},
		{"another forge", "/hooks/sourcehut", "good", "4", http.StatusNotFound, 2},
		{"after a panic", "/hooks/gitea", "good", "5", http.StatusOK, 3},
	} {
		w := h.post(c.path, "192.0.2.1:1234", c.signature, c.body)
		if w.Code != c.status || h.told != c.told {
			t.Errorf("%s: %d, and told %d times; want %d and %d", c.name, w.Code, h.told, c.status, c.told)
		}
		if text := w.Body.String(); c.status == http.StatusUnauthorized && text != "Unauthorized\n" {
			t.Errorf("who isn't known is told %q", text)
		}
	}
	if w := httptest.NewRecorder(); true {
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/hooks/gitea", nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("GET: %d", w.Code)
		}
	}
	w := httptest.NewRecorder()
	web.Health(&reconciler.Loop{Reconciler: &reconciler.Reconciler{}}, h).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{`{forge="gitea",result="told"} 3`, `result="replayed"} 1`, `result="unsigned"} 1`, `result="panicked"} 1`, `result="too_large"} 1`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestASourceThatSendsTooMuchIsToldToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHooked()
		status := func(from string) int { return h.post("/hooks/gitea", from, "bad", "").Code }
		for status("192.0.2.1:1234") != http.StatusTooManyRequests {
			if h.told++; h.told > 1000 {
				t.Fatal("a source may send as much as it likes")
			}
		}
		for from, want := range map[string]int{
			"192.0.2.1:1235": http.StatusTooManyRequests, "192.0.2.2:1234": http.StatusUnauthorized, "[2001:db8::1]:1": http.StatusUnauthorized,
		} {
			if got := status(from); got != want {
				t.Errorf("%s: %d, want %d", from, got, want)
			}
		}
		for n := 0; status(fmt.Sprintf("[2001:db8::%x]:1", n)) != http.StatusTooManyRequests; n++ {
			if n > 1000 {
				t.Fatal("a host with a network of its own may send as much as it likes")
			}
		}
		for n := range 10_000 { // others fill the memory, and keep nobody out
			status(fmt.Sprintf("10.%d.%d.1:1", n/256, n%256))
		}
		time.Sleep(time.Minute)
		if got := status("192.0.2.1:1234"); got != http.StatusUnauthorized {
			t.Errorf("after a minute: %d", got)
		}
	})
}

func TestADeliveryIsForgottenAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHooked()
		for _, wait := range []time.Duration{0, 59 * time.Minute, 2 * time.Minute} {
			time.Sleep(wait)
			h.post("/hooks/gitea", "192.0.2.1:1234", "good", "1")
		}
		if h.told != 2 {
			t.Errorf("told %d times, want 2", h.told)
		}
	})
}

func TestOneWhoStandsByTakesNoWebhooks(t *testing.T) {
	w := httptest.NewRecorder()
	web.Standby().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/hooks/gitea", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", w.Code)
	}
}
