package haproxy_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/executors/haproxy"
	"hostctl/planner"
	"hostctl/schema"
)

func secureRoute(host, backend string) planner.Route {
	return planner.Route{Meta: meta(host), Backend: backend, ForceHTTPS: true, HSTS: &schema.HSTS{MaxAge: 31536000, IncludeSubDomains: true}}
}

func routeAway(host, to string) planner.Route {
	return planner.Route{Meta: meta(host), Redirect: to, Code: http.StatusMovedPermanently}
}

// What docs/external.md puts into haproxy.cfg answers as managed load balancers do: with each name's own certificate, with redirects,
// and with HSTS; and it does so after HAProxy's owner has started it anew. What others have there is answered as before.
func TestExternalAnswers(t *testing.T) {
	b, a := startOthers(t), newAuthority(t)
	o := b.externalOptions(false)
	o.Key = a.key
	e := haproxy.NewExternal(o)
	made := planner.Cert{Meta: meta("made.example.com"), SelfSigned: true}
	objects := []planner.Object{
		ca(a, "shop.example.com"), made, backendOf("far"),
		secureRoute("shop.example.com", "far"), routeOf("made.example.com", "far"), routeAway("www.example.com", "https://shop.example.com"),
	}
	apply(t, e, create(objects...))
	b.wantAnswers(t, a)
	docker(t, "restart", "-t", "0", b.name)
	until(t, "HAProxy is back", func() error {
		_, err := b.handshake("shop.example.com", a.pool())
		return err
	})
	b.wantAnswers(t, a)
	if info, err := os.Stat(b.dir + "/list.hostctl/shop.example.com.pem"); err != nil || info.Mode() != 0o400 {
		t.Errorf("the file with the key: %v, %v", info.Mode(), err)
	}

	renewed := a.cert("shop.example.com", "2")
	apply(t, e, []planner.Change{
		{Action: planner.Update, Old: objects[0], New: renewed},
		{ID: 1, Action: planner.Update, Old: objects[3], New: routeAway("shop.example.com", "https://made.example.com")},
		{ID: 2, Action: planner.Update, Old: objects[5], New: routeOf("www.example.com", "far")},
	})
	if state, err := b.handshake("shop.example.com", a.pool()); err != nil || !strings.HasPrefix(renewed.Chain, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: state.PeerCertificates[0].Raw}))) {
		t.Errorf("the certificate isn't the one that was set: %v", err)
	}
	alone := renewed // the same certificate, and another chain
	first, _ := pem.Decode([]byte(renewed.Chain))
	alone.Chain = string(pem.EncodeToMemory(first))
	apply(t, e, []planner.Change{{Action: planner.Update, Old: renewed, New: alone}})
	if state, err := b.handshake("shop.example.com", nil); err != nil || len(state.PeerCertificates) != 1 {
		t.Errorf("a chain of %d, %v; want the one that was set, of 1", len(state.PeerCertificates), err)
	}
	b.wantAnswer(t, "https://shop.example.com/a", http.StatusMovedPermanently, "location: https://made.example.com/a")
	b.wantAnswer(t, "http://www.example.com/", http.StatusOK, "")

	apply(t, e, remove(routeOf("shop.example.com", "far"), routeOf("made.example.com", "far"), routeOf("www.example.com", "far"), renewed, made, backendOf("far")))
	for _, host := range []string{"shop.example.com", "made.example.com"} {
		if _, err := b.handshake(host, nil); err == nil {
			t.Errorf("%s is still answered with a certificate", host)
		}
	}
	b.wantOthers(t)
	if _, err := os.Stat(b.dir + "/list.hostctl"); !os.IsNotExist(err) {
		t.Errorf("the folder of keys is left: %v", err)
	}
	if left := b.read(t, "hosts.map") + b.read(t, "rules.map") + b.read(t, "list"); strings.Contains(left, "# hostctl") {
		t.Errorf("something of ours is left:\n%s", left)
	}
}

func (b *balancer) wantAnswers(t *testing.T, a *authority) {
	t.Helper()
	for host, roots := range map[string]*x509.CertPool{"shop.example.com": a.pool(), "made.example.com": nil, "theirs.example.com": nil} {
		state, err := b.handshake(host, roots)
		if err != nil || state.PeerCertificates[0].VerifyHostname(host) != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := b.handshake("unknown.example.com", nil); err == nil {
		t.Error("an unknown name is answered with somebody's certificate")
	}
	b.wantAnswer(t, "https://shop.example.com/a?b=c", http.StatusOK, "strict-transport-security: max-age=31536000; includeSubDomains")
	b.wantAnswer(t, "http://shop.example.com/a?b=c", http.StatusPermanentRedirect, "location: https://shop.example.com/a?b=c")
	b.wantAnswer(t, "http://www.example.com/a?b=c", http.StatusMovedPermanently, "location: https://shop.example.com/a?b=c")
	b.wantAnswer(t, "http://made.example.com/", http.StatusOK, "")
	b.wantAnswer(t, "http://moved.example.com/", http.StatusFound, "location: https://example.com/")
	b.wantAnswer(t, "http://legacy.example.com/", http.StatusOK, "")
	b.wantAnswer(t, "http://unknown.example.com/", http.StatusMisdirectedRequest, "")
}

// wantAnswer asks, and checks the status and one header.
func (b *balancer) wantAnswer(t *testing.T, url string, status int, header string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.1")
	resp, err := b.client(nil).Do(req)
	if err != nil {
		t.Errorf("GET %s: %v", url, err)
		return
	}
	resp.Body.Close()
	name, value, _ := strings.Cut(header, ": ")
	if resp.StatusCode != status || name != "" && resp.Header.Get(name) != value {
		t.Errorf("GET %s: %d, %s %q; want %d, %q", url, resp.StatusCode, name, resp.Header.Get(name), status, value)
	}
}

// A certificate that HAProxy doesn't take is in no file: with it in the list HAProxy wouldn't start again.
func TestExternalCertTooLarge(t *testing.T) {
	b, a := startOthers(t), newAuthority(t)
	o := b.externalOptions(false)
	o.Key = a.key
	e := haproxy.NewExternal(o)
	good := ca(a, "shop.example.com")
	apply(t, e, create(good))
	large := good
	large.Chain += strings.Repeat(large.Chain, 20) // more than the 16 KiB of tune.bufsize
	other := ca(a, "www.example.com")
	other.Chain += strings.Repeat(other.Chain, 20)
	errs := e.Apply(t.Context(), []planner.Change{{Action: planner.Update, Old: good, New: large}, {ID: 1, Action: planner.Create, New: other}})
	for i, err := range errs {
		if err == nil {
			t.Errorf("change %d went well: want HAProxy to refuse it", i)
		}
	}
	if got := observe(t, e); len(got) != 1 || planner.HashOf(got[0]) != planner.HashOf(good) {
		t.Errorf("it has %d objects, want the certificate from before alone", len(got))
	}
	docker(t, "restart", "-t", "0", b.name)
	until(t, "HAProxy is back", func() error {
		if _, err := b.handshake("shop.example.com", a.pool()); err != nil {
			return err
		}
		_, err := e.Observe(t.Context())
		if executors.KindOf(err) == executors.Unreachable {
			return fmt.Errorf("it doesn't answer: %w", err)
		}
		return err
	})
}
