package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"hostctl/reconciler"
)

// drift looks at all far sides and answers with what was found.
func drift(l *reconciler.Loop, w http.ResponseWriter, r *http.Request) {
	d, err := l.Drift(r.Context())
	switch {
	case errors.Is(err, reconciler.ErrBusy):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		writeJSON(w, d)
	}
}

// driftMetrics are gauges of the latest look at all far sides.
func driftMetrics(reg prometheus.Registerer, l *reconciler.Loop) {
	gauge := func(name, help string, value func(reconciler.DriftSummary) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "hostctl", Subsystem: "drift", Name: name, Help: help},
			func() float64 { return value(l.LastDrift().Summary()) }))
	}
	gauge("looked_timestamp_seconds", "When all that the far sides hold was last looked at.", func(s reconciler.DriftSummary) float64 {
		if s.Looked.IsZero() {
			return 0
		}
		return float64(s.Looked.UnixMilli()) / 1000
	})
	gauge("objects", "Objects that are gone or differ from what was applied.", func(s reconciler.DriftSummary) float64 { return float64(s.Differs) })
	gauge("orphans", "Objects that nobody declared.", func(s reconciler.DriftSummary) float64 { return float64(s.Orphans) })
	gauge("fights", "Objects that are no longer corrected, for somebody undoes each correction.", func(s reconciler.DriftSummary) float64 { return float64(len(s.Fighting)) })
	gauge("unread_targets", "Targets that couldn't be looked at.", func(s reconciler.DriftSummary) float64 { return float64(s.Unread) })
}

// Drift asks hostd to look at all far sides now.
func (c *Client) Drift(ctx context.Context) (reconciler.Drift, error) {
	var d reconciler.Drift
	body, err := c.do(ctx, http.MethodGet, "/local/v1/drift", nil)
	if err != nil {
		return d, err
	}
	defer func() { _ = body.Close() }()
	return d, json.NewDecoder(body).Decode(&d)
}
