package forgetest

import (
	"net/http"
	"slices"

	"hostctl/reconciler/forge"
)

// hubRoutes are those of GitHub ("REST API endpoints for pull requests", "commit statuses", "issue comments") and Gitea
// (/api/swagger), as far as previews use them.
func hubRoutes(s *Server, mux *http.ServeMux) {
	p := s.project
	s.handle(mux, "GET", "/user", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, hubUser(Login)) })
	s.handle(mux, "GET", p+"/pulls", s.hubPulls)
	s.handle(mux, "GET", p+"/pulls/{number}", s.hubPull)
	s.handle(mux, "GET", p+"/collaborators/{login}/permission", s.hubPermission)
	s.handle(mux, "POST", p+"/statuses/{sha}", s.hubSetStatus)
	list := p + "/commits/{sha}/statuses"
	if s.Kind == forge.Gitea {
		list = p + "/statuses/{sha}"
	}
	s.handle(mux, "GET", list, s.hubStatuses)
	s.handle(mux, "GET", p+"/issues/{number}/{id}", s.hubGetComments)
	s.handle(mux, "POST", p+"/issues/{number}/comments", s.hubAddComment)
	s.handle(mux, "PATCH", p+"/issues/comments/{id}", s.hubEditComment)
}

func hubUser(login string) map[string]any { return map[string]any{"login": login, "id": len(login)} }

func (p *pull) hub() map[string]any {
	repo := func(name string) map[string]any { return map[string]any{"full_name": name} }
	head, state := repo(Project), "open"
	if p.fork {
		head = repo(p.author + "/platform")
	}
	if !p.open {
		state = "closed"
	}
	labels := []map[string]any{}
	for _, l := range p.labels {
		labels = append(labels, map[string]any{"name": l})
	}
	return map[string]any{
		"number": p.number, "state": state, "title": "A change", "user": hubUser(p.author), "labels": labels,
		"head": map[string]any{"ref": "topic", "sha": p.head, "repo": head},
		"base": map[string]any{"ref": p.branch, "sha": p.head, "repo": repo(Project)},
	}
}

// hubPulls lists the open ones. Gitea knows no base to ask for.
func (s *Server) hubPulls(w http.ResponseWriter, r *http.Request) {
	all := []map[string]any{}
	base := r.URL.Query().Get("base")
	for _, p := range s.sorted() {
		if p.open && (s.Kind == forge.Gitea || base == "" || p.branch == base) {
			all = append(all, p.hub())
		}
	}
	pages(w, r, all)
}

func (s *Server) hubPull(w http.ResponseWriter, r *http.Request) {
	if p := s.pull(r); p != nil {
		answer(w, 200, p.hub())
		return
	}
	s.refuse(w, http.StatusNotFound, "Not Found")
}

func (s *Server) hubPermission(w http.ResponseWriter, r *http.Request) {
	permission := "read"
	if s.writers[r.PathValue("login")] {
		permission = "write"
	}
	answer(w, 200, map[string]any{"permission": permission, "user": hubUser(r.PathValue("login"))})
}

func (s *Server) hubSetStatus(w http.ResponseWriter, r *http.Request) {
	var in struct{ State, Context, Description string }
	if s.body(w, r, &in) && s.setStatus(w, r.PathValue("sha"), Status(in), "error failure pending success", 140) {
		answer(w, http.StatusCreated, s.hubStatus(Status(in)))
	}
}

func (s *Server) hubStatus(st Status) map[string]any {
	key := "state"
	if s.Kind == forge.Gitea {
		key = "status"
	}
	return map[string]any{key: st.State, "context": st.Context, "description": st.Description, "creator": hubUser(Login)}
}

func (s *Server) hubStatuses(w http.ResponseWriter, r *http.Request) {
	all := []map[string]any{}
	for _, st := range slices.Backward(s.statuses[r.PathValue("sha")]) {
		all = append(all, s.hubStatus(st))
	}
	pages(w, r, all)
}

func (c *Comment) hub() map[string]any {
	return map[string]any{"id": c.ID, "body": c.Body, "user": hubUser(c.Login)}
}

// hubGetComments tells issues/comments/7 from issues/7/comments.
func (s *Server) hubGetComments(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.PathValue("number") == "comments":
		s.hubComment(w, r)
	case r.PathValue("id") == "comments":
		s.hubComments(w, r)
	default:
		s.refuse(w, http.StatusNotFound, "Not Found")
	}
}

func (s *Server) hubComments(w http.ResponseWriter, r *http.Request) {
	p := s.pull(r)
	if p == nil {
		s.refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	all := []map[string]any{}
	for _, c := range s.comments {
		if c.Pull == p.number {
			all = append(all, c.hub())
		}
	}
	pages(w, r, all)
}

func (s *Server) hubAddComment(w http.ResponseWriter, r *http.Request) {
	var in struct{ Body string }
	p := s.pull(r)
	switch {
	case p == nil:
		s.refuse(w, http.StatusNotFound, "Not Found")
	case s.body(w, r, &in) && s.checkComment(w, in.Body):
		answer(w, http.StatusCreated, s.addComment(p.number, Login, in.Body).hub())
	}
}

func (s *Server) hubComment(w http.ResponseWriter, r *http.Request) {
	if c := s.comment(commentID(r)); c != nil {
		answer(w, 200, c.hub())
		return
	}
	s.refuse(w, http.StatusNotFound, "Not Found")
}

func (s *Server) hubEditComment(w http.ResponseWriter, r *http.Request) {
	var in struct{ Body string }
	c := s.comment(commentID(r))
	if s.body(w, r, &in) && s.editComment(w, c, in.Body) {
		answer(w, 200, c.hub())
	}
}
