package schema

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"
)

// Serving is how the web server serves a webroot, beyond its runtime and redirects. The zero value is the usual way.
type Serving struct {
	Auth        *HTTPAuth         `json:"auth,omitempty"`
	ErrorPages  map[string]string `json:"errorPages,omitempty"`  // status → path in the document root, of what the web server itself refuses
	MaxBody     int64             `json:"maxBody,omitempty"`     // bytes of a request; 0 means the node's
	Listing     bool              `json:"listing,omitempty"`     // a folder without an index page is listed
	Allow       []string          `json:"allow,omitempty"`       // networks; where there are any, nobody else gets in
	Deny        []string          `json:"deny,omitempty"`        // networks; they win over Allow
	Rate        *Rate             `json:"rate,omitempty"`        // of requests of one address
	Maintenance *Maintenance      `json:"maintenance,omitempty"` // where set, all is answered with 503
}

// HTTPAuth lets nobody in without a name and a password (RFC 7617).
type HTTPAuth struct {
	Realm string              `json:"realm"`
	Users map[string]HTTPUser `json:"users"` // by name
}

// HTTPUser is somebody who may come in.
type HTTPUser struct {
	PasswordHash string `json:"passwordHash"` // crypt(5): bcrypt, sha512crypt or sha256crypt
}

// Rate limits requests of one client address.
type Rate struct {
	PerSecond int `json:"perSecond"`
	Burst     int `json:"burst"` // how many more at once are let through
}

// Maintenance answers every request with 503 (RFC 9110 15.6.4).
type Maintenance struct {
	Page string `json:"page,omitempty"` // path in the document root; "" is the server's own
}

// Equal reports whether two are the same.
func (s Serving) Equal(o Serving) bool {
	return s.Auth.equal(o.Auth) && maps.Equal(s.ErrorPages, o.ErrorPages) && s.MaxBody == o.MaxBody && s.Listing == o.Listing &&
		slices.Equal(s.Allow, o.Allow) && slices.Equal(s.Deny, o.Deny) && same(s.Rate, o.Rate) && same(s.Maintenance, o.Maintenance)
}

func (a *HTTPAuth) equal(b *HTTPAuth) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Realm == b.Realm && maps.Equal(a.Users, b.Users)
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// Check refuses what no Webroot can say.
func (s Serving) Check() error {
	var errs []error
	if s.Auth != nil {
		errs = append(errs, CheckRealm(s.Auth.Realm))
		for _, name := range sortedKeys(s.Auth.Users) {
			errs = append(errs, CheckHTTPUser(name), CheckHTTPPassword(s.Auth.Users[name].PasswordHash))
		}
	}
	for _, status := range sortedKeys(s.ErrorPages) {
		errs = append(errs, CheckErrorStatus(status), CheckPagePath(s.ErrorPages[status]))
	}
	for _, network := range slices.Concat(s.Allow, s.Deny) {
		if normal, err := ParseClients(network); err != nil || normal != network {
			errs = append(errs, fmt.Errorf("%q isn't a network", shorten(network)))
		}
	}
	if s.Rate != nil && (s.Rate.PerSecond < 1 || s.Rate.PerSecond > maxRate || s.Rate.Burst < 0 || s.Rate.Burst > maxRate) {
		errs = append(errs, errors.New("the rate is out of its range"))
	}
	if s.Maintenance != nil && s.Maintenance.Page != "" {
		errs = append(errs, CheckPagePath(s.Maintenance.Page))
	}
	if s.MaxBody < 0 {
		errs = append(errs, errors.New("the size of a request's body is below zero"))
	}
	return errors.Join(errs...)
}

const maxRate = 100_000 // requests

var (
	realmPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 .,:'()!?&+/_-]{0,63}$`)
	httpUser     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$`)
	bcryptHash   = regexp.MustCompile(`^\$2[aby]\$0[4-8]\$[./A-Za-z0-9]{53}$`)
	shaHash      = regexp.MustCompile(`^\$(5|6)\$(rounds=([1-9][0-9]{3}|10000)\$)?[./A-Za-z0-9]{1,16}\$([./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})$`)
)

// CheckRealm accepts the text that a browser shows when it asks for a password.
func CheckRealm(s string) error {
	if !realmPattern.MatchString(s) {
		return fmt.Errorf(`%q isn't a realm; write at most 64 letters, digits, spaces and .,:'()!?&+/_-`, shorten(s))
	}
	return nil
}

// CheckHTTPUser accepts a user's name.
func CheckHTTPUser(s string) error {
	if !httpUser.MatchString(s) {
		return fmt.Errorf("%q isn't a user's name; write at most 64 letters, digits and ._@+-", shorten(s))
	}
	return nil
}

// CheckHTTPPassword accepts a hash that the web server can compare in a few milliseconds: it does so for each request, and
// meanwhile answers nobody. The hash isn't quoted in the error: it may be a password.
func CheckHTTPPassword(s string) error {
	if !bcryptHash.MatchString(s) && !shaHash.MatchString(s) {
		return errors.New("isn't the hash of a password; make one with 'openssl passwd -6' or 'htpasswd -nB' (bcrypt of cost 4 to 8)")
	}
	return nil
}

// errorStatuses are what the web server itself answers.
var errorStatuses = []string{"403", "404", "410", "413", "429", "500", "502", "503", "504"}

// CheckErrorStatus accepts a status that may have a page.
func CheckErrorStatus(s string) error {
	if !slices.Contains(errorStatuses, s) {
		return fmt.Errorf("%q can't have a page; these can: %v", shorten(s), errorStatuses)
	}
	return nil
}

var pagePattern = regexp.MustCompile(`^/[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)

// CheckPagePath accepts the path of a page in the document root.
func CheckPagePath(s string) error {
	if !pagePattern.MatchString(s) || len(s) > 255 {
		return fmt.Errorf("%q isn't the path of a page; write one such as /errors/404.html", shorten(s))
	}
	return nil
}

// ParseClients reads an address or a network in CIDR notation, and returns the network.
func ParseClients(s string) (string, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()).String(), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return "", fmt.Errorf("%q isn't an address or a network; write one such as 192.0.2.0/24 or 2001:db8::/32", shorten(s))
	}
	if p != p.Masked() {
		return "", fmt.Errorf("%q has bits behind its prefix; write %s", shorten(s), p.Masked())
	}
	return p.String(), nil
}

// serving decodes how a webroot is served.
func (d *decoder) serving(spec *yaml.Node, w *Webroot) {
	access, rate, maintenance := child(spec, "access"), child(spec, "rateLimit"), child(spec, "maintenance")
	listing := child(spec, "directoryListing")
	s := &w.Serving
	s.Auth = d.httpAuth(child(spec, "httpAuth"))
	s.ErrorPages = d.errorPages(child(spec, "errorPages"))
	s.MaxBody = parsed(d, child(spec, "maxBodySize"), ParseQuantity)
	s.Listing = d.flag(listing, false)
	s.Allow, s.Deny = list(d, child(access, "allow"), ParseClients), list(d, child(access, "deny"), ParseClients)
	d.unique(child(access, "allow"), s.Allow)
	d.unique(child(access, "deny"), s.Deny)
	if s.Listing && w.Runtime.Type.Service() {
		d.fail(listing, "is for php and static sites; a %s site answers for its folders itself", w.Runtime.Type)
	}
	if rate != nil {
		s.Rate = &Rate{PerSecond: d.integer(child(rate, "perSecond"), 0), Burst: d.integer(child(rate, "burst"), 0)}
	}
	if maintenance != nil {
		s.Maintenance = &Maintenance{Page: d.value(child(maintenance, "page"), CheckPagePath)}
	}
	d.pagesOnce(spec, w)
}

// pagesOnce refuses a page that is redirected: the web server could do only one of the two.
func (d *decoder) pagesOnce(spec *yaml.Node, w *Webroot) {
	for _, r := range w.Redirects {
		for _, status := range sortedKeys(w.Serving.ErrorPages) {
			if w.Serving.ErrorPages[status] == r.From {
				d.fail(child(child(spec, "errorPages"), status), "%s is redirected, so nobody would see it; take one out", r.From)
			}
		}
		if w.Serving.Maintenance != nil && w.Serving.Maintenance.Page == r.From {
			d.fail(child(child(spec, "maintenance"), "page"), "%s is redirected, so nobody would see it; take one out", r.From)
		}
	}
}

func (d *decoder) httpAuth(n *yaml.Node) *HTTPAuth {
	if n == nil {
		return nil
	}
	a := &HTTPAuth{Realm: d.value(child(n, "realm"), CheckRealm), Users: map[string]HTTPUser{}}
	if child(n, "realm") == nil {
		a.Realm = "Restricted"
	}
	for _, u := range items(child(n, "users")) {
		name := d.value(child(u, "name"), CheckHTTPUser)
		if _, twice := a.Users[name]; twice && name != "" {
			d.fail(child(u, "name"), "%q stands twice; keep one", name)
		}
		a.Users[name] = HTTPUser{PasswordHash: d.value(child(u, "passwordHash"), CheckHTTPPassword)}
	}
	return a
}

func (d *decoder) errorPages(n *yaml.Node) map[string]string {
	return d.strings(n, func(status, path string) error {
		if _, err := strconv.Atoi(status); err != nil {
			return fmt.Errorf("%q isn't a status; these can have a page: %v", shorten(status), errorStatuses)
		}
		return errors.Join(CheckErrorStatus(status), CheckPagePath(path))
	})
}
