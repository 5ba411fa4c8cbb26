package nginx

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"hostctl/agent/allow"
	"hostctl/planner"
	"hostctl/schema"
)

// check refuses a vhost that holds anything but what its grammars allow.
func check(v planner.Vhost) error {
	errs := []error{allow.Site(v.Name, v.Tenant, v.Site)}
	for _, h := range v.Hostnames {
		errs = append(errs, allow.Hostname(h))
	}
	if v.DocumentRoot != "" {
		errs = append(errs, schema.CheckRelPath(v.DocumentRoot))
	}
	switch v.Type {
	case schema.RuntimePHP:
		errs = append(errs, allow.Version(v.Version))
	case schema.RuntimeNode, schema.RuntimePython, schema.RuntimeRuby:
		errs = append(errs, schema.CheckVersion(v.Version))
	case schema.RuntimeStatic:
	default:
		errs = append(errs, fmt.Errorf("this version serves no %q sites", v.Type))
	}
	errs = append(errs, v.Serving.Check())
	for _, a := range v.Front {
		errs = append(errs, allow.Front(a))
	}
	for _, r := range v.Redirects {
		errs = append(errs, checkRedirect(r))
	}
	return errors.Join(errs...)
}

func checkRedirect(r schema.Redirect) error {
	switch r.Status {
	case 301, 302, 307, 308:
	default:
		return fmt.Errorf("redirect of %q: status %d is none of 301, 302, 307, 308", r.From, r.Status)
	}
	if err := schema.CheckRedirectFrom(r.From); err != nil {
		return fmt.Errorf("redirect of %w", err)
	}
	if _, err := schema.ParseRedirectTo(r.To); err != nil {
		return fmt.Errorf("redirect to %w", err)
	}
	return nil
}

// escape writes what a URL may not hold plainly, and $, as %XX: in nginx a $ begins a variable wherever it stands, quoted
// or not, and there is no way to write one.
func escape(s string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!&'()*+,;=%"
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(plain, s[i]) >= 0 {
			b.WriteByte(s[i])
			continue
		}
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// quote writes a value as one quoted token (ngx_conf_read_token: in double quotes only " and \ mean something, and \t, \r
// and \n after a backslash). What may hold a $ must not stand where nginx looks for variables; see escape.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// paths are where a vhost's things are on the node.
type paths struct {
	tenants string // the sites
	php     string // sockets: <php>/<version>/current/<tenant>.<site>.sock
	apps    string // sockets: <apps>/<tenant>.<site>/<type>-<version>/current/sock
	logs    string
	auth    string // files of users: <auth>/<tenant>.<site>.<hash of the file>
}

func (p paths) logsOf(v planner.Vhost) (access, errors string) {
	return path.Join(p.logs, v.Name+".access.log"), path.Join(p.logs, v.Name+".error.log")
}

// render writes a vhost's file. The first line holds the object itself, so that what is in use can be read back.
func render(v planner.Vhost, p paths) ([]byte, error) {
	if err := check(v); err != nil {
		return nil, err
	}
	site := path.Join(p.tenants, v.Tenant, v.Site)
	w := &writer{}
	w.line("# hostctl %s", header(v))
	renderZone(w, v)
	w.line("server {")
	w.line("    listen 80;")
	w.line("    server_name%s;", names(v.Hostnames))
	w.line("    root %s;", quote(path.Join(site, v.DocumentRoot)))
	// A name without variables: with them nginx looks for the root first, and with disable_symlinks for a wrong one.
	access, errors := p.logsOf(v)
	w.line("    access_log %s combined;", quote(access))
	w.line("    error_log %s error;", quote(errors))
	// A symlink may lead only to what its owner owns: never into another tenant's site, nor into the system.
	w.line("    disable_symlinks if_not_owner from=%s;", quote(site))
	w.line("    absolute_redirect off;")
	// A reload closes connections that are kept idle, also one on which a load balancer is just sending its next request.
	// From 1.27.4 on keepalive_min_timeout prevents that; before, a request that isn't safe to repeat could be lost.
	w.line("    keepalive_timeout 0;")
	if v.Suspended {
		renderSuspended(w)
		w.line("}")
		return []byte(w.String()), nil
	}
	for _, f := range v.Front { // in place of nginx.conf's networks, in which tenants' programs run too (ngx_http_realip_module)
		for _, a := range trusted(f) {
			w.line("    set_real_ip_from %s;", a)
		}
	}
	if v.Quiet {
		renderQuiet(w)
	}
	renderServing(w, v, p)
	if v.Serving.Maintenance != nil {
		renderMaintenance(w)
		w.line("}")
		return []byte(w.String()), nil
	}
	for _, r := range v.Redirects {
		w.line("    location = %s { return %d %s; }", quote(r.From), r.Status, quote(escape(r.To)))
	}
	w.line("    location ^~ /.well-known/ {")
	w.line("        location ~* %s { return 404; }", quote(source))
	w.line("        try_files $uri =404;")
	w.line("    }")
	w.line("    location ~ %s { return 404; }", quote(`/\.`))
	switch v.Type {
	case schema.RuntimePHP:
		renderPHP(w, v, p)
	case schema.RuntimeNode, schema.RuntimePython, schema.RuntimeRuby:
		renderService(w, v, p)
	default:
		w.line("    index index.html index.htm;")
		w.line("    location ~* %s { return 404; }", quote(source))
		w.line("    location / { try_files $uri $uri/ =404; }")
	}
	w.line("}")
	return []byte(w.String()), nil
}

// source matches files that hold code, which is never sent as it is.
const source = `\.(php[0-9]*|phtml|phps|phar)$`

func renderPHP(w *writer, v planner.Vhost, p paths) {
	socket := path.Join(p.php, v.Version, "current", v.Name+".sock")
	w.line("    index index.php index.html index.htm;")
	w.line("    location ~ %s {", quote(`\.php$`))
	w.line("        try_files $uri =404;") // only what is there: never /upload.jpg/x.php
	w.line("        fastcgi_pass %s;", quote("unix:"+socket))
	w.line("    }")
	w.line("    location ~* %s { return 404; }", quote(source))
	w.line("    location / { try_files $uri $uri/ /index.php$is_args$args; }")
}

func names(hosts []string) string {
	if len(hosts) == 0 {
		return ` "none.hostctl.invalid"` // a site whose last name went is still there
	}
	var b strings.Builder
	for _, h := range hosts {
		b.WriteString(" " + quote(h))
	}
	return b.String()
}

// common is what all vhosts share: in http{}, so that each inherits it. marker is the generation's own server.
func common(n int) []byte {
	w := &writer{}
	w.line("map $http_x_forwarded_proto $hostctl_https { default %s; https on; }", quote(""))
	w.line("map $http_x_forwarded_proto $hostctl_scheme { default $scheme; https https; }")
	w.line("map $http_upgrade $hostctl_connection { default upgrade; %s close; }", quote(""))
	w.line("fastcgi_read_timeout 300s;")
	w.line("proxy_read_timeout 300s;")
	w.line("proxy_http_version 1.1;")
	for _, h := range proxied {
		w.line("proxy_set_header %s;", h)
	}
	for _, p := range fastcgi {
		w.line("fastcgi_param %s;", p)
	}
	w.line("server {")
	w.line("    listen 80;")
	w.line("    server_name %s;", markerHost)
	w.line("    location / { return 200 %s; }", quote(fmt.Sprintf("%d\n", n)))
	w.line("}")
	return []byte(w.String())
}

// fastcgi is what PHP is told. The names of files are resolved, so that a site that is switched by a symlink takes effect
// at once; HTTP_PROXY is never the client's (https://httpoxy.org).
var fastcgi = []string{
	"SCRIPT_FILENAME $realpath_root$fastcgi_script_name",
	"DOCUMENT_ROOT $realpath_root",
	"SCRIPT_NAME $fastcgi_script_name",
	"DOCUMENT_URI $document_uri",
	"REQUEST_URI $request_uri",
	"QUERY_STRING $query_string",
	"REQUEST_METHOD $request_method",
	"REQUEST_SCHEME $hostctl_scheme",
	"CONTENT_TYPE $content_type",
	"CONTENT_LENGTH $content_length",
	"SERVER_PROTOCOL $server_protocol",
	"SERVER_SOFTWARE nginx",
	"SERVER_ADDR $server_addr",
	"SERVER_PORT $server_port",
	"SERVER_NAME $host",
	"REMOTE_ADDR $remote_addr",
	"REMOTE_PORT $remote_port",
	"GATEWAY_INTERFACE CGI/1.1",
	"REDIRECT_STATUS 200",
	"HTTPS $hostctl_https if_not_empty",
	`HTTP_PROXY ""`,
}

type writer struct{ strings.Builder }

func (w *writer) line(format string, args ...any) {
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

// header is a vhost in one line of JSON, without what isn't content.
func header(v planner.Vhost) []byte {
	v.From, v.On = planner.Owner{}, nil
	return planner.Encode(v)
}

// parse returns the vhost whose file this is: the one of its first line, if the rest is what that renders to.
func parse(file []byte, p paths) (planner.Vhost, error) {
	line, _, _ := strings.Cut(string(file), "\n")
	text, ok := strings.CutPrefix(line, "# hostctl ")
	if !ok || !json.Valid([]byte(text)) {
		return planner.Vhost{}, errors.New("not written by hostctl")
	}
	o, err := planner.Decode([]byte(text))
	if err != nil {
		return planner.Vhost{}, err
	}
	v, ok := o.(planner.Vhost)
	if !ok {
		return planner.Vhost{}, fmt.Errorf("it describes a %s", o.Ref().Kind)
	}
	want, err := render(v, p)
	if err != nil {
		return planner.Vhost{}, err
	}
	if string(want) != string(file) {
		return v, errChanged
	}
	return v, nil
}

var errChanged = errors.New("changed by somebody else")
