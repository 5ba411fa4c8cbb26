package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// lab is a project of GitLab ("Merge requests API", "Commits API", "Notes API").
type lab struct {
	*client
	project string // "/projects/group%2Fname"
	pages   string // of people, without a slash at its end
	self    self
}

func newLab(o Options) *lab {
	c := newClient(o, func(h http.Header, token string) { h.Set("PRIVATE-TOKEN", token) })
	return &lab{client: c, project: "/projects/" + url.PathEscape(o.Project), pages: strings.TrimSuffix(c.base, "/api/v4") + "/" + o.Project}
}

// labMerge is what is read of a merge request.
type labMerge struct {
	IID    int    `json:"iid"`
	State  string `json:"state"`
	SHA    string `json:"sha"`
	Target string `json:"target_branch"`
	Author struct {
		Username string `json:"username"`
	} `json:"author"`
	SourceProject *int64   `json:"source_project_id"` // null: it was deleted
	TargetProject *int64   `json:"target_project_id"`
	Labels        []string `json:"labels"`
}

func (m labMerge) pullRequest() PullRequest {
	return PullRequest{
		Number: m.IID, Head: m.SHA, Base: m.Target, Author: m.Author.Username, Open: m.State == "opened",
		Fork:    m.SourceProject == nil || m.TargetProject == nil || *m.SourceProject != *m.TargetProject,
		Allowed: slices.Contains(m.Labels, StartLabel),
	}
}

// Ref implements Forge.
func (l *lab) Ref(number int) string { return fmt.Sprintf("refs/merge-requests/%d/head", number) }

// CommentLimit implements Forge.
func (l *lab) CommentLimit() int { return 1_000_000 }

// FileURL implements Forge.
func (l *lab) FileURL(commit, file string, line int) string {
	if !isPath(file) {
		return ""
	}
	return fmt.Sprintf("%s/-/blob/%s/%s#L%d", l.pages, commit, file, line)
}

// PullRequests implements Forge.
func (l *lab) PullRequests(ctx context.Context, branch string) ([]PullRequest, error) {
	var all []PullRequest
	err := list(ctx, l.client, l.project+"/merge_requests?state=opened&per_page=100&target_branch="+url.QueryEscape(branch), func(m labMerge) bool {
		if pr := m.pullRequest(); pr.Base == branch {
			all = append(all, pr)
		}
		return true
	})
	return all, err
}

// PullRequest implements Forge.
func (l *lab) PullRequest(ctx context.Context, number int) (PullRequest, error) {
	var m labMerge
	_, err := l.do(ctx, http.MethodGet, l.merge(number), nil, &m)
	return m.pullRequest(), err
}

func (l *lab) merge(number int) string { return fmt.Sprintf("%s/merge_requests/%d", l.project, number) }

// developer is the lowest access level that may push (GitLab, "Roles").
const developer = 30

// MayWrite implements Forge.
func (l *lab) MayWrite(ctx context.Context, login string) (may bool, err error) {
	err = list(ctx, l.client, l.project+"/members/all?per_page=100&query="+url.QueryEscape(login), func(m struct {
		Username    string `json:"username"`
		AccessLevel int    `json:"access_level"`
	}) bool {
		may = may || m.Username == login && m.AccessLevel >= developer
		return !may
	})
	return may, err
}

// labStatus is a commit's status. What is returned calls the state status, and the context name.
type labStatus struct {
	State       string `json:"state,omitempty"`
	Status      string `json:"status,omitempty"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

// labStates are GitLab's words.
var labStates = map[State]string{Pending: "pending", Success: "success", Failure: "failed", Error: "failed"}

// SetStatus implements Forge. GitLab refuses to make pending what is pending already.
func (l *lab) SetStatus(ctx context.Context, s Status) error {
	_, err := l.do(ctx, http.MethodPost, l.project+"/statuses/"+s.Commit, labStatus{State: labStates[s.State], Name: s.Context, Description: s.Description}, nil)
	var answer *answerError
	if s.State == Pending && errors.As(err, &answer) && answer.Code == http.StatusBadRequest && strings.Contains(answer.Message, "Cannot transition status") {
		return nil
	}
	return err
}

// HasStatus implements Forge. GitLab lists the newest of each name.
func (l *lab) HasStatus(ctx context.Context, s Status) (has bool, err error) {
	err = list(ctx, l.client, fmt.Sprintf("%s/repository/commits/%s/statuses?per_page=100&name=%s", l.project, s.Commit, url.QueryEscape(s.Context)), func(t labStatus) bool {
		has = has || t.Name == s.Context && t.Status == labStates[s.State] && t.Description == s.Description
		return !has
	})
	return has, err
}

type labNote struct {
	ID     int64  `json:"id,omitempty"`
	Body   string `json:"body"`
	Author *struct {
		Username string `json:"username"`
	} `json:"author,omitempty"`
}

func (l *lab) notes(number int) string { return l.merge(number) + "/notes" }

func (l *lab) note(number int, id int64) string {
	return l.notes(number) + "/" + strconv.FormatInt(id, 10)
}

// FindComment implements Forge.
func (l *lab) FindComment(ctx context.Context, number int, prefix string) (Comment, error) {
	login, err := l.self.login(func() (string, error) {
		var me struct {
			Username string `json:"username"`
		}
		_, err := l.do(ctx, http.MethodGet, "/user", nil, &me)
		return me.Username, err
	})
	if err != nil {
		return Comment{}, err
	}
	var found *Comment
	err = list(ctx, l.client, l.notes(number)+"?per_page=100&sort=asc", func(n labNote) bool {
		if n.Author != nil && n.Author.Username == login && strings.HasPrefix(n.Body, prefix) {
			found = &Comment{ID: n.ID, Body: n.Body}
		}
		return found == nil
	})
	return foundOr(found, err)
}

// Comment implements Forge.
func (l *lab) Comment(ctx context.Context, number int, id int64) (Comment, error) {
	var n labNote
	_, err := l.do(ctx, http.MethodGet, l.note(number, id), nil, &n)
	return Comment{ID: n.ID, Body: n.Body}, err
}

// AddComment implements Forge.
func (l *lab) AddComment(ctx context.Context, number int, body string) (int64, error) {
	var n labNote
	_, err := l.do(ctx, http.MethodPost, l.notes(number), labNote{Body: body}, &n)
	return n.ID, err
}

// EditComment implements Forge.
func (l *lab) EditComment(ctx context.Context, number int, id int64, body string) error {
	_, err := l.do(ctx, http.MethodPut, l.note(number, id), labNote{Body: body}, nil)
	return err
}
