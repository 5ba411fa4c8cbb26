// Package forgetest has the far side of previews for tests: a forge's API over HTTP, with the requests and answers that
// its documentation has, in front of a real bare repository. What it is asked it checks as the forge does.
package forgetest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"hostctl/reconciler/forge"
	"hostctl/reconciler/git/gittest"
)

// What every server has.
const (
	Token   = "secret-forge-token" // that it asks for
	Login   = "hostctl-bot"        // whose that is
	Project = "acme/platform"
	page    = 2 // entries of a page, whatever is asked for: there is always a next one
)

// Server is a forge with one repository.
type Server struct {
	URL  string // of the API
	Kind forge.Kind

	repo *gittest.Repo
	dialect

	mu       sync.Mutex
	pulls    map[int]*pull
	statuses map[string][]Status // of a commit, the oldest first
	comments []*Comment
	nextID   int64
	writers  map[string]bool
	requests []string
	fault    gittest.Fault
}

type pull struct {
	number       int
	head, branch string
	author       string
	fork, open   bool
	labels       []string
}

// Status is a commit's status, in the words of the forge.
type Status struct{ State, Context, Description string }

// Comment is a comment on a pull request.
type Comment struct {
	ID     int64
	Pull   int
	Login  string
	Body   string
	Edited int
}

// Serve serves a forge of a kind until the test ends.
func Serve(t testing.TB, kind forge.Kind, repo *gittest.Repo) *Server {
	t.Helper()
	s := &Server{
		Kind: kind, repo: repo, dialect: dialects[kind], pulls: map[int]*pull{}, statuses: map[string][]Status{},
		writers: map[string]bool{"ann": true, Login: true}, nextID: 100,
	}
	mux := http.NewServeMux()
	s.routes(s, mux)
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+strings.TrimPrefix(r.URL.EscapedPath(), s.base))
		fault := s.fault
		s.mu.Unlock()
		switch {
		case fault != nil && fault(w, r):
		case r.Header.Get(s.header) != s.scheme+Token:
			s.refuse(w, http.StatusUnauthorized, "401 Unauthorized")
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		far.CloseClientConnections()
		far.Close()
	})
	s.URL = far.URL + s.base
	return s
}

// Open opens a pull request of ann's that asks to merge a commit into main, or reopens it with that commit.
func (s *Server) Open(number int, commit string) { s.open(number, commit, "ann", false) }

// OpenFork opens a pull request of somebody from a fork.
func (s *Server) OpenFork(number int, commit, author string) { s.open(number, commit, author, true) }

func (s *Server) open(number int, commit, author string, fork bool) {
	s.repo.Push("--force", commit+":"+s.ref(number))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls[number] = &pull{number: number, head: commit, branch: "main", author: author, fork: fork, open: true}
}

// Close closes a pull request.
func (s *Server) Close(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls[number].open = false
}

// Retarget has a pull request ask to be merged into another branch.
func (s *Server) Retarget(number int, branch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls[number].branch = branch
}

// Label puts a label on a pull request.
func (s *Server) Label(number int, label string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls[number].labels = append(s.pulls[number].labels, label)
}

// Break has each request from now on go through a fault; nil ends it.
func (s *Server) Break(f gittest.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Requests returns what was asked so far, as "GET /user", and forgets it.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.requests
	s.requests = nil
	return asked
}

// Statuses returns a commit's statuses, the oldest first.
func (s *Server) Statuses(commit string) []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.statuses[commit])
}

// Comments returns the comments on a pull request, the oldest first.
func (s *Server) Comments(number int) []Comment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Comment
	for _, c := range s.comments {
		if c.Pull == number {
			out = append(out, *c)
		}
	}
	return out
}

// Write adds a comment of somebody's, and returns its id.
func (s *Server) Write(number int, login, body string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addComment(number, login, body).ID
}

func (s *Server) addComment(number int, login, body string) *Comment {
	s.nextID++
	c := &Comment{ID: s.nextID, Pull: number, Login: login, Body: body}
	s.comments = append(s.comments, c)
	return c
}

// Delete deletes a comment.
func (s *Server) Delete(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.comments = slices.DeleteFunc(s.comments, func(c *Comment) bool { return c.ID == id })
}

func (s *Server) comment(id int64) *Comment {
	for _, c := range s.comments {
		if c.ID == id {
			return c
		}
	}
	return nil
}
