package web

import (
	"io"
	"net/http"
)

// Standby serves the health pages of a hostd that stands by while another one leads: it is healthy, and not ready.
func Standby() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "standby", http.StatusServiceUnavailable) })
	mux.HandleFunc("/hooks/", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "standby", http.StatusServiceUnavailable) })
	return mux
}
