package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// hub is a repository of GitHub ("REST API endpoints for pull requests", "commit statuses", "issue comments"), or of Gitea
// and its kin, whose API (its page /api/swagger) is nearly the same.
type hub struct {
	*client
	dialect
	project string // "/repos/owner/name"
	pages   string // of people, without a slash at its end
	owner   string
	self    self
}

// dialect is in what the two differ.
type dialect struct {
	authorize func(http.Header, string)
	limit     int                                     // bytes of a comment
	pulls     func(branch string) string              // the query of the open pull requests
	statuses  string                                  // a commit's statuses; with its id
	pages     func(api string) string                 // where people look, of where the API is
	blob      func(commit, file string, n int) string // the page of a line, within the repository
	one       string                                  // the query of a page's length
}

var github = dialect{
	authorize: func(h http.Header, token string) {
		h.Set("Authorization", "Bearer "+token)
		h.Set("Accept", "application/vnd.github+json")
		h.Set("X-GitHub-Api-Version", "2022-11-28")
	},
	limit:    65_536,
	pulls:    func(branch string) string { return "?state=open&per_page=100&base=" + url.QueryEscape(branch) },
	statuses: "/commits/%s/statuses",
	one:      "?per_page=100",
	pages: func(api string) string {
		if api == defaults[GitHub] {
			return "https://github.com"
		}
		return strings.TrimSuffix(api, "/api/v3") // GitHub Enterprise Server
	},
	blob: func(commit, file string, n int) string { return fmt.Sprintf("/blob/%s/%s#L%d", commit, file, n) },
}

var gitea = dialect{
	authorize: func(h http.Header, token string) {
		h.Set("Authorization", "token "+token)
		h.Set("Accept", "application/json")
	},
	limit:    65_536, // its documentation names none; its database takes more
	pulls:    func(string) string { return "?state=open&limit=50" },
	statuses: "/statuses/%s",
	one:      "?limit=50",
	pages:    func(api string) string { return strings.TrimSuffix(api, "/api/v1") },
	blob:     func(commit, file string, n int) string { return fmt.Sprintf("/src/commit/%s/%s#L%d", commit, file, n) },
}

func newHub(o Options, d dialect) *hub {
	c := newClient(o, d.authorize)
	owner, _, _ := strings.Cut(o.Project, "/")
	return &hub{client: c, dialect: d, project: "/repos/" + o.Project, owner: owner, pages: d.pages(c.base) + "/" + o.Project}
}

// hubPull is what is read of a pull request.
type hubPull struct {
	Number int    `json:"number"`
	State  string `json:"state"`
	User   struct {
		Login string `json:"login"`
	} `json:"user"`
	Head   hubSide `json:"head"`
	Base   hubSide `json:"base"`
	Labels []struct {
		Name string `json:"name"`
	} `json:"labels"`
}

type hubSide struct {
	Ref  string    `json:"ref"`
	SHA  string    `json:"sha"`
	Repo *struct { // nil: it was deleted
		FullName string `json:"full_name"`
	} `json:"repo"`
}

func (p hubPull) pullRequest() PullRequest {
	pr := PullRequest{Number: p.Number, Head: p.Head.SHA, Base: p.Base.Ref, Author: p.User.Login, Open: p.State == "open"}
	pr.Fork = p.Head.Repo == nil || p.Base.Repo == nil || !strings.EqualFold(p.Head.Repo.FullName, p.Base.Repo.FullName)
	for _, l := range p.Labels {
		pr.Allowed = pr.Allowed || l.Name == StartLabel
	}
	return pr
}

// Ref implements Forge.
func (h *hub) Ref(number int) string { return fmt.Sprintf("refs/pull/%d/head", number) }

// CommentLimit implements Forge.
func (h *hub) CommentLimit() int { return h.limit }

// FileURL implements Forge.
func (h *hub) FileURL(commit, file string, line int) string {
	if !isPath(file) {
		return ""
	}
	return h.pages + h.blob(commit, file, line)
}

// PullRequests implements Forge.
func (h *hub) PullRequests(ctx context.Context, branch string) ([]PullRequest, error) {
	var all []PullRequest
	err := list(ctx, h.client, h.project+"/pulls"+h.pulls(branch), func(p hubPull) bool {
		if pr := p.pullRequest(); pr.Base == branch {
			all = append(all, pr)
		}
		return true
	})
	return all, err
}

// PullRequest implements Forge.
func (h *hub) PullRequest(ctx context.Context, number int) (PullRequest, error) {
	var p hubPull
	_, err := h.do(ctx, http.MethodGet, fmt.Sprintf("%s/pulls/%d", h.project, number), nil, &p)
	return p.pullRequest(), err
}

// MayWrite implements Forge.
func (h *hub) MayWrite(ctx context.Context, login string) (bool, error) {
	var p struct {
		Permission string `json:"permission"`
	}
	_, err := h.do(ctx, http.MethodGet, h.project+"/collaborators/"+url.PathEscape(login)+"/permission", nil, &p)
	return p.Permission == "admin" || p.Permission == "write" || p.Permission == "owner", err
}

// hubStatus is a commit's status; what Gitea returns calls the state status.
type hubStatus struct {
	State       State  `json:"state,omitempty"`
	Status      State  `json:"status,omitempty"`
	Context     string `json:"context"`
	Description string `json:"description"`
}

// SetStatus implements Forge.
func (h *hub) SetStatus(ctx context.Context, s Status) error {
	_, err := h.do(ctx, http.MethodPost, h.project+"/statuses/"+s.Commit, hubStatus{State: s.State, Context: s.Context, Description: s.Description}, nil)
	return err
}

// HasStatus implements Forge. Both list the newest first.
func (h *hub) HasStatus(ctx context.Context, s Status) (has bool, err error) {
	err = list(ctx, h.client, h.project+fmt.Sprintf(h.statuses, s.Commit)+h.one, func(t hubStatus) bool {
		if t.Context != s.Context {
			return true
		}
		has = (t.State == s.State || t.Status == s.State) && t.Description == s.Description
		return false
	})
	return has, err
}

type hubComment struct {
	ID   int64  `json:"id,omitempty"`
	Body string `json:"body"`
	User *struct {
		Login string `json:"login"`
	} `json:"user,omitempty"`
}

// FindComment implements Forge.
func (h *hub) FindComment(ctx context.Context, number int, prefix string) (Comment, error) {
	login, err := h.self.login(func() (string, error) {
		var me struct {
			Login string `json:"login"`
		}
		_, err := h.do(ctx, http.MethodGet, "/user", nil, &me)
		return me.Login, err
	})
	if err != nil {
		return Comment{}, err
	}
	var found *Comment
	err = list(ctx, h.client, fmt.Sprintf("%s/issues/%d/comments%s", h.project, number, h.one), func(c hubComment) bool {
		if c.User != nil && c.User.Login == login && strings.HasPrefix(c.Body, prefix) {
			found = &Comment{ID: c.ID, Body: c.Body}
		}
		return found == nil
	})
	return foundOr(found, err)
}

func (h *hub) comment(id int64) string {
	return h.project + "/issues/comments/" + strconv.FormatInt(id, 10)
}

// Comment implements Forge.
func (h *hub) Comment(ctx context.Context, _ int, id int64) (Comment, error) {
	var c hubComment
	_, err := h.do(ctx, http.MethodGet, h.comment(id), nil, &c)
	return Comment{ID: c.ID, Body: c.Body}, err
}

// AddComment implements Forge.
func (h *hub) AddComment(ctx context.Context, number int, body string) (int64, error) {
	var c hubComment
	_, err := h.do(ctx, http.MethodPost, fmt.Sprintf("%s/issues/%d/comments", h.project, number), hubComment{Body: body}, &c)
	return c.ID, err
}

// EditComment implements Forge.
func (h *hub) EditComment(ctx context.Context, _ int, id int64, body string) error {
	_, err := h.do(ctx, http.MethodPatch, h.comment(id), hubComment{Body: body}, nil)
	return err
}

func foundOr(c *Comment, err error) (Comment, error) {
	switch {
	case err != nil:
		return Comment{}, err
	case c == nil:
		return Comment{}, ErrNotFound
	}
	return *c, nil
}

// self is whose token it is, asked once.
type self struct {
	mu   sync.Mutex
	name string
}

func (s *self) login(ask func() (string, error)) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.name == "" {
		name, err := ask()
		if err != nil {
			return "", err
		}
		s.name = name
	}
	return s.name, nil
}
