package powerdns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"hostctl/executors"
)

// zone is a zone as the API has it. What isn't here isn't ours to set.
type zone struct {
	Name       string  `json:"name,omitempty"` // with trailing dot
	Kind       string  `json:"kind,omitempty"`
	Account    string  `json:"account"`
	APIRectify *bool   `json:"api_rectify,omitempty"`
	SOAEditAPI string  `json:"soa_edit_api,omitempty"`
	Serial     uint32  `json:"serial,omitempty"` // never set by us
	DNSSEC     bool    `json:"dnssec"`
	NSEC3Param string  `json:"nsec3param,omitempty"`
	RRsets     []rrset `json:"rrsets,omitempty"`

	// Of transfers. Nil leaves what there is.
	Catalog *string   `json:"catalog,omitempty"`             // with trailing dot; "" is none
	Keys    *[]string `json:"master_tsig_key_ids,omitempty"` // names of TSIG keys, with trailing dots

	meta map[string][]string // metadata, of zones that are transferred; nil: not read
}

// rrset is an RRset as the API has it, or a change of one.
type rrset struct {
	Name       string   `json:"name"` // with trailing dot
	Type       string   `json:"type"`
	TTL        int      `json:"ttl"`
	ChangeType string   `json:"changetype,omitempty"` // REPLACE or DELETE
	Records    []record `json:"records"`
}

type record struct {
	Content  string `json:"content"`
	Disabled bool   `json:"disabled"`
}

// key names an RRset.
type key struct{ name, typ string }

func (r rrset) key() key { return key{r.Name, r.Type} }

// Answers that callers branch on.
var (
	errNotFound = errors.New("there is no such zone")
	errExists   = errors.New("the zone exists")
)

// client speaks to one server. Its errors never hold the key.
type client struct {
	base string // …/api/v1/servers/localhost
	key  string
	http *http.Client
}

// newClient reads the key anew: it is another one after each start of the node.
func (e *Executor) newClient(ctx context.Context) (*client, error) {
	from, read := "its secret", e.o.Key
	if read == nil {
		from, read = e.o.KeyFile, e.o.readKey
	}
	k, err := read(ctx)
	if err != nil {
		return nil, executors.Errorf(executors.Unreachable, "powerdns: the API's key: %w", err)
	}
	k = strings.TrimSpace(k)
	if k == "" || strings.ContainsFunc(k, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, executors.Errorf(executors.Unreachable, "powerdns: the key in %s isn't one line of text", from)
	}
	return &client{base: strings.TrimSuffix(e.o.URL, "/") + "/api/v1/servers/localhost", key: k, http: e.o.HTTP}, nil
}

func (o Options) readKey(context.Context) (string, error) {
	b, err := os.ReadFile(o.KeyFile)
	return string(b), err
}

// zones lists all zones, without their RRsets and without asking whether each is signed.
func (c *client) zones(ctx context.Context) ([]zone, error) {
	var out []zone
	return out, c.call(ctx, http.MethodGet, "/zones?dnssec=false", nil, &out)
}

// zone returns a zone with all its RRsets, or with those of only.
func (c *client) zone(ctx context.Context, name string, only []key) (zone, error) {
	var out zone
	if len(only) == 0 {
		return out, c.call(ctx, http.MethodGet, "/zones/"+url.PathEscape(name), nil, &out)
	}
	var rrsets []rrset
	for _, k := range only {
		q := url.Values{"rrset_name": {k.name}, "rrset_type": {k.typ}}
		out = zone{}
		if err := c.call(ctx, http.MethodGet, "/zones/"+url.PathEscape(name)+"?"+q.Encode(), nil, &out); err != nil {
			return zone{}, err
		}
		rrsets = append(rrsets, out.RRsets...)
	}
	out.RRsets = rrsets
	return out, nil
}

// create makes a zone and returns it as it is then.
func (c *client) create(ctx context.Context, z zone) (made zone, err error) {
	return made, c.call(ctx, http.MethodPost, "/zones", z, &made)
}

// set changes a zone's own settings.
func (c *client) set(ctx context.Context, name string, z zone) error {
	return c.call(ctx, http.MethodPut, "/zones/"+url.PathEscape(name), z, nil)
}

// patch changes RRsets in one transaction.
func (c *client) patch(ctx context.Context, name string, rrsets []rrset) error {
	return c.call(ctx, http.MethodPatch, "/zones/"+url.PathEscape(name), zonePatch{rrsets}, nil)
}

type zonePatch struct {
	RRsets []rrset `json:"rrsets"`
}

func (c *client) remove(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/zones/"+url.PathEscape(name), nil, nil)
}

// maxAnswer bounds what is read of one answer: a zone of 100,000 RRsets is some 20 MB.
const maxAnswer = 256 << 20

// call sends in, where it isn't nil, and reads the answer into out, where it isn't nil.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	what := fmt.Sprintf("powerdns: %s %s", method, path)
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	req.Header.Set("X-API-Key", c.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return transportError(ctx, what, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return statusError(what, resp)
	}
	if out == nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return transportError(ctx, what, err)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return executors.Errorf(executors.Unknown, "%s: read the answer: %w", what, err)
	}
	return nil
}

// transportError is the error of a request that got no answer: what it asked for may have been done.
func transportError(ctx context.Context, what string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // u repeats method and address
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return executors.Errorf(executors.Canceled, "%s: %w", what, ctx.Err())
	case u != nil && u.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return executors.Errorf(executors.Busy, "%s: no answer in time", what)
	}
	return executors.Errorf(executors.Unreachable, "%s: %w", what, err)
}

// statusError is the error of an answer that says no.
func statusError(what string, resp *http.Response) error {
	text := answerText(resp.Body)
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound:
		return executors.Errorf(executors.Conflict, "%s: %w", what, errNotFound)
	case code == http.StatusConflict:
		return executors.Errorf(executors.Conflict, "%s: %w", what, errExists)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return executors.Errorf(executors.Unreachable, "%s: it doesn't take our key", what)
	case code == http.StatusBadRequest, code == http.StatusUnprocessableEntity, code == http.StatusRequestEntityTooLarge:
		return executors.Errorf(executors.Refused, "%s: %s", what, text)
	case code >= 300 && code < 400:
		return executors.Errorf(executors.Unknown, "%s: it answers from elsewhere (%d); name the API's own address", what, code)
	case code == http.StatusTooManyRequests, code >= 500:
		return executors.Errorf(executors.Busy, "%s: %d: %s", what, code, text)
	default:
		return executors.Errorf(executors.Unknown, "%s: %d: %s", what, code, text)
	}
}

// answerText returns what an answer says: {"error": "…"} or plain text, one short line of it.
func answerText(r io.Reader) string {
	const most = 400
	b, _ := io.ReadAll(io.LimitReader(r, 64<<10)) // as much as there is
	var e struct {
		Error string `json:"error"`
	}
	text := string(b)
	if json.Unmarshal(b, &e) == nil && e.Error != "" {
		text = e.Error
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, text)
	if len(text) > most {
		text = text[:most] + "..."
	}
	return text
}
