package api

import (
	"fmt"
	"net/http"
)

// Problem is an error as it is answered (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail) }

// problem returns an error that is answered as it is: it must tell nothing that the one who asks may not know.
func problem(status int, format string, args ...any) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// notFound is the answer for what isn't there, and for what is somebody else's: the two can't be told apart.
func notFound() *Problem {
	return problem(http.StatusNotFound, "there is no such thing, or this token doesn't see it")
}
