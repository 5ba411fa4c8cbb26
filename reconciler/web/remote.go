package web

import (
	"github.com/prometheus/client_golang/prometheus"

	"hostctl/reconciler"
)

// remoteMetrics are gauges of the repository that is followed; there are none where it is on this machine.
func remoteMetrics(reg prometheus.Registerer, l *reconciler.Loop) {
	if l.Status().Remote == nil {
		return
	}
	gauge := func(name, help string, value func(reconciler.RemoteStatus) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "hostctl", Subsystem: "remote", Name: name, Help: help},
			func() float64 { return value(*l.Status().Remote) }))
	}
	gauge("failing", "1 when the remote repository couldn't be read the last time.", func(s reconciler.RemoteStatus) float64 {
		if s.Error != "" {
			return 1
		}
		return 0
	})
	gauge("read_timestamp_seconds", "When the remote repository was last read.", func(s reconciler.RemoteStatus) float64 {
		if s.Read.IsZero() {
			return 0
		}
		return float64(s.Read.UnixMilli()) / 1000
	})
}
