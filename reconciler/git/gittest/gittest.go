// Package gittest has the far side of a remote repository for tests: git's own server over HTTP, which can be made to
// misbehave, and repositories made by git itself.
package gittest

import (
	"bytes"
	"crypto/subtle"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Options is how a server is reached.
type Options struct {
	// Token is the password that is asked for; with "" everybody may read and push.
	Token string
	// Username goes with Token; with "" any does.
	Username string
	// TLS has the server speak HTTPS, with a certificate that Server.CA verifies.
	TLS bool
}

// Server serves bare repositories over the smart HTTP protocol.
type Server struct {
	URL string // without a slash at its end: repository a.git is at URL/a.git
	CA  []byte // PEM; of a server with TLS

	git     http.Handler
	options Options
	closed  chan struct{}

	mu       sync.Mutex
	requests []string
	fault    Fault
	hanging  int
}

// Fault answers a request instead of the server, or returns false and leaves it to the server.
type Fault func(w http.ResponseWriter, r *http.Request) bool

// Serve serves the bare repositories below a folder by git-http-backend(1) until the test ends. It takes pushes too.
func Serve(t testing.TB, root string, o Options) *Server {
	t.Helper()
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatalf("git --exec-path: %v", err)
	}
	s := &Server{options: o, closed: make(chan struct{}), git: &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Dir:  root,
		Env: []string{
			"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
			"GIT_CONFIG_COUNT=4",
			"GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=true",
			"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*",
			"GIT_CONFIG_KEY_2=receive.autogc", "GIT_CONFIG_VALUE_2=false", // nothing goes on after the request
			"GIT_CONFIG_KEY_3=gc.auto", "GIT_CONFIG_VALUE_3=0",
		},
		Stderr: io.Discard, // of clients that hang up
	}}
	var far *httptest.Server
	if o.TLS {
		far = httptest.NewTLSServer(s)
		s.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: far.Certificate().Raw})
	} else {
		far = httptest.NewServer(s)
	}
	s.URL = far.URL
	t.Cleanup(func() {
		close(s.closed)
		far.CloseClientConnections()
		far.Close()
	})
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	fault := s.fault
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	if !s.allows(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body) // CGI takes no body of unknown length
	if err != nil {
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	s.git.ServeHTTP(w, r)
}

func (s *Server) allows(r *http.Request) bool {
	if s.options.Token == "" {
		return true
	}
	name, token, ok := r.BasicAuth()
	return ok && subtle.ConstantTimeCompare([]byte(token), []byte(s.options.Token)) == 1 &&
		(s.options.Username == "" || name == s.options.Username)
}

// Break has each request from now on go through a fault; nil ends it.
func (s *Server) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Requests returns what was asked so far, as "GET /a.git/info/refs?service=git-upload-pack", and forgets it.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.requests
	s.requests = nil
	return asked
}

// Hang is a fault: the request is answered by nothing, until its client goes or the test ends.
func (s *Server) Hang(_ http.ResponseWriter, r *http.Request) bool {
	s.hangs(1)
	defer s.hangs(-1)
	_, _ = io.Copy(io.Discard, r.Body) // else the server doesn't notice that the client has gone
	select {
	case <-r.Context().Done():
	case <-s.closed:
	}
	return true
}

func (s *Server) hangs(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hanging += n
}

// Hanging returns how many requests hang now, whose clients still wait.
func (s *Server) Hanging() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hanging
}

// Status returns a fault: each request is answered with a status, as 503.
func Status(code int) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, http.StatusText(code), code)
		return true
	}
}

// Redirect returns a fault: each request is sent to another server, as "http://127.0.0.1:1234".
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, to+r.URL.RequestURI(), http.StatusFound)
		return true
	}
}
