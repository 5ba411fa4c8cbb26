package haproxy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hostctl/planner"
)

// marker begins what is ours in haproxy.cfg.
const marker = "# hostctl: all below is generated, and read back. Changes made here by hand are lost."

// unknown is the backend of names that no route has. A shard can't have its name, for no slug has an underscore.
const unknown = "be_unknown"

// frontend is how requests come in. What a visitor may not say about himself is removed. A name that isn't in the map, or
// whose backend isn't there, gets 421 (RFC 9110 15.5.20); not exactly one Host gets 400 (RFC 9112 3.2). A connection
// with TLS is for the name that it was made for alone: without a name, or with an unknown one, there is none, and another
// name on it gets 421, so that what is said of a name by its certificate and by Strict-Transport-Security is true.
// The fields of an entry of the map are those of route.go.
const frontend = `
frontend fe_http
    bind %s
    bind %s ssl crt-list %s alpn h2,http/1.1 strict-sni ssl-min-ver TLSv1.2
    option httplog
    http-request deny deny_status 400 unless { req.hdr_cnt(host) eq 1 }
    http-request del-header X-Forwarded- -m beg
    http-request del-header Forwarded
    http-request del-header X-Real-IP
    http-request del-header Proxy
    http-request set-header X-Forwarded-For %%[src]
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Proto https if { ssl_fc }
    http-request set-var(txn.host) req.hdr(host),host_only,lower,rtrim(.)
    http-request return status 421 content-type text/plain string "another name than the connection was made for\n" if { ssl_fc } !{ ssl_fc_sni,lower,rtrim(.),strcmp(txn.host) eq 0 }
    http-request set-var(txn.route) var(txn.host),map(%s,be_unknown)
%s    use_backend %%[var(txn.route),field(1,|)]
    default_backend be_unknown

backend be_unknown
    http-request return status 421 content-type text/plain string "no such site here\n"
`

// answers is what a load balancer answers by itself, as the entry of a host name in txn.route says.
const answers = `    http-request set-var(txn.hsts) var(txn.route),field(3,|)
    http-request set-var(txn.code) var(txn.route),field(4,|)
    http-request set-var(txn.to) var(txn.route),field(5,|)
    http-request redirect location https://%[var(txn.host)]%[pathq] code 308 if !{ ssl_fc } { var(txn.route),field(2,|) -m str https }
    http-request redirect location %[var(txn.to)] code 301 if { var(txn.code) -m str 301 }
    http-request redirect location %[var(txn.to)] code 302 if { var(txn.code) -m str 302 }
    http-request redirect location %[var(txn.to)] code 307 if { var(txn.code) -m str 307 }
    http-request redirect location %[var(txn.to)] code 308 if { var(txn.code) -m str 308 }
    http-request redirect location %[var(txn.to)]%[pathq] code 301 if { var(txn.code) -m str 301p }
    http-request redirect location %[var(txn.to)]%[pathq] code 302 if { var(txn.code) -m str 302p }
    http-request redirect location %[var(txn.to)]%[pathq] code 307 if { var(txn.code) -m str 307p }
    http-request redirect location %[var(txn.to)]%[pathq] code 308 if { var(txn.code) -m str 308p }
    http-after-response set-header Strict-Transport-Security "max-age=%[var(txn.hsts)]" if { ssl_fc } { var(txn.hsts) -m reg ^[0-9]+$ }
    http-after-response set-header Strict-Transport-Security "max-age=%[var(txn.hsts),field(1,s)]; includeSubDomains" if { ssl_fc } { var(txn.hsts) -m end s }
    http-after-response set-header Strict-Transport-Security "max-age=%[var(txn.hsts),field(1,s)]; includeSubDomains; preload" if { ssl_fc } { var(txn.hsts) -m end p }
`

// backend is a shard. A node that dies isn't seen: a request that couldn't be sent goes to the next server of the ring at
// once, and so does one that was sent and not answered, where sending it twice does no harm.
const backend = `
backend %s
    balance hash req.hdr(host),host_only,lower,rtrim(.)
    hash-type consistent
    timeout connect 1s
    timeout check 1s
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response
    http-request disable-l7-retry unless METH_GET
    option httpchk
    http-check send meth GET uri /.hostctl/healthz ver HTTP/1.1 hdr Host healthz.hostctl.invalid
    http-check expect status 200
`

// serverOptions are words of a server line, and of `add server`, which takes nothing from default-server. The place in the
// ring comes from the address, so it is the same on every load balancer and after each reload.
const serverOptions = "hash-key addr-port check inter 1s fastinter 500ms downinter 1s fall 2 rise 1"

// fullHealth is rise + fall - 1: the health of a server after a check that passed.
const fullHealth = "2"

// render returns haproxy.cfg.
func (o Options) render(m model) string {
	sections := o.sections(m)
	var b strings.Builder
	b.WriteString(m.head)
	fmt.Fprintf(&b, "%s\nglobal\n    description %s\n", marker, o.generation(m))
	for _, s := range sections {
		b.WriteString(s.text)
		for _, name := range slices.Sorted(maps.Keys(m.servers)) {
			if be, node, _ := strings.Cut(name, "/"); be == s.backend {
				fmt.Fprintf(&b, "    server %s\n", serverLine(node, m.servers[name]))
			}
		}
	}
	return b.String()
}

type section struct{ backend, text string }

func (o Options) sections(m model) []section {
	out := []section{{"", fmt.Sprintf(frontend, o.Bind, o.TLS, o.certList(), o.mapFile(), answers)}}
	for _, name := range slices.Sorted(maps.Keys(m.backends)) {
		out = append(out, section{name, fmt.Sprintf(backend, name)})
	}
	return out
}

// generation names everything that takes a reload: all but the servers. The running process shows it as its description.
func (o Options) generation(m model) string {
	h := sha256.New()
	h.Write([]byte(m.head))
	for _, s := range o.sections(m) {
		h.Write([]byte(s.text))
	}
	return "hostctl-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// serverLine is a server that isn't ready as one that is in maintenance: HAProxy has no word for one that drains. It has
// no connections right after a start, and is told its state then.
func serverLine(node string, s server) string {
	line := node + " " + s.address + " " + serverOptions
	if s.state != planner.ServerReady {
		line += " disabled # " + string(s.state)
	}
	return line
}

// parseConfig reads what render wrote, or the image's haproxy.cfg, of which only the global and defaults sections count.
func parseConfig(text string) (model, error) {
	m := model{backends: map[string]string{}, servers: map[string]server{}, routes: table{}}
	head, ours, generated := strings.Cut(text, marker+"\n")
	if !generated {
		m.head = beforeProxies(text)
		return m, nil
	}
	m.head = head
	current := ""
	for n, line := range strings.Split(ours, "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "frontend":
			current = ""
		case "backend":
			current = f[1]
			if current != unknown {
				m.backends[current] = balanceHost
			}
		case "server":
			s, err := parseServerLine(current, f)
			if err != nil {
				return model{}, fmt.Errorf("line %d: %w", n+2+strings.Count(head, "\n"), err)
			}
			m.servers[current+"/"+f[1]] = s
		}
	}
	return m, nil
}

func parseServerLine(backend string, f []string) (server, error) {
	if backend == "" || backend == unknown || len(f) < 3 {
		return server{}, fmt.Errorf("a server that isn't in a backend of ours")
	}
	s := server{address: f[2], state: planner.ServerReady}
	if slices.Contains(f, "disabled") {
		s.state = planner.ServerState(f[len(f)-1])
	}
	o := planner.Server{Meta: planner.Meta{Name: backend + "/" + f[1]}, Backend: backend, Node: f[1], Address: s.address, State: s.state}
	return s, checkServer(o)
}

// beforeProxies returns the sections before the first proxy: global and defaults.
func beforeProxies(text string) string {
	var b strings.Builder
	for line := range strings.SplitAfterSeq(text, "\n") {
		f := strings.Fields(line)
		if len(f) > 0 && (f[0] == "frontend" || f[0] == "backend" || f[0] == "listen") {
			break
		}
		b.WriteString(line)
	}
	return b.String()
}

// bufferSize is tune.bufsize as the image's global section has it: the most that a command with its payload may take.
func (m model) bufferSize() int {
	const otherwise = 16384
	for line := range strings.SplitSeq(m.head, "\n") {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "tune.bufsize" {
			if n, err := strconv.Atoi(f[1]); err == nil && n >= otherwise {
				return n
			}
		}
	}
	return otherwise
}
