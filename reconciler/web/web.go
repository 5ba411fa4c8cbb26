// Package web is hostd's HTTP side: health and metrics for whoever watches it, and, over a unix socket in the state
// folder, what hostctl and the hooks of the config repository ask.
package web

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
)

// Health serves /healthz (the process answers), /readyz (the newest commit is wholly true, or the reason why not) and
// /metrics, those of more included. It is safe to publish: it changes nothing and shows no content.
func Health(l *reconciler.Loop, more ...prometheus.Collector) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { ready(w, l.Status()) })
	mux.Handle("GET /metrics", metrics(l, more))
	return mux
}

// Part is something that answers beside the health pages.
type Part struct {
	Path    string // that its paths begin with
	Handler http.Handler
	Metrics prometheus.Collector
}

// Public serves Health, and beside it what has its own way of knowing who asks.
func Public(l *reconciler.Loop, parts ...Part) http.Handler {
	mux := http.NewServeMux()
	var more []prometheus.Collector
	for _, p := range parts {
		mux.Handle(p.Path, p.Handler)
		more = append(more, p.Metrics)
	}
	mux.Handle("/", Health(l, more...))
	return mux
}

func ready(w http.ResponseWriter, s reconciler.Status) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !s.Converged {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "not converged\n") // the reason may name tenants: it is told on the socket only
		return
	}
	_, _ = io.WriteString(w, "converged\n")
}

// metrics are gauges read from the loop at each scrape.
func metrics(l *reconciler.Loop, more []prometheus.Collector) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(more...)
	gauge := func(name, help string, value func(reconciler.Status) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "hostctl", Name: name, Help: help},
			func() float64 { return value(l.Status()) }))
	}
	gauge("converged", "1 when the newest commit is wholly true.", func(s reconciler.Status) float64 {
		if s.Converged {
			return 1
		}
		return 0
	})
	gauge("converged_changed_timestamp_seconds", "When hostctl_converged last changed.", func(s reconciler.Status) float64 {
		if s.Since.IsZero() {
			return 0
		}
		return float64(s.Since.UnixMilli()) / 1000
	})
	gauge("runs", "Runs since hostd started.", func(s reconciler.Status) float64 { return float64(s.Runs) })
	gauge("failures", "Failures since hostd started.", func(s reconciler.Status) float64 { return float64(s.Failed) })
	gauge("impossible_states", "Records of the inventory that can't be: a fault of hostctl's.", func(s reconciler.Status) float64 { return float64(len(s.Impossible)) })
	driftMetrics(reg, l)
	remoteMetrics(reg, l)
	reg.MustRegister(nodeCollector{l})
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// maxPlan bounds a plan that is handed over, in bytes.
const maxPlan = 1 << 30

// Local serves what those may do who can open the socket: the health pages, following a commit, asking for a pass,
// handing over a saved plan.
//
//	GET  /local/v1/status            reconciler.Status
//	GET  /local/v1/drift             reconciler.Drift: look at all far sides, and record nothing
//	GET  /local/v1/follow/{commit}   reconciler.Event after Event, one JSON document a line, until a final one
//	POST /local/v1/wake              look at the far sides and reconcile now
//	POST /local/v1/apply             a saved plan in, events out as in follow; ?break-glass=REASON asks for no signatures
//	POST /local/v1/plan              reconciler.Ask in, reconciler.Answer out: it plans, and changes nothing
func Local(l *reconciler.Loop) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", Health(l))
	mux.HandleFunc("GET /local/v1/status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, l.Status()) })
	mux.HandleFunc("GET /local/v1/drift", func(w http.ResponseWriter, r *http.Request) { drift(l, w, r) })
	mux.HandleFunc("GET /local/v1/follow/{commit}", func(w http.ResponseWriter, r *http.Request) { follow(l, w, r) })
	mux.HandleFunc("POST /local/v1/wake", func(http.ResponseWriter, *http.Request) { l.Retry() })
	mux.HandleFunc("POST /local/v1/apply", func(w http.ResponseWriter, r *http.Request) { apply(l, w, r) })
	mux.Handle("POST /local/v1/plan", newPlans(l))
	return mux
}

// follow serves the events of a commit. A client that is gone, and a loop that has stopped, end it early.
func follow(l *reconciler.Loop, w http.ResponseWriter, r *http.Request) {
	commit := r.PathValue("commit")
	if !isCommit(commit) {
		http.Error(w, fmt.Sprintf("%q is no commit id: 40 hex digits", commit), http.StatusBadRequest)
		return
	}
	_ = l.Follow(r.Context(), commit, eventWriter(w))
}

// isCommit reports whether s is a full commit id, of SHA-1 or SHA-256.
func isCommit(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && (len(s) == 40 || len(s) == 64)
}

func apply(l *reconciler.Loop, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPlan))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		http.Error(w, fmt.Sprintf("the plan has more than %d bytes", large.Limit), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	plan, err := planner.DecodePlan(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	send := eventWriter(w)
	tell := func(e reconciler.Event) { _ = send(e) }
	if q := r.URL.Query(); q.Has("break-glass") {
		err = l.BreakGlass(r.Context(), plan, q.Get("break-glass"), tell)
	} else {
		err = l.Apply(r.Context(), plan, tell)
	}
	final := reconciler.Event{Commit: plan.Commit, Kind: reconciler.EventApplied}
	if err != nil {
		final.Kind, final.Text = reconciler.EventRefused, err.Error()
		var failed *executors.RunError
		if errors.As(err, &failed) {
			final.Kind = reconciler.EventFailed
		}
	}
	_ = send(final)
}

// eventWriter writes events as lines of JSON, each at once.
func eventWriter(w http.ResponseWriter) func(reconciler.Event) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	_ = flush.Flush()
	return func(e reconciler.Event) error {
		if err := enc.Encode(e); err != nil {
			return err
		}
		return flush.Flush()
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
