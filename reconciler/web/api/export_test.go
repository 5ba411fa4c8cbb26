package api

// RouteInfo is what tests know of a route.
type RouteInfo struct {
	Path, Name           string
	Said, Public, Stream bool
	Answer               any
}

// Routes returns the table.
func Routes() []RouteInfo {
	var out []RouteInfo
	for _, r := range routes {
		out = append(out, RouteInfo{r.Path, r.Name, r.For != nobody, r.For == anybody, r.Stream != nil, r.Answer})
	}
	return out
}

// Rotated returns an audit whose files hold at most so many bytes.
func Rotated(state string, max int64) *Audit {
	a := OpenAudit(state)
	a.max = max
	return a
}
