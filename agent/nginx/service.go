package nginx

import (
	"path"

	"hostctl/planner"
)

// renderService passes requests to a site's own service. Files of the document root are served as they are; a site that
// names none has none, for its folder holds its code.
func renderService(w *writer, v planner.Vhost, p paths) {
	socket := path.Join(p.apps, v.Name, string(v.Type)+"-"+v.Version, "current", "sock")
	if v.DocumentRoot != "" {
		w.line("    location / { try_files $uri @service; }")
	} else {
		w.line("    location / { try_files %s @service; }", quote("/.hostctl/none"))
	}
	w.line("    location @service { proxy_pass %s; }", quote("http://unix:"+socket))
}

// proxied is what a service is told of a request. What the client says of itself in these is never handed on; HTTP_PROXY
// is what a program would take the header Proxy for (https://httpoxy.org).
var proxied = []string{
	"Host $host",
	"X-Real-IP $remote_addr",
	"X-Forwarded-For $remote_addr",
	"X-Forwarded-Host $host",
	"X-Forwarded-Proto $hostctl_scheme",
	"Upgrade $http_upgrade",
	"Connection $hostctl_connection",
	`Proxy ""`,
}
