package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// PullRequest is one that asks to merge into the watched branch. GitLab calls it a merge request.
type PullRequest struct {
	Number  int    // that people know it by: GitLab's iid
	Head    string // commit that is to be merged
	Base    string // name of the branch that it is to be merged into
	Author  string // who opened it: a login
	Fork    bool   // its branch is in a repository that others write to
	Open    bool
	Allowed bool // it carries the label StartLabel, which only those may set who may write to the repository
}

// StartLabel is the label that starts the preview of a pull request from a fork.
const StartLabel = "hostctl-preview"

// State is a commit's state, in the words of GitHub.
type State string

// The states. A forge that knows no Error is told Failure.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure" // the change is at fault
	Error   State = "error"   // something else is
)

// Status is what a commit is told to be.
type Status struct {
	Commit      string
	State       State
	Context     string // whose status it is: a newer one of it replaces an older one
	Description string // at most descriptionLimit characters
}

// descriptionLimit is GitHub's of a status, in characters; GitLab takes 255.
const descriptionLimit = 140

// Comment is a comment on a pull request.
type Comment struct {
	ID   int64
	Body string
}

// ErrNotFound says that a pull request or comment isn't there, or that the token doesn't let it be seen.
var ErrNotFound = errors.New("not found")

// Forge is one repository of a forge. It may be used by several goroutines. A far side that asks for time is an
// *outbox.Later.
type Forge interface {
	// Ref is the name of the reference that is a pull request's head, in the forge's repository.
	Ref(number int) string
	// CommentLimit is how many bytes a comment may have.
	CommentLimit() int
	// FileURL is the page of a line of a file, "" where the name of the file doesn't stand in a URL as it is.
	FileURL(commit, file string, line int) string

	// PullRequests returns the open ones that are to be merged into a branch.
	PullRequests(ctx context.Context, branch string) ([]PullRequest, error)
	// PullRequest returns one, open or not.
	PullRequest(ctx context.Context, number int) (PullRequest, error)
	// MayWrite reports whether somebody may write to the repository.
	MayWrite(ctx context.Context, login string) (bool, error)

	// SetStatus sets a commit's status.
	SetStatus(ctx context.Context, s Status) error
	// HasStatus reports whether a status is the newest of its context.
	HasStatus(ctx context.Context, s Status) (bool, error)

	// FindComment returns the oldest comment of ours on a pull request that begins with a text, or ErrNotFound.
	FindComment(ctx context.Context, number int, prefix string) (Comment, error)
	// Comment returns a comment on a pull request.
	Comment(ctx context.Context, number int, id int64) (Comment, error)
	// AddComment adds a comment, and returns its id.
	AddComment(ctx context.Context, number int, body string) (int64, error)
	// EditComment replaces what a comment says.
	EditComment(ctx context.Context, number int, id int64, body string) error
}

// Options are where a repository is, and who speaks to it.
type Options struct {
	Kind    Kind
	URL     string // of the API; "" for github.com's and gitlab.com's
	Project string // "owner/name"; GitLab's may have more parts
	// Token returns what is shown to the forge. It is asked for each request: a token may be replaced at any time.
	Token func() (string, error)
	HTTP  *http.Client // nil: one of its own
}

// defaults are the APIs of the forges that everybody knows.
var defaults = map[Kind]string{GitHub: "https://api.github.com", GitLab: "https://gitlab.com/api/v4"}

// New returns the forge's repository. Nothing is asked of the forge yet.
func New(o Options) (Forge, error) {
	if o.URL == "" {
		o.URL = defaults[o.Kind]
	}
	if err := checkURL(o.Kind, o.URL); err != nil {
		return nil, err
	}
	parts := strings.Split(o.Project, "/")
	for _, p := range parts {
		if !isName(p) {
			return nil, fmt.Errorf("project %q: want owner/name, in letters, digits, '-', '_' and '.'", o.Project)
		}
	}
	if len(parts) < 2 || len(parts) > 2 && o.Kind != GitLab {
		return nil, fmt.Errorf("project %q: want owner/name", o.Project)
	}
	switch o.Kind {
	case GitHub:
		return newHub(o, github), nil
	case Gitea:
		return newHub(o, gitea), nil
	case GitLab:
		return newLab(o), nil
	}
	return nil, fmt.Errorf("%q is no forge that is known", o.Kind)
}

func checkURL(k Kind, s string) error {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return fmt.Errorf("no URL: where the API of %s is, as https://git.example.org/api/v1", k)
	case err != nil: // which repeats the URL, and that may hold a password
		return errors.New("the forge's URL can't be read; want one as https://git.example.org/api/v1")
	case u.User != nil:
		return errors.New("the forge's URL holds a name or password; put the token into a file, --forge-token names it")
	case u.RawQuery != "" || u.Fragment != "" || u.Host == "":
		return errors.New("the forge's URL wants a host and a path, and no more, as https://git.example.org/api/v1")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("the forge's URL wants https: the token would go over the wire in clear")
}

func isLoopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

// isName reports whether a part of a project's path is one that stands in a URL as it is.
func isName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// isPath reports whether a file's path stands in a URL as it is.
func isPath(file string) bool {
	for part := range strings.SplitSeq(file, "/") {
		if !isName(part) {
			return false
		}
	}
	return true
}
