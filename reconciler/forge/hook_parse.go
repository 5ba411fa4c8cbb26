package forge

import "errors"

var errNoNumber = errors.New("read the webhook's payload: it is about a pull request and has no number")

// hubPayload is what is read of the events of GitHub ("Webhook events and payloads"), which Gitea and Forgejo send alike.
type hubPayload struct {
	Action      string `json:"action"`
	Ref         string `json:"ref"`    // of a push
	Number      int    `json:"number"` // of a pull request
	PullRequest struct {
		Number int `json:"number"`
	} `json:"pull_request"`
	Issue struct { // that a comment belongs to
		Number      int       `json:"number"`
		PullRequest *struct{} `json:"pull_request"`
	} `json:"issue"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

// hubActions are those of a pull request that may change its plan, or whether it needs one. GitHub says synchronize of a
// push, Gitea synchronized.
var hubActions = map[string]bool{
	"opened": true, "synchronize": true, "synchronized": true, "reopened": true, "closed": true, "edited": true, "ready_for_review": true,
}

func parseHub(event string, payload []byte) (Hint, error) {
	switch event {
	case "push", "pull_request", "pull_request_sync", "issue_comment", "pull_request_comment":
	default:
		return Hint{}, ErrNoNews
	}
	var p hubPayload
	if err := decodePayload(payload, &p); err != nil {
		return Hint{}, err
	}
	hint := Hint{Repository: p.Repository.FullName}
	var err error
	switch {
	case event == "push":
		hint.Branch, err = branchOf(p.Ref)
		return hint, err
	case event == "pull_request" || event == "pull_request_sync":
		if !hubActions[p.Action] {
			return Hint{}, ErrNoNews
		}
		hint.Pull = max(p.Number, p.PullRequest.Number)
	case p.Action != "deleted" || p.Issue.PullRequest == nil:
		return Hint{}, ErrNoNews // nobody has removed a comment of ours
	default:
		hint.Pull = p.Issue.Number
	}
	if hint.Pull <= 0 {
		return Hint{}, errNoNumber
	}
	return hint, nil
}

// labPayload is what is read of GitLab's events ("Webhook events").
type labPayload struct {
	Kind    string `json:"object_kind"`
	Ref     string `json:"ref"` // of a push
	Project struct {
		Path string `json:"path_with_namespace"`
	} `json:"project"`
	Attributes struct {
		IID    int    `json:"iid"`
		Action string `json:"action"`
		OldRev string `json:"oldrev"` // there when commits were pushed
	} `json:"object_attributes"`
	Changes struct {
		Target *struct{} `json:"target_branch"`
		Draft  *struct{} `json:"draft"`
	} `json:"changes"`
}

// news reports whether an event of a merge request may change its plan, or whether it needs one.
func (p labPayload) news() bool {
	switch p.Attributes.Action {
	case "open", "reopen", "close", "merge":
		return true
	case "update":
		return p.Attributes.OldRev != "" || p.Changes.Target != nil || p.Changes.Draft != nil
	}
	return false
}

func parseLab(payload []byte) (Hint, error) {
	var p labPayload
	if err := decodePayload(payload, &p); err != nil {
		return Hint{}, err
	}
	hint := Hint{Repository: p.Project.Path}
	var err error
	switch {
	case p.Kind == "push":
		hint.Branch, err = branchOf(p.Ref)
		return hint, err
	case p.Kind != "merge_request" || !p.news():
		return Hint{}, ErrNoNews
	case p.Attributes.IID <= 0:
		return Hint{}, errNoNumber
	}
	hint.Pull = p.Attributes.IID
	return hint, nil
}
