package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"hostctl/reconciler/forge"
)

// dialect is in what the forges' APIs differ.
type dialect struct {
	base           string // path of the API
	header, scheme string // of the token
	project        string // path of the project
	pullPath       string // what a pull request's path begins with, within the project
	notePath       string // what the path of its comments begins with
	refFormat      string
	limit          int // bytes of a comment
	routes         func(*Server, *http.ServeMux)
}

var dialects = map[forge.Kind]dialect{
	forge.GitHub: {"/api/v3", "Authorization", "Bearer ", "/repos/" + Project, "/pulls", "/issues", "refs/pull/%d/head", 65_536, hubRoutes},
	forge.Gitea:  {"/api/v1", "Authorization", "token ", "/repos/" + Project, "/pulls", "/issues", "refs/pull/%d/head", 65_536, hubRoutes},
	forge.GitLab: {"/api/v4", "PRIVATE-TOKEN", "", "/projects/{project}", "/merge_requests", "/merge_requests", "refs/merge-requests/%d/head", 1_000_000, labRoutes},
}

func (s *Server) ref(number int) string { return fmt.Sprintf(s.refFormat, number) }

// handle registers a handler, which is called with the state locked.
func (s *Server) handle(mux *http.ServeMux, method, path string, h func(w http.ResponseWriter, r *http.Request)) {
	mux.HandleFunc(method+" "+s.base+path, func(w http.ResponseWriter, r *http.Request) {
		if project := r.PathValue("project"); project != "" && project != Project {
			s.refuse(w, http.StatusNotFound, "404 Project Not Found")
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		h(w, r)
	})
}

// refuse answers as the forge does: {"message": ...}.
func (s *Server) refuse(w http.ResponseWriter, code int, message string) {
	answer(w, code, map[string]string{"message": message})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// pages answers with one page of a list, and a Link to the next one.
func pages[T any](w http.ResponseWriter, r *http.Request, all []T) {
	q := r.URL.Query()
	n, err := strconv.Atoi(q.Get("page"))
	if err != nil || n < 1 {
		n = 1
	}
	first := min((n-1)*page, len(all))
	if first+page < len(all) {
		q.Set("page", strconv.Itoa(n+1))
		next := *r.URL
		next.RawQuery = q.Encode()
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s>; rel="next", <http://%s%s>; rel="last"`, r.Host, next.RequestURI(), r.Host, next.RequestURI()))
	}
	answer(w, http.StatusOK, append([]T{}, all[first:min(first+page, len(all))]...))
}

func (s *Server) sorted() []*pull {
	var all []*pull
	for _, p := range s.pulls {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pull) int { return b.number - a.number })
	return all
}

func (s *Server) pull(r *http.Request) *pull {
	n, _ := strconv.Atoi(r.PathValue("number"))
	return s.pulls[n]
}

// body decodes what is sent, and refuses what isn't JSON.
func (s *Server) body(w http.ResponseWriter, r *http.Request, into any) bool {
	if r.Header.Get("Content-Type") != "application/json" || json.NewDecoder(r.Body).Decode(into) != nil {
		s.refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return false
	}
	return true
}

// setStatus takes a status of a commit, in one of the states that the forge knows.
func (s *Server) setStatus(w http.ResponseWriter, commit string, st Status, states string, limit int) bool {
	switch {
	case !s.repo.Has(commit):
		s.refuse(w, http.StatusUnprocessableEntity, "No commit found for SHA: "+commit)
	case !slices.Contains(strings.Fields(states), st.State):
		s.refuse(w, http.StatusUnprocessableEntity, "state is not included in the list")
	case len([]rune(st.Description)) > limit:
		s.refuse(w, http.StatusUnprocessableEntity, fmt.Sprintf("description is too long (maximum is %d characters)", limit))
	default:
		s.statuses[commit] = append(s.statuses[commit], st)
		return true
	}
	return false
}

// checkComment refuses a comment that is too long, or empty.
func (s *Server) checkComment(w http.ResponseWriter, body string) bool {
	if body != "" && len(body) <= s.limit {
		return true
	}
	s.refuse(w, http.StatusUnprocessableEntity, fmt.Sprintf("Body is too long (maximum is %d characters)", s.limit))
	return false
}

// editComment replaces a comment of the token's owner.
func (s *Server) editComment(w http.ResponseWriter, c *Comment, body string) bool {
	if c == nil || c.Login != Login {
		s.refuse(w, http.StatusNotFound, "Not Found")
		return false
	}
	if !s.checkComment(w, body) {
		return false
	}
	c.Body = body
	c.Edited++
	return true
}

func commentID(r *http.Request) int64 {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	return id
}
