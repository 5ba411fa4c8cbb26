package haproxy

import (
	"strconv"
	"strings"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// An entry of the map says all of a host name: its backend, and for some more, separated by |:
//
//	web-1
//	web-1|https|31536000sp|-|-
//	-|-|-|301p|https://www.example.com
//
// backend, https where a request without TLS is sent back with it, seconds of HSTS (s: includeSubDomains, p: preload),
// status of a redirect (p: path and query are added), and where it leads. So one command changes all of it at once.

// routeValue writes a route as the value of its entry.
func routeValue(o planner.Route) (string, error) {
	if o.Redirect == "" {
		if err := checkBackend("backend", o.Backend); err != nil {
			return "", err
		}
	} else if o.Backend != "" {
		return "", executors.Errorf(executors.Refused, "route %s: it has a backend and leads elsewhere", o.Name)
	}
	if o.Redirect == "" && !o.ForceHTTPS && o.HSTS == nil && o.Code == 0 {
		return o.Backend, nil
	}
	f := []string{orNone(o.Backend), "-", "-", "-", "-"}
	if o.ForceHTTPS {
		f[1] = "https"
	}
	if o.HSTS != nil {
		f[2] = strconv.Itoa(o.HSTS.MaxAge)
		if o.HSTS.IncludeSubDomains {
			f[2] += "s"
		}
		if o.HSTS.Preload {
			f[2] += "p"
		}
	}
	if o.Redirect != "" || o.Code != 0 {
		f[3], f[4] = strconv.Itoa(o.Code), o.Redirect
		if isOrigin(o.Redirect) {
			f[3] += "p"
		}
	}
	value := strings.Join(f, "|")
	back, err := parseRoute(value)
	if err != nil || !sameRoute(back, o) {
		return "", executors.Errorf(executors.Refused, "route %s: %s isn't one that can be", o.Name, quote(value))
	}
	return value, nil
}

func sameRoute(a, b planner.Route) bool {
	a.Meta, b.Meta = planner.Meta{}, planner.Meta{}
	return planner.HashOf(a) == planner.HashOf(b)
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// isOrigin reports whether a URL has no path.
func isOrigin(url string) bool {
	_, rest, _ := strings.Cut(url, "://")
	return !strings.Contains(rest, "/")
}

// parseRoute reads the value of an entry. What it doesn't know is an error: somebody else wrote it.
func parseRoute(value string) (planner.Route, error) {
	bad := func() (planner.Route, error) {
		return planner.Route{}, executors.Errorf(executors.Unknown, "the entry %s isn't a route of ours", quote(value))
	}
	f := strings.Split(value, "|")
	if len(f) == 1 {
		return planner.Route{Backend: value}, nil
	}
	if len(f) != 5 || f[1] != "-" && f[1] != "https" || (f[0] == "-") == (f[4] == "-") {
		return bad()
	}
	o := planner.Route{Backend: none(f[0]), ForceHTTPS: f[1] == "https", Redirect: none(f[4])}
	if f[2] != "-" {
		h, ok := parseHSTS(f[2])
		if !ok {
			return bad()
		}
		o.HSTS = h
	}
	switch code, keeps := strings.CutSuffix(f[3], "p"); {
	case o.Redirect == "" && f[3] == "-":
	case o.Redirect == "" || keeps != isOrigin(o.Redirect) || !isURL(o.Redirect):
		return bad()
	case code == "301" || code == "302" || code == "307" || code == "308":
		o.Code, _ = strconv.Atoi(code) // it is one of these
	default:
		return bad()
	}
	return o, nil
}

func none(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

func isURL(s string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	return ok && (scheme == "http" || scheme == "https") && rest != "" && rest[0] != '/' && isWord(s)
}

func parseHSTS(s string) (*schema.HSTS, bool) {
	h := &schema.HSTS{}
	s, h.Preload = strings.CutSuffix(s, "p")
	s, h.IncludeSubDomains = strings.CutSuffix(s, "s")
	n, err := strconv.Atoi(s)
	h.MaxAge = n
	return h, err == nil && n >= 0 && strconv.Itoa(n) == s && (h.IncludeSubDomains || !h.Preload)
}

// backendOf is the backend that an entry leads to, "" if it leads elsewhere.
func backendOf(value string) string {
	b, _, _ := strings.Cut(value, "|")
	return none(b)
}
