package agent_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"hostctl/executors"
	"hostctl/planner"
)

// facts is a page that says how it runs.
const facts = `<?php
$try = function ($f) { $r = @file_get_contents($f); return $r === false ? "denied" : $r; };
header("Content-Type: application/json");
session_start();
$tmp = tempnam(sys_get_temp_dir(), "x");
echo json_encode([
	"uid" => posix_geteuid(), "gid" => posix_getegid(), "groups" => posix_getgroups(), "php" => PHP_VERSION,
	"tmp" => dirname($tmp), "sessions" => session_save_path(),
	"other" => $try("/srv/tenants/other/shop/public/secret.txt"), "passwd" => $try("/etc/passwd"),
	"listing" => @scandir("/srv/tenants/other/shop") ?: "denied",
	"socket" => @stream_socket_client("unix:///run/php/8.4/current/other.shop.sock") ? "open" : "denied",
	"memory" => ini_get("memory_limit"), "time" => ini_get("max_execution_time"), "level" => error_reporting(),
	"env" => array_diff_key(getenv(), $_SERVER) + array_intersect_key(getenv(), array_flip(explode(",", $_GET["env"] ?? ""))),
	"raised" => ini_set("memory_limit", "4G"), "https" => $_SERVER["HTTPS"] ?? "", "script" => $_SERVER["SCRIPT_FILENAME"],
]);
`

type saidFacts struct {
	UID, GID                                        int
	Groups                                          []int
	PHP, Tmp, Sessions, Other, Passwd, Socket, Time string
	Listing                                         any
	Memory, HTTPS, Script                           string
	Level                                           int
	Env                                             map[string]string
	Raised                                          any
}

func (n *node) facts(host, query string) saidFacts {
	n.t.Helper()
	status, body := n.get(host, "/facts.php?"+query)
	var f saidFacts
	if err := json.Unmarshal([]byte(body), &f); err != nil || status != 200 {
		n.t.Fatalf("%s: %d %s: %v", host, status, body, err)
	}
	return f
}

// A site's code runs as its tenant's user, with the site's settings, and reaches nothing of another tenant.
func TestPHP(t *testing.T) {
	n := startNode(t)
	page := n.files.add("public/facts.php", facts)
	acme := n.newSite("acme", 20001, true, page, n.files.add("public/index.php", `<?php echo "front ", $_SERVER["REQUEST_URI"];`))
	acme.runtime.MemoryLimit = 64 << 20
	acme.runtime.INI = map[string]string{"max_execution_time": "17", "error_reporting": "E_ALL & ~E_NOTICE"}
	acme.runtime.Env = map[string]string{
		"PLAIN": "x", "QUOTES": `it's "q" \ back\n ${HOME} %41 ;x = [y]`, "UNICODE": "ünï — 𝄞", "WORD": "yes", "NUMBER": "010", "SPACES": "  a  ",
	}
	other := n.newSite("other", 20002, true, page, n.files.add("public/secret.txt", "secret"))
	n.create(slices.Concat(acme.objects()[:2], other.objects()[:2], []planner.Object{acme.runtime, other.runtime, acme.vhost, other.vhost})...)

	f := n.facts("acme.example", "env="+strings.Join(slices.Collect(maps.Keys(acme.runtime.Env)), ","))
	if f.UID != 20001 || f.GID != 20001 || len(f.Groups) > 1 || !strings.HasPrefix(f.PHP, "8.4.") {
		t.Errorf("runs as uid %d, gid %d, groups %v, PHP %s", f.UID, f.GID, f.Groups, f.PHP)
	}
	if f.Tmp != "/var/lib/php/hostctl/acme.shop/tmp" || f.Sessions != "/var/lib/php/hostctl/acme.shop/sessions" {
		t.Errorf("temporary files in %s, sessions in %s", f.Tmp, f.Sessions)
	}
	if f.Other != "denied" || f.Passwd != "denied" || f.Listing != "denied" || f.Socket != "denied" {
		t.Errorf("reaches another tenant: %+v", f)
	}
	if f.Memory != "67108864" || f.Raised != false || f.Time != "17" || f.Level != 32767&^8 {
		t.Errorf("settings: %+v", f)
	}
	for k, want := range acme.runtime.Env {
		if f.Env[k] != want {
			t.Errorf("variable %s is %q, want %q", k, f.Env[k], want)
		}
	}
	if status, body := n.get("other.example", "/secret.txt"); status != 200 || body != "secret" {
		t.Errorf("nginx serves a static file of its site: %d %q", status, body)
	}
	if _, body := n.get("acme.example", "/some/pretty?x=1"); body != "front /some/pretty?x=1" {
		t.Errorf("front controller: %q", body)
	}
	if out := n.script(`runuser -u t-acme -- cat /srv/tenants/other/shop/public/secret.txt 2>&1 || true`); !strings.Contains(out, "Permission denied") {
		t.Errorf("without PHP in between, a tenant reads another's file: %q", out)
	}
}

// Requests of any length go on while pools come and go, and none fails or waits for another site's.
func TestPHPReplacedUnderLoad(t *testing.T) {
	n := startNode(t)
	s := n.newSite("acme", 20001, true, n.files.add("public/index.php", `<?php usleep((int)($_GET["us"] ?? 0)); echo getenv("V");`))
	s.runtime.Env = map[string]string{"V": "1"}
	s.runtime.FPM.MaxChildren = 10
	other := n.newSite("other", 20002, true, n.files.add("public/index.php", `<?php echo "other";`))
	n.create(slices.Concat(s.objects()[:2], other.objects()[:2], []planner.Object{s.runtime, other.runtime, s.vhost, other.vhost})...)

	// A pool on demand has no process at first, and the first process may take the second request after the first:
	// so within one site a quick request may wait for a slow one. Another site's never does.
	stop := make(chan struct{})
	slow, quick, others := make(chan string), make(chan string), make(chan string)
	go n.load("acme.example", "/?us=1500000", stop, slow, 10*time.Second)
	go n.load("acme.example", "/?us=1000", stop, quick, 10*time.Second)
	go n.load("other.example", "/", stop, others, 1400*time.Millisecond)
	old := s.runtime
	for i := range 6 {
		next := old
		next.Env = map[string]string{"V": string(rune('2' + i))}
		start := time.Now()
		if err := n.dial(int64(i+2)).Apply(t.Context(), []planner.Change{{Action: planner.Update, Old: old, New: next}})[0]; err != nil {
			t.Fatal(err)
		}
		t.Logf("a change of a pool took %v", time.Since(start))
		if _, body := n.get("acme.example", "/"); body != next.Env["V"] {
			t.Errorf("after Apply the site has V=%s, want %s", body, next.Env["V"])
		}
		old = next
	}
	close(stop)
	for _, c := range []chan string{slow, quick, others} {
		if said := <-c; said != "" {
			t.Error(said)
		}
	}
	within(t, 10*time.Second, "replaced masters end", func() error {
		if out := strings.Fields(n.script("ls /run/service | grep php-")); len(out) != 1 {
			return &executors.Error{Err: errorString(strings.Join(out, " "))}
		}
		return nil
	})
}

type errorString string

func (e errorString) Error() string { return string(e) }

// load fetches a page over and over until stop, and then says what failed, or "".
func (n *node) load(host, path string, stop chan struct{}, said chan string, atMost time.Duration) {
	for {
		select {
		case <-stop:
			said <- ""
			return
		default:
		}
		start := time.Now()
		status, body, err := n.fetch(host, path)
		if took := time.Since(start); err != nil || status != 200 || took > atMost {
			<-stop
			said <- host + path + ": " + body + " after " + took.String()
			return
		}
	}
}

// What FPM refuses, and what it would not hand on as it is, changes nothing.
func TestPHPRefused(t *testing.T) {
	n := startNode(t)
	s := n.newSite("acme", 20001, true, n.files.add("public/index.php", `<?php echo "up";`))
	n.create(s.objects()...)
	for name, spoil := range map[string]func(*planner.Runtime){
		"variable that steers PHP":   func(r *planner.Runtime) { r.Env = map[string]string{"PHP_ADMIN_VALUE": "x"} },
		"line break in a variable":   func(r *planner.Runtime) { r.Env = map[string]string{"A": "x\nphp_admin_value[x]=y"} },
		"variable of FPM's own":      func(r *planner.Runtime) { r.Env = map[string]string{"A": "$HOME"} },
		"setting that isn't allowed": func(r *planner.Runtime) { r.INI = map[string]string{"auto_prepend_file": "/etc/passwd"} },
		"value with a line break":    func(r *planner.Runtime) { r.INI = map[string]string{"memory_limit": "1M\n[x]"} },
		"version that isn't here":    func(r *planner.Runtime) { r.Version, r.Name = "7.4", "acme.shop/php-7.4" },
		"version that is a path":     func(r *planner.Runtime) { r.Version, r.Name = "8.4/../..", "acme.shop/php-8.4/../.." },
		"login of the system":        func(r *planner.Runtime) { r.Login = "root" },
		"login that isn't there":     func(r *planner.Runtime) { r.Login = "t-nobody" },
	} {
		r := s.runtime
		spoil(&r)
		err := n.tryCreate(r)[0]
		if err == nil {
			t.Errorf("%s: not refused", name)
		}
		t.Logf("%s: %v", name, err)
	}
	if status, body := n.get("acme.example", "/"); status != 200 || body != "up" {
		t.Errorf("after that the site says %d %q", status, body)
	}
}
