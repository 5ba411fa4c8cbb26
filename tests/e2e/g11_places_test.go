package e2e

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// forms returns a value as it stands in text, in JSON of bytes and in hex. Of base64 what is the same wherever the value
// begins in what was encoded.
func forms(value string) []string {
	all := []string{value, hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value)))}
	for shift := range 3 {
		text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + value))
		all = append(all, text[4:len(text)-4])
	}
	return all
}

func formsOf(values []string) (all []string) {
	for _, v := range values {
		all = append(all, forms(v)...)
	}
	return all
}

func holdsAny(text string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return strings.Contains(text, p) })
}

// wantClean looks for every value that there ever was in all places where none may be.
func (c *canary) wantClean(when string) {
	c.t.Helper()
	for _, args := range [][]string{
		{"status"}, {"status", "--json"}, {"history", "-C", c.Clone()}, {"drift"}, {"secret", "list"}, {"secret", "check", "-C", c.Clone()},
		{"why", "-C", c.Clone(), "shop.acme.test"}, {"graph", "-C", c.Clone()},
		{"inventory", "backup", filepath.Join(c.Dir, strings.ReplaceAll(when, " ", "-")+".backup")},
	} {
		c.hostctl(args...)
	}
	for _, path := range []string{"/metrics", "/readyz", "/local/v1/status", "/local/v1/drift"} {
		c.say("hostd "+path, c.ask(path))
	}
	c.sayAPI()
	history, err := exec.CommandContext(c.t.Context(), "git", "-C", c.Repo(), "log", "--all", "--patch").Output()
	c.must(err)
	c.say("the repository's history", string(history))
	c.say("a dump of the service database", withoutRows("tsigkeys", c.docker("exec", "--user", "postgres", c.container("eu-1-db-0"), "pg_dumpall")))
	c.say("a dump of MySQL", c.docker("exec", c.container("db-1-0"), "mysqldump", "--all-databases", "--hex-blob", "--skip-masking-policies"))
	patterns := formsOf(c.all)
	for _, s := range c.said {
		if s.what == "" || holdsAny(s.what, patterns) {
			c.t.Errorf("%s: %s has a value, or is empty (%d bytes)", when, s.where, len(s.what))
		}
	}
	c.wantFolderClean(when, patterns)
	nodes := c.containers()
	for _, node := range nodes {
		c.wantNodeClean(when, node, patterns)
	}
	if len(nodes) < 5 {
		c.t.Errorf("%s: looked into %v alone", when, nodes)
	}
}

// withoutRows takes the rows of a table out of a dump of PostgreSQL.
func withoutRows(table, dump string) string {
	before, rest, found := strings.Cut(dump, "COPY public."+table+" ")
	_, after, ended := strings.Cut(rest, "\n\\.\n")
	if !found || !ended {
		return "" // which is an error
	}
	return before + after
}

// sayAPI keeps what the read API tells those who may read everything, and the tenant.
func (c *canary) sayAPI() {
	c.t.Helper()
	_, rest, _ := strings.Cut(c.log()[strings.LastIndex(c.log(), "msg=watching"):], "health=")
	address := strings.Fields(rest)[0]
	for _, scope := range []string{"platform", "tenant:acme"} {
		name := strings.ReplaceAll(scope, ":", "-")
		_, _ = c.Hostctl(c.t.Context(), "token", "revoke", name) // of the time before
		token, err := c.Hostctl(c.t.Context(), "token", "create", "--scope", scope, "--expires", "1h", name)
		c.must(err)
		for _, path := range []string{
			"/status", "/resources?limit=1000", "/objects?limit=1000", "/why?name=shop.acme.test", "/runs", "/runs/1/changes?limit=1000", "/runs/1/plan?limit=1000",
			"/runs/1/events", "/plan", "/drift", "/resources/Webroot/shop", "/resources/Webroot/shop/history",
		} {
			req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://"+address+"/api/v1"+path, http.NoBody)
			c.must(err)
			req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
			resp, err := http.DefaultClient.Do(req)
			c.must(err)
			body, err := io.ReadAll(resp.Body)
			c.must(errors.Join(err, resp.Body.Close()))
			if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusConflict {
				c.t.Errorf("%s with a token of %s: %s %s", path, scope, resp.Status, body)
			}
			c.say(scope+"'s "+path, string(body))
		}
	}
}

// ask asks hostd by its socket.
func (c *canary) ask(path string) string {
	c.t.Helper()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(c.State(), "hostd.sock"))
	}}}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://hostd"+path, nil)
	c.must(err)
	resp, err := client.Do(req)
	c.must(err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	c.must(err)
	return string(body)
}

// wantFolderClean looks into all files of the platform outside of nodes: the inventory and its journal, hostd's log, the
// CA, the clone, saved plans and backups.
func (c *canary) wantFolderClean(when string, patterns []string) {
	c.t.Helper()
	read := map[string]bool{}
	c.must(filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read[filepath.Base(path)] = len(b) > 0
		if holdsAny(string(b), patterns) {
			c.t.Errorf("%s: %s has a value in clear", when, path)
		}
		return nil
	}))
	for _, file := range []string{"inventory.db", "hostd.log", "canary.sops.yaml"} {
		if !read[file] {
			c.t.Errorf("%s: %s was not looked into", when, file)
		}
	}
}

// wantNodeClean looks into the files of a node, its log and its settings.
func (c *canary) wantNodeClean(when, node string, patterns []string) {
	c.t.Helper()
	name := c.container(node)
	// The values go by standard input: as arguments they would be seen.
	grep := exec.CommandContext(c.t.Context(), "docker", "exec", "-i", name,
		"grep", "-rlsaF", "--devices=skip", "-f", "-", "/etc", "/run", "/var", "/srv", "/tmp", "/home", "/root", "/opt", "/usr/local")
	grep.Stdin = strings.NewReader(strings.Join(patterns, "\n") + "\n")
	out, err := grep.Output()
	if code := grep.ProcessState.ExitCode(); code < 0 || code > 2 || code == 2 && len(out) == 0 { // 2: some file can't be read
		c.t.Errorf("%s: look into %s: %v", when, node, err)
	}
	found := map[string]bool{} // folders of this node where values must be, and whether one is
	for _, f := range secretFields {
		for dir, nodes := range f.in {
			if strings.HasPrefix(node, string(nodes)) {
				found[dir] = false
			}
		}
	}
	for _, file := range strings.Fields(string(out)) {
		ok := false
		for dir := range found {
			if strings.HasPrefix(file, dir) {
				ok, found[dir] = true, true
			}
		}
		if !ok {
			c.t.Errorf("%s: %s of %s has a value in clear", when, file, node)
			continue
		}
		c.wantClosed(when, node, file)
	}
	for dir, is := range found {
		if !is {
			c.t.Errorf("%s: no value is in %s of %s, where it must be: nothing was looked for", when, dir, node)
		}
	}
	for _, what := range []string{"logs", "inspect"} {
		if text := c.docker(what, name); holdsAny(text, patterns) || text == "" {
			c.t.Errorf("%s: docker %s %s has a value, or nothing", when, what, name)
		}
	}
}

// wantClosed checks that nobody but root reads a file of a node: not those of its own site either.
func (c *canary) wantClosed(when, node, file string) {
	c.t.Helper()
	users := []string{"t-acme", "t-globex", "www-data"}
	if strings.HasPrefix(node, "db-") {
		users = []string{"mysql", "nobody"}
	}
	if strings.HasPrefix(node, "valkey-") {
		users = []string{"106400:106400", "nobody"} // the first instance's
	}
	if strings.HasPrefix(node, "eu-1-") {
		users = []string{"nobody"}
	}
	for _, user := range users {
		out, err := exec.CommandContext(c.t.Context(), "docker", "exec", "--user", user, c.container(node), "cat", file).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "Permission denied") {
			c.t.Errorf("%s: %s reads %s of %s, or it can't be said: %v", when, user, file, node, err)
		}
	}
}

// processes keeps the arguments and environments of all processes of this machine, those in containers included, for as
// long as a test runs.
type processes struct {
	t    *testing.T
	mu   sync.Mutex
	text map[string]bool
}

func watchProcesses(t *testing.T) *processes {
	t.Helper()
	p := &processes{t: t, text: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			p.look()
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return p
}

func (p *processes) look() {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well formed
	for _, file := range files {
		for _, f := range []string{file, filepath.Join(filepath.Dir(file), "environ")} {
			if b, err := os.ReadFile(f); err == nil && len(b) > 0 { // else it has ended
				p.mu.Lock()
				p.text[string(b)] = true
				p.mu.Unlock()
			}
		}
	}
}

// wantNone checks that no process had a value.
func (p *processes) wantNone(values []string) {
	p.t.Helper()
	p.look()
	p.mu.Lock()
	defer p.mu.Unlock()
	patterns := formsOf(values)
	var all strings.Builder
	for text := range p.text {
		all.WriteString(text)
		if holdsAny(text, patterns) {
			p.t.Errorf("the arguments or the environment of a process had a value: %.60q...", text)
		}
	}
	for _, want := range []string{"php-fpm: pool", "node-agent", "hostctl\x00", "secret\x00set\x00"} {
		if !strings.Contains(all.String(), want) {
			p.t.Errorf("no process %q was seen among %d: nothing was looked for", want, len(p.text))
		}
	}
}
