package web

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What is wrong with a webhook. Any other error of a Hook is a payload that can't be read.
var (
	ErrUnsigned = errors.New("the webhook isn't signed")
	ErrNoNews   = errors.New("the webhook says nothing that matters")
)

// Hook reads a webhook of one forge, once it has seen that it is signed: ErrUnsigned where it isn't.
type Hook func(header http.Header, body []byte) (News, error)

// News is what a webhook says.
type News struct {
	Delivery string // the same when it is sent again
	Tell     func() // tells it; must not block
}

// HookConfig is what Hooks serves.
type HookConfig struct {
	Forges map[string]Hook // by the name in the path
	Log    *slog.Logger
}

// The bounds of what anybody may send who reaches the public listener.
const (
	maxHook      = 1 << 20          // bytes of a body
	hooksAtOnce  = 16               // bodies that are read side by side
	hookPatience = 10 * time.Second // for the body to arrive
	replayWindow = time.Hour
	maxReplays   = 4096 // deliveries that are remembered
)

// HookHandler serves POST /hooks/{forge}. It is a prometheus.Collector of how they ended.
type HookHandler struct {
	HookConfig
	results *prometheus.CounterVec
	limiter *limiter
	seen    *recent
	places  chan struct{}
	mux     *http.ServeMux
}

// Hooks returns the handler of webhooks. Nothing that one says is believed: it tells where to look. A delivery that comes
// again within an hour is answered and does nothing. Who sends too many is told to wait; by address, whatever it says of
// others for whom it forwards.
func Hooks(c HookConfig) *HookHandler {
	h := &HookHandler{
		HookConfig: c, limiter: newLimiter(), seen: newRecent(replayWindow, maxReplays),
		places: make(chan struct{}, hooksAtOnce), mux: http.NewServeMux(),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "hostctl", Name: "webhooks_total", Help: "Webhooks, by how they ended."}, []string{"forge", "result"}),
	}
	h.mux.HandleFunc("POST /hooks/{forge}", h.serve)
	return h
}

// Describe implements prometheus.Collector.
func (h *HookHandler) Describe(d chan<- *prometheus.Desc) { h.results.Describe(d) }

// Collect implements prometheus.Collector.
func (h *HookHandler) Collect(m chan<- prometheus.Metric) { h.results.Collect(m) }

// ServeHTTP implements http.Handler.
func (h *HookHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// outcome is how a webhook ended. Its text says no more than its status: who isn't known learns nothing from it.
type outcome struct {
	result string
	status int
}

var (
	hookTold      = outcome{"told", http.StatusOK}
	hookReplayed  = outcome{"replayed", http.StatusOK}
	hookIgnored   = outcome{"ignored", http.StatusNoContent}
	hookUnsigned  = outcome{"unsigned", http.StatusUnauthorized}
	hookMalformed = outcome{"malformed", http.StatusBadRequest}
	hookTooLarge  = outcome{"too_large", http.StatusRequestEntityTooLarge}
	hookLimited   = outcome{"limited", http.StatusTooManyRequests}
	hookBusy      = outcome{"busy", http.StatusServiceUnavailable}
	hookPanicked  = outcome{"panicked", http.StatusInternalServerError}
)

func (h *HookHandler) serve(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("forge")
	hook, ok := h.Forges[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	o := h.take(w, r, name, hook)
	h.results.WithLabelValues(name, o.result).Inc()
	switch {
	case o == hookLimited || o == hookBusy:
		w.Header().Set("Retry-After", "60")
	case o.status == http.StatusNoContent:
		w.WriteHeader(o.status)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(o.status)
	_, _ = io.WriteString(w, http.StatusText(o.status)+"\n")
}

// take reads one webhook and tells what it says. A panic is the end of this one only.
func (h *HookHandler) take(w http.ResponseWriter, r *http.Request, name string, hook Hook) (o outcome) {
	if !h.limiter.allow(r.RemoteAddr) {
		return hookLimited
	}
	select {
	case h.places <- struct{}{}:
		defer func() { <-h.places }()
	default:
		return hookBusy
	}
	defer func() {
		if p := recover(); p != nil {
			h.Log.Error("a webhook met a fault of hostctl's", "forge", name, "fault", fmt.Sprint(p))
			o = hookPanicked
		}
	}()
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(hookPatience)) // where there is a connection
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return hookTooLarge
	case err != nil:
		return hookMalformed
	}
	news, err := hook(r.Header, body)
	switch {
	case errors.Is(err, ErrUnsigned):
		return hookUnsigned
	case errors.Is(err, ErrNoNews):
		return hookIgnored
	case err != nil:
		h.Log.Warn("a webhook can't be read", "forge", name, "error", err)
		return hookMalformed
	case !h.seen.add(name + " " + news.Delivery):
		return hookReplayed
	}
	news.Tell()
	return hookTold
}
