package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hostctl/reconciler/web/api"
)

// stream is server-sent events that are read.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
}

type sent struct {
	id, kind, data string
}

// listen opens a stream on a server.
func listen(t *testing.T, s *httptest.Server, token, path, last string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1"+path, http.NoBody)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := s.Client().Do(r)
	must(t, err)
	end := func() { cancel(); _ = resp.Body.Close() }
	t.Cleanup(end)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		end()
		t.Fatalf("%s: %s", path, resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return &stream{t, lines}
}

// next returns the next event; false at the end of the stream.
func (s *stream) next() (e sent, ok bool) {
	for s.lines.Scan() {
		key, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch key {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			e.data = value
		case "":
			if e != (sent{}) {
				return e, true
			}
		}
	}
	return e, false
}

// until reads events up to one of a kind.
func (s *stream) until(kind string) []sent {
	s.t.Helper()
	for all := []sent{}; ; {
		e, ok := s.next()
		if !ok {
			s.t.Fatalf("the stream ends after %d events, without %s", len(all), kind)
		}
		if all = append(all, e); e.kind == kind {
			return all
		}
	}
}

func TestEvents(t *testing.T) {
	w := two(t)
	server := httptest.NewServer(w.api)
	t.Cleanup(server.Close)
	operator := listen(t, server, w.token("platform"), "/events", "")
	acme := listen(t, server, w.token("tenant:acme"), "/events", "")
	tree := clone(w.repo.commits[2].tree)
	for _, name := range []string{"acme", "globex"} {
		file := "tenants/" + name + "/site-0.yaml"
		tree[file] = strings.ReplaceAll(tree[file], "from: /", "from: /new")
	}
	id := w.apply(commit{tree, "both", []string{"tenants/acme", "tenants/globex"}})
	all := operator.until("applied")
	if all[0].kind != "planned" || !strings.Contains(all[0].data, `"run":4`) || len(all) < 4 {
		t.Errorf("the platform is told %+v", all)
	}
	var first api.Event
	e, _ := acme.next()
	must(t, json.Unmarshal([]byte(e.data), &first))
	if first.Change == nil || first.Change.Tenant != "acme" || first.Commit != id || first.Run != 4 || first.Change.ID != 0 || first.Text != "" {
		t.Errorf("acme is told %s", e.data)
	}

	// Who comes back is told what was missed, and who names an event of another process all that is known.
	again := listen(t, server, w.token("platform"), "/events", all[1].id).until("applied")
	if len(again) != len(all)-2 || again[0] != all[2] {
		t.Errorf("after %d of %d events there are %d", 2, len(all), len(again))
	}
	if lost := listen(t, server, w.token("platform"), "/events", strings.Repeat("0", 32)).until("applied"); !strings.Contains(lost[0].data, commitID(1)) {
		t.Errorf("of another process: %+v", lost[0])
	}
	for token, want := range map[string]bool{"tenant:acme": false, "platform": true} {
		run := listen(t, server, w.token(token), "/runs/4/events", "").until("run")
		theirs := false
		for _, e := range run {
			theirs = theirs || strings.Contains(e.data, "globex")
			if strings.Contains(e.data, commitID(3)) {
				t.Errorf("of another run: %s", e.data)
			}
		}
		var last api.Run
		must(t, json.Unmarshal([]byte(run[len(run)-1].data), &last))
		if last.ID != 4 || last.State != "succeeded" || theirs != want || len(run) < 3 {
			t.Errorf("%s is told of the run %+v", token, run)
		}
	}
	if out := w.get(w.token("tenant:acme"), "/runs/2/events"); out.Code != http.StatusNotFound {
		t.Errorf("the events of a run of globex alone: %d", out.Code)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	w := two(t)
	done := make(chan struct{})
	w.api.Done = done
	server := httptest.NewServer(w.api)
	t.Cleanup(server.Close)
	token := w.token("tenant:acme")
	var open []*stream
	for range 4 {
		open = append(open, listen(t, server, token, "/events", ""))
	}
	if out := w.get(token, "/events"); out.Code != http.StatusTooManyRequests {
		t.Errorf("one stream too many: %d", out.Code)
	}
	if out := w.get(w.token("platform"), "/runs/1/events"); out.Code != http.StatusOK {
		t.Errorf("another token's: %d", out.Code)
	}
	close(done)
	for _, s := range open {
		if e, ok := s.next(); ok {
			t.Errorf("after its hostd leads no more a stream tells %+v", e)
		}
	}
	if out := w.get(token, "/events"); out.Code != http.StatusOK {
		t.Errorf("when the others have ended: %d", out.Code)
	}
}
