package forgetest

import (
	"net/http"
	"strings"
)

// labRoutes are those of GitLab ("Merge requests API", "Commits API", "Notes API", "Project members API"), as far as
// previews use them.
func labRoutes(s *Server, mux *http.ServeMux) {
	p := s.project
	s.handle(mux, "GET", "/user", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, labUser(Login)) })
	s.handle(mux, "GET", p+"/merge_requests", s.labMerges)
	s.handle(mux, "GET", p+"/merge_requests/{number}", s.labMerge)
	s.handle(mux, "GET", p+"/members/all", s.labMembers)
	s.handle(mux, "POST", p+"/statuses/{sha}", s.labSetStatus)
	s.handle(mux, "GET", p+"/repository/commits/{sha}/statuses", s.labStatuses)
	s.handle(mux, "GET", p+"/merge_requests/{number}/notes", s.labNotes)
	s.handle(mux, "POST", p+"/merge_requests/{number}/notes", s.labAddNote)
	s.handle(mux, "GET", p+"/merge_requests/{number}/notes/{id}", s.labNote)
	s.handle(mux, "PUT", p+"/merge_requests/{number}/notes/{id}", s.labEditNote)
}

func labUser(name string) map[string]any { return map[string]any{"id": len(name), "username": name} }

func (p *pull) lab() map[string]any {
	const project = 7
	source, state := project, "opened"
	if p.fork {
		source++
	}
	if !p.open {
		state = "closed"
	}
	return map[string]any{
		"iid": p.number, "id": 1000 + p.number, "state": state, "sha": p.head, "source_branch": "topic", "target_branch": p.branch,
		"author": labUser(p.author), "source_project_id": source, "target_project_id": project, "labels": append([]string{}, p.labels...),
	}
}

func (s *Server) labMerges(w http.ResponseWriter, r *http.Request) {
	all := []map[string]any{}
	q := r.URL.Query()
	for _, p := range s.sorted() {
		if (q.Get("state") != "opened" || p.open) && (q.Get("target_branch") == "" || p.branch == q.Get("target_branch")) {
			all = append(all, p.lab())
		}
	}
	pages(w, r, all)
}

func (s *Server) labMerge(w http.ResponseWriter, r *http.Request) {
	if p := s.pull(r); p != nil {
		answer(w, 200, p.lab())
		return
	}
	s.refuse(w, http.StatusNotFound, "404 Not found")
}

func (s *Server) labMembers(w http.ResponseWriter, r *http.Request) {
	all := []map[string]any{}
	for name := range s.writers {
		if strings.Contains(name, r.URL.Query().Get("query")) {
			m := labUser(name)
			m["access_level"] = 40
			all = append(all, m)
		}
	}
	pages(w, r, all)
}

// labSetStatus refuses to make pending what is: GitLab's states are those of a machine that knows no such step. What has
// ended begins anew.
func (s *Server) labSetStatus(w http.ResponseWriter, r *http.Request) {
	var in struct{ State, Name, Description string }
	if !s.body(w, r, &in) {
		return
	}
	sha := r.PathValue("sha")
	if now := s.newest(sha, in.Name); now != nil && now.State == "pending" && in.State == "pending" {
		s.refuse(w, http.StatusBadRequest, "Cannot transition status via :enqueue from :"+in.State+` (Reason(s): Status cannot transition via "enqueue")`)
		return
	}
	st := Status{in.State, in.Name, in.Description}
	if s.setStatus(w, sha, st, "pending running success failed canceled", 255) {
		answer(w, http.StatusCreated, labStatus(st))
	}
}

func (s *Server) newest(sha, name string) *Status {
	var found *Status
	for _, st := range s.statuses[sha] {
		if st.Context == name {
			found = &st
		}
	}
	return found
}

func labStatus(st Status) map[string]any {
	return map[string]any{"status": st.State, "name": st.Context, "description": st.Description, "author": labUser(Login)}
}

// labStatuses lists the newest of each name.
func (s *Server) labStatuses(w http.ResponseWriter, r *http.Request) {
	all := []map[string]any{}
	if st := s.newest(r.PathValue("sha"), r.URL.Query().Get("name")); st != nil {
		all = append(all, labStatus(*st))
	}
	pages(w, r, all)
}

func (c *Comment) lab() map[string]any {
	return map[string]any{"id": c.ID, "body": c.Body, "author": labUser(c.Login), "system": false}
}

func (s *Server) labNotes(w http.ResponseWriter, r *http.Request) {
	p := s.pull(r)
	if p == nil {
		s.refuse(w, http.StatusNotFound, "404 Not found")
		return
	}
	all := []map[string]any{}
	for _, c := range s.comments {
		if c.Pull == p.number {
			all = append(all, c.lab())
		}
	}
	pages(w, r, all)
}

func (s *Server) labAddNote(w http.ResponseWriter, r *http.Request) {
	var in struct{ Body string }
	p := s.pull(r)
	switch {
	case p == nil:
		s.refuse(w, http.StatusNotFound, "404 Not found")
	case s.body(w, r, &in) && s.checkComment(w, in.Body):
		answer(w, http.StatusCreated, s.addComment(p.number, Login, in.Body).lab())
	}
}

// labOf returns the comment that is asked for, of its own merge request.
func (s *Server) labOf(r *http.Request) *Comment {
	c, p := s.comment(commentID(r)), s.pull(r)
	if c == nil || p == nil || c.Pull != p.number {
		return nil
	}
	return c
}

func (s *Server) labNote(w http.ResponseWriter, r *http.Request) {
	if c := s.labOf(r); c != nil {
		answer(w, 200, c.lab())
		return
	}
	s.refuse(w, http.StatusNotFound, "404 Not found")
}

func (s *Server) labEditNote(w http.ResponseWriter, r *http.Request) {
	var in struct{ Body string }
	c := s.labOf(r)
	if s.body(w, r, &in) && s.editComment(w, c, in.Body) {
		answer(w, 200, c.lab())
	}
}
