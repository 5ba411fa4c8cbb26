package nginx

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hostctl/planner"
	"hostctl/schema"
)

// renderZone makes the memory in which nginx counts a site's requests (ngx_http_limit_req_module). A megabyte holds the
// last requests of 16,000 addresses; when it is full, the oldest are forgotten.
func renderZone(w *writer, v planner.Vhost) {
	if r := v.Serving.Rate; r != nil {
		w.line("limit_req_zone $binary_remote_addr zone=%s:1m rate=%dr/s;", v.Name, r.PerSecond)
	}
}

// renderServing writes how a site is served, for all of its locations.
func renderServing(w *writer, v planner.Vhost, p paths) {
	s := v.Serving
	if s.Auth != nil {
		w.line("    auth_basic %s;", quote(s.Auth.Realm))
		w.line("    auth_basic_user_file %s;", quote(filepath.Join(p.auth, usersFile(v.Name, s.Auth))))
	}
	for _, network := range s.Deny { // the first that matches decides (ngx_http_access_module)
		w.line("    deny %s;", network)
	}
	for _, network := range s.Allow {
		w.line("    allow %s;", network)
	}
	if len(s.Allow) > 0 {
		w.line("    deny all;")
	}
	if s.MaxBody > 0 {
		w.line("    client_max_body_size %d;", s.MaxBody)
	}
	if s.Listing {
		w.line("    autoindex on;")
	}
	if r := s.Rate; r != nil {
		w.line("    limit_req zone=%s burst=%d nodelay;", v.Name, r.Burst)
		w.line("    limit_req_status 429;")
		w.line("    limit_req_log_level info;") // the access log has it
	}
	renderPages(w, s)
}

// renderPages makes pages of errors. Whoever is refused may see the page that says so; by itself nobody can ask for it.
func renderPages(w *writer, s schema.Serving) {
	pages := maps.Clone(s.ErrorPages)
	if s.Maintenance != nil {
		pages = nil
	}
	if s.Maintenance != nil && s.Maintenance.Page != "" {
		pages = map[string]string{"503": s.Maintenance.Page}
	}
	for _, status := range slices.Sorted(maps.Keys(pages)) {
		w.line("    error_page %s %s;", status, quote(pages[status]))
	}
	if m := s.Maintenance; m != nil && m.Page != "" { // who asks for the page by itself is told the same
		w.line("    error_page 404 =503 %s;", quote(m.Page))
	}
	for _, page := range slices.Compact(slices.Sorted(maps.Values(pages))) {
		w.line("    location = %s { internal; auth_basic off; allow all; try_files $uri =404; }", quote(page))
	}
}

// renderMaintenance answers everything with 503.
func renderMaintenance(w *writer) {
	w.line("    add_header Retry-After 600 always;")
	w.line("    location / { return 503; }")
}

// suspendedPage is what visitors see of a suspended tenant's sites. Why it is suspended isn't theirs to know.
const suspendedPage = `<!doctype html><html lang=en><meta charset=utf-8><title>Suspended</title><p>This site is suspended.</p></html>`

// renderQuiet answers requests that may write with 503: they can be sent again in a moment. Methods are those that are safe by
// RFC 9110, 9.2.1. It is done in the rewrite phase, before a location is chosen, so that none has its own way.
func renderQuiet(w *writer) {
	w.line(`    set $quiet "";`)
	w.line(`    add_header Retry-After $quiet always;`) // one that is empty isn't sent
	w.line(`    if ($request_method !~ "^(?:GET|HEAD|OPTIONS)$") {`)
	w.line(`        set $quiet 3;`)
	w.line(`        return 503;`)
	w.line(`    }`)
}

// renderSuspended answers everything with 503, whoever asks, and with nothing of the site's own.
func renderSuspended(w *writer) {
	w.line("    add_header Cache-Control no-store always;")
	w.line("    default_type text/html;")
	w.line("    location / { return 503 %s; }", quote(suspendedPage))
}

// users is a file of names and password hashes (ngx_http_auth_basic_module).
func users(a *schema.HTTPAuth) []byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(a.Users)) {
		fmt.Fprintf(&b, "%s:%s\n", name, a.Users[name].PasswordHash)
	}
	return []byte(b.String())
}

// usersFile names a site's file of users after what it holds: the configuration before and the next one each have theirs.
func usersFile(vhost string, a *schema.HTTPAuth) string {
	sum := sha256.Sum256(users(a))
	return vhost + "." + hex.EncodeToString(sum[:16])
}

// putUsers writes the files of users that vhosts need. nginx's workers read them for each request; tenants can't.
func (m *Manager) putUsers(of map[string]schema.Serving) error {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		a := of[name].Auth
		if a == nil {
			continue
		}
		gid, err := m.webGroup()
		if err != nil {
			return err
		}
		if err := errors.Join(os.MkdirAll(m.o.Users, 0o710), os.Chmod(m.o.Users, 0o710), os.Chown(m.o.Users, 0, gid)); err != nil { //nolint:gosec // for nginx's group alone
			return err
		}
		path := filepath.Join(m.o.Users, usersFile(name, a))
		if err := os.WriteFile(path+".next", users(a), 0o600); err != nil {
			return err
		}
		if err := errors.Join(os.Chown(path+".next", 0, gid), os.Chmod(path+".next", 0o640), os.Rename(path+".next", path)); err != nil { //nolint:gosec // for nginx's group alone
			return err
		}
	}
	return nil
}

func (m *Manager) webGroup() (int, error) {
	g, err := user.LookupGroup(m.o.Web)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// sweepUsers removes the files of users that vhosts don't need any more.
func (m *Manager) sweepUsers(of map[string]schema.Serving) error {
	entries, err := os.ReadDir(m.o.Users)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		site := strings.TrimSuffix(e.Name(), ".next")
		site = strings.TrimSuffix(site, filepath.Ext(site))
		s, changed := of[site]
		if changed && (s.Auth == nil || usersFile(site, s.Auth) != e.Name()) {
			errs = append(errs, os.Remove(filepath.Join(m.o.Users, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// hasUsers reports whether a vhost's file of users is as it was written.
func (m *Manager) hasUsers(v planner.Vhost) bool {
	a := v.Serving.Auth
	if a == nil {
		return true
	}
	have, err := os.ReadFile(filepath.Join(m.o.Users, usersFile(v.Name, a)))
	return err == nil && string(have) == string(users(a))
}
