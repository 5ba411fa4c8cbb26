package api

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"hostctl/planner"
	"hostctl/schema"
)

// param is a key that a query may have.
type param struct {
	Name    string
	Doc     string
	Type    string // as JSON Schema has them: string, integer, boolean
	Pattern string // of a string
	Max     int    // of an integer
	check   func(string) error
}

// The bounds of a page.
const (
	pageSize = 100
	maxPage  = 1000
)

var (
	paramLimit  = param{Name: "limit", Doc: "How many items at most; 100 where it is not given.", Type: "integer", Max: maxPage, check: isLimit}
	paramCursor = param{Name: "cursor", Doc: "The next of the page before; the first page has none.", Type: "string", check: isCursor}
	paramTenant = param{Name: "tenant", Doc: "Only what is this tenant's.", Type: "string", check: schema.CheckSlug}
	paramDirty  = param{Name: "dirty", Doc: "true: only what the next plan touches again.", Type: "boolean", check: isTrue}
	paramKind   = param{Name: "kind", Doc: "Only resources of this kind, as in their files: Webroot.", Type: "string", Pattern: "^[A-Za-z]+$", check: isWord}
	paramObject = param{Name: "kind", Doc: "Only objects of this kind: vhost.", Type: "string", Pattern: "^[a-z]+$", check: isObjectKind}
	paramName   = param{Name: "name", Doc: "A host name, or the reference of an object: kind/target/name.", Type: "string", check: isName}
)

// readQuery reads a query that has only what the route knows, each key once.
func (rt *route) readQuery(u *url.URL) (url.Values, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, problem(http.StatusBadRequest, "the query can't be read")
	}
	for key, values := range q {
		i := slices.IndexFunc(rt.Query, func(p param) bool { return p.Name == key })
		switch {
		case i < 0:
			return nil, problem(http.StatusBadRequest, "the query has a key that is not known here; known: %s", rt.known())
		case len(values) > 1:
			return nil, problem(http.StatusBadRequest, "%s is there more than once", key)
		}
		if err := rt.Query[i].check(values[0]); err != nil {
			return nil, problem(http.StatusBadRequest, "%s: %s", key, err)
		}
	}
	return q, nil
}

func (rt *route) known() string {
	names := []string{}
	for _, p := range rt.Query {
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// wrong is what is wrong with a value, told to the one who has sent it.
type wrong string

func (w wrong) Error() string { return string(w) }

func isLimit(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 1 || n > maxPage {
		return wrong("want a number from 1 to " + strconv.Itoa(maxPage))
	}
	return nil
}

func isTrue(s string) error {
	if s != "true" && s != "false" {
		return wrong("want true or false")
	}
	return nil
}

func isWord(s string) error {
	if s == "" || len(s) > 64 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
		return wrong("want letters")
	}
	return nil
}

func isObjectKind(s string) error {
	if _, ok := planner.Kind(s).Rung(); !ok {
		return wrong("there is no such kind of objects")
	}
	return nil
}

func isName(s string) error {
	if s == "" || len(s) > 1024 {
		return wrong("want a host name, or kind/target/name")
	}
	return nil
}

func isCursor(s string) error {
	if _, err := base64.RawURLEncoding.DecodeString(s); err != nil {
		return wrong("want the next of a page, as it was given")
	}
	return nil
}

// limit returns how many items a page has at most.
func (c *call) limit() int {
	if n, err := strconv.Atoi(c.query.Get("limit")); err == nil {
		return n
	}
	return pageSize
}

// cursor returns where the page begins, "" for the first one.
func (c *call) cursor() string {
	b, err := base64.RawURLEncoding.DecodeString(c.query.Get("cursor"))
	if err != nil {
		return ""
	}
	return string(b)
}

// number returns a cursor that counts items.
func (c *call) number() (int, error) {
	s := c.cursor()
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, problem(http.StatusBadRequest, "cursor: want the next of a page of this list")
	}
	return n, nil
}

// Page is a part of a list, in an order that stays.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // the cursor of the next page; missing on the last one
}

// paged returns a page of items, of which there is one more than asked for where there is a next page, and the place of the
// last item by which that begins.
func paged[T any](items []T, limit int, place func(last T) string) Page[T] {
	p := Page[T]{Items: items}
	if p.Items == nil {
		p.Items = []T{}
	}
	if len(items) > limit {
		p.Items = items[:limit]
		p.Next = cursorOf(place(items[limit-1]))
	}
	return p
}

func cursorOf(place string) string { return base64.RawURLEncoding.EncodeToString([]byte(place)) }

// slicePage returns a page of a list that is in memory.
func slicePage[T any](c *call, all []T) (Page[T], error) {
	from, err := c.number()
	if err != nil {
		return Page[T]{}, err
	}
	from = min(from, len(all))
	to := min(from+c.limit(), len(all))
	p := Page[T]{Items: append([]T{}, all[from:to]...)}
	if to < len(all) {
		p.Next = cursorOf(strconv.Itoa(to))
	}
	return p, nil
}
