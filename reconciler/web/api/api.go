package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hostctl/planner"
	"hostctl/reconciler"
)

// Store is what the API reads of an inventory.
type Store interface {
	reconciler.Inventory
	reconciler.Pager
	reconciler.Stamper
	Plan(ctx context.Context, hash string) (planner.Plan, error)
}

// API answers under /api/v1. Its fields are set once, before use.
type API struct {
	Loop   *reconciler.Loop // of the hostd that leads
	Store  Store
	Tokens *Tokens
	Audit  *Audit
	Log    *slog.Logger

	Done <-chan struct{}  // closed when it leads no more: streams end; nil: never
	Now  func() time.Time // nil: time.Now

	once     sync.Once
	mux      *http.ServeMux
	routes   map[string]*route // by pattern
	requests *prometheus.CounterVec
	plans    chan struct{} // slots of those who have a whole plan in memory
	streams  streams
	marks    marks
	declared declared
}

// root is where the API stands.
const root = "/api/v1"

// The bounds of a request.
const (
	maxQuery  = 4 << 10 // bytes
	giveUp    = 30 * time.Second
	plansHeld = 2
)

func (a *API) init() {
	a.once.Do(func() {
		a.mux, a.routes = http.NewServeMux(), map[string]*route{}
		for _, r := range routes {
			pattern := "GET " + root + r.Path
			a.routes[pattern] = &r
			a.mux.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { a.serve(&r, w, req) }))
		}
		a.plans = make(chan struct{}, plansHeld)
		a.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "hostctl", Subsystem: "api", Name: "requests_total", Help: "Requests of the API by route and class of status.",
		}, []string{"route", "class"})
	})
}

// Metrics are counters of requests. They name routes, and never who asked for what.
func (a *API) Metrics() prometheus.Collector {
	a.init()
	return a.requests
}

// caller is the key of who asks in a request's context.
type caller struct{}

// ServeHTTP implements http.Handler. Who asks is known before anything else is looked at.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.init()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(a.now().Add(giveUp)) // a recorder of a test has none
	_ = control.SetWriteDeadline(a.now().Add(giveUp))
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Authorization")
	if p := plain(r); p != nil {
		a.refuse(w, r, "", Identity{}, p)
		return
	}
	_, pattern := a.mux.Handler(r)
	found := a.routes[pattern]
	if found != nil && found.For == anybody {
		a.mux.ServeHTTP(w, r)
		return
	}
	who, p := a.identify(r)
	switch {
	case p != nil:
		h.Set("WWW-Authenticate", `Bearer realm="hostctl"`)
		a.refuse(w, r, "", who, p)
	case !found.sees(who):
		a.refuse(w, r, "", who, notFound())
	default:
		a.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), caller{}, who)))
	}
}

// plain refuses what no request of the API has.
func plain(r *http.Request) *Problem {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return problem(http.StatusMethodNotAllowed, "this API is for reading: GET and HEAD; what is to change is written into the repository")
	case r.ContentLength != 0:
		return problem(http.StatusBadRequest, "a request of this API has no body")
	case len(r.URL.RawQuery) > maxQuery:
		return problem(http.StatusRequestURITooLong, "the query has more than %d bytes", maxQuery)
	}
	return nil
}

// presented returns the bearer token of a request, "" where there is none.
func presented(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}

// identify returns who asks, by the bearer token.
func (a *API) identify(r *http.Request) (Identity, *Problem) {
	token := presented(r)
	if token == "" {
		return Identity{}, problem(http.StatusUnauthorized, "send a token: Authorization: Bearer %s…; 'hostctl token create' makes one", prefix)
	}
	who, ok, err := a.Tokens.Find(token, a.now())
	switch {
	case err != nil:
		a.Log.Error("api: nobody is let in", "error", err)
		return Identity{}, problem(http.StatusServiceUnavailable, "the tokens can't be read")
	case !ok:
		return Identity{}, problem(http.StatusUnauthorized, "the token is wrong, revoked or expired")
	}
	return who, nil
}

// serve answers one route.
func (a *API) serve(rt *route, w http.ResponseWriter, r *http.Request) {
	who, _ := r.Context().Value(caller{}).(Identity)
	c := &call{API: a, ctx: r.Context(), r: r, w: w, route: rt, who: who, whose: who.Scope.Whose()}
	defer func() {
		if e := recover(); e != nil {
			a.Log.Error("api: a request broke", "route", rt.Path, "panic", e)
			a.refuse(w, r, rt.Path, who, problem(http.StatusInternalServerError, "a fault of hostd's; its log tells more"))
		}
	}()
	var err error
	if c.query, err = rt.readQuery(r.URL); err == nil {
		err = c.narrow()
	}
	if err == nil && rt.Stream != nil {
		if err = rt.Stream(c); err == nil {
			return
		}
	}
	var answer any
	if err == nil {
		answer, err = rt.Handle(c)
	}
	var p *Problem
	switch {
	case errors.As(err, &p):
		a.refuse(w, r, rt.Path, who, p)
	case err != nil && r.Context().Err() != nil:
		// Nobody waits for an answer.
	case err != nil:
		a.Log.Error("api: request failed", "route", rt.Path, "token", who.Token, "error", err)
		a.refuse(w, r, rt.Path, who, problem(http.StatusInternalServerError, "the answer can't be given now; hostd's log tells why"))
	default:
		a.answer(c, answer)
	}
}

// answer writes what was asked for, unless the one who asks has it already (RFC 9110 13.1.2).
func (a *API) answer(c *call, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		a.refuse(c.w, c.r, c.route.Path, c.who, problem(http.StatusInternalServerError, "the answer can't be written"))
		return
	}
	body = append(body, '\n')
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	status := http.StatusOK
	if matches(c.r.Header.Get("If-None-Match"), tag) {
		status = http.StatusNotModified
	}
	if !a.audited(c.w, c.r, c.route.Path, c.who, status) {
		return
	}
	c.w.Header().Set("ETag", tag)
	if status == http.StatusNotModified {
		c.w.WriteHeader(status)
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body)
	}
}

func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// refuse answers with a problem.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, route string, who Identity, p *Problem) {
	if !a.audited(w, r, route, who, p.Status) {
		return
	}
	writeProblem(w, r, p)
}

func writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	if p.Status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, HEAD")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(p)
	}
}

// audited writes the audit before anything is answered. What can't be audited isn't answered.
func (a *API) audited(w http.ResponseWriter, r *http.Request, route string, who Identity, status int) bool {
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	err = a.Audit.Write(Entry{
		Time: a.now().UTC(), Token: who.Token, Scope: who.Scope, From: from, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Status: status,
	})
	if err != nil {
		a.Log.Error("api: nothing is answered", "error", err)
		status = http.StatusServiceUnavailable
		writeProblem(w, r, problem(status, "who reads what can't be recorded, so nothing is answered"))
	}
	a.requests.WithLabelValues(route, fmt.Sprintf("%dxx", status/100)).Inc()
	return err == nil
}

func (a *API) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// call is one request of a route.
type call struct {
	*API
	ctx   context.Context
	r     *http.Request
	w     http.ResponseWriter
	route *route
	who   Identity
	whose reconciler.Whose
	query url.Values
}

// narrow has a token of the platform's see what one tenant's would, where it asks for a tenant. Another tenant's token isn't
// told whether there is such a tenant.
func (c *call) narrow() error {
	tenant, asked := c.query["tenant"]
	switch {
	case !asked:
		return nil
	case !c.whose.Sees(tenant[0]):
		return notFound()
	}
	c.whose = reconciler.Whose{Tenant: tenant[0]}
	return nil
}

// operator reports whether the one who asks may know everything.
func (c *call) operator() bool { return c.who.Scope.Whose().All }

// Standby answers for a hostd that stands by: nothing, for what it would tell may be old.
func Standby() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "5")
		w.Header().Set("Cache-Control", "no-store")
		writeProblem(w, r, problem(http.StatusServiceUnavailable, "this hostd stands by, or has just begun to lead; ask the one that leads"))
	})
}
