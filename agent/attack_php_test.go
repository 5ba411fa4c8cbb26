package agent_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// phpAttacks is what a page tries in PHP itself, beside the attacks that it starts as a program.
const phpAttacks = `<?php
header("Content-Type: text/plain");
$try = function (string $what, callable $f) { try { if (@$f()) echo "reached: $what\n"; } catch (\Throwable) {} };
$try("its own file", fn() => file_get_contents("/srv/tenants/acme/shop/own.txt"));
$try("another's file", fn() => file_get_contents("/srv/tenants/victim/shop/public/secret.txt"));
$try("another's file, as a program", fn() => include "/srv/tenants/victim/shop/public/index.php");
$try("another's file, by symlink", fn() => symlink("/srv/tenants/victim/shop/public", "/srv/tenants/acme/shop/s2") && file_get_contents("/srv/tenants/acme/shop/s2/secret.txt"));
$try("another's file, by a wrapper", fn() => file_get_contents("php://filter/read=string.rot13/resource=/srv/tenants/victim/shop/public/secret.txt"));
$try("another's file, by glob", fn() => glob("/srv/tenants/victim/*/*"));
$try("another's file, by a database", fn() => (new SQLite3("/srv/tenants/victim/shop/public/secret.txt"))->querySingle("select 1"));
$try("another's file, by curl", function () { $c = curl_init("file:///srv/tenants/victim/shop/public/secret.txt"); curl_setopt($c, CURLOPT_RETURNTRANSFER, true); return curl_exec($c); });
$try("the node's users", fn() => file_get_contents("/etc/passwd"));
$try("its own open_basedir", fn() => ini_set("open_basedir", "/") !== false);
$try("its own open_basedir, by .user.ini", fn() => ini_get("open_basedir") === "/" || file_get_contents("/etc/hostname"));
$try("more memory", fn() => ini_set("memory_limit", "4G") !== false);
$try("more memory, by .user.ini", fn() => ini_get("memory_limit") === "3G");
$try("settings by a header", fn() => ini_get("precision") === "3" || getenv("HTTP_PROXY") !== false || isset($_SERVER["HTTP_PROXY"]) || isset($_SERVER["PHP_ADMIN_VALUE"]));
$try("an extension", fn() => dl("ffi") || class_exists("FFI") && FFI::cdef("int getpid();")->getpid());
foreach (["its own" => "acme", "another's" => "victim"] as $whose => $name) {
	$try("$whose pool, past nginx", fn() => stream_socket_client("unix:///run/php/8.4/current/$name.shop.sock"));
}
$try("the agent's socket", fn() => stream_socket_client("unix:///run/hostctl/agent.sock"));
$try("what others run", fn() => str_contains(json_encode(opcache_get_status(true)), "victim"));
$try("the memory of programs, reset", fn() => opcache_reset());
$try("another's session", fn() => session_save_path("/var/lib/php/hostctl/victim.shop/sessions") && str_contains(session_save_path(), "victim"));
$try("its own worker's memory", fn() => shell_exec("dd if=/proc/" . getmypid() . "/mem bs=1 count=1 skip=4096 2>/dev/null || head -c1 /proc/" . getmypid() . "/environ"));
$try("FPM's memory", fn() => shell_exec("head -c1 /proc/" . posix_getppid() . "/environ"));
$try("FPM, stopped", fn() => posix_kill(posix_getppid(), 0));
$try("being root", fn() => posix_setuid(0) || posix_seteuid(0) || posix_setgid(0));
$try("its limits", fn() => posix_setrlimit(POSIX_RLIMIT_NPROC, 100000, 100000));
echo shell_exec("export PATH=/usr/bin:/bin TENANT=acme OWN=/nowhere HOME=/srv/tenants/acme/shop; sh /srv/tenants/acme/shop/attacks");
`

// A PHP site's code reaches nothing of another tenant, of the agent, or of the node: neither by PHP's own functions, nor by
// programs, nor by settings that a site may bring (.user.ini) or a client may send.
func TestPHPIsolated(t *testing.T) {
	n := startNode(t)
	secret := n.files.add("public/secret.txt", "canary")
	victim := n.newSite("victim", 20031, true, secret, n.files.add("public/index.php", `<?php define("VICTIM", 1); echo "victim ", getenv("V");`))
	victim.runtime.Env, victim.runtime.MemoryLimit = map[string]string{"V": "canary"}, 128<<20
	victim.user.Keys = []string{ed25519Key}
	acme := n.newSite("acme", 20021, true, n.files.add("public/index.php", phpAttacks), n.files.add("attacks", attacks), n.files.add("own.txt", "own"),
		n.files.add("public/.user.ini", "open_basedir = /\nmemory_limit = 3G\n"),
		n.files.add("public/before/index.php", `<?php echo defined("VICTIM") ? "reached" : "well";`),
		n.files.add("public/before/.user.ini", "auto_prepend_file = /srv/tenants/victim/shop/public/index.php\n"))
	acme.user.Keys, acme.runtime.MemoryLimit = []string{ecdsaKey}, 128<<20
	n.create(append(victim.objects(), acme.objects()...)...)
	n.script("chmod -R 777 /srv/tenants/victim/shop") // as people do
	n.script("runuser -u t-victim -- sh -c 'umask 027; echo canary > /tmp/of-victim'")
	if status, body := n.get("victim.example", "/"); status != http.StatusOK || body != "victim canary" {
		t.Errorf("the victim says %d %q", status, body)
	}

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "acme.example"
	for k, v := range map[string]string{"Proxy": "http://evil.example", "Php-Value": "precision=3", "Php-Admin-Value": "precision=3", "Php_Admin_Value": "precision=3"} {
		r.Header[k] = []string{v}
	}
	body := n.bodyOf(r)
	want := "reached: its own file\nreached: its own file\nreached: its own home\nreached: shared memory of its own\ndone\n"
	if body != want {
		t.Errorf("a PHP site reaches\n%s\nwant\n%s", body, want)
	}
	if _, body := n.get("acme.example", "/before/"); strings.Contains(body, "reached") || strings.Contains(body, "victim") {
		t.Errorf("a file of another's before each, by .user.ini: %q", body)
	}
	t.Logf("%d attacks in PHP, %d by programs", strings.Count(phpAttacks, "$try(")+1, strings.Count(attacks, "\ntry "))
	if status, body := n.get("victim.example", "/"); status != http.StatusOK || body != "victim canary" {
		t.Errorf("after that the victim says %d %q", status, body)
	}
}

// bodyOf returns what the node answers to a request that may take long.
func (n *node) bodyOf(r *http.Request) string {
	n.t.Helper()
	patient := *client
	patient.Timeout = 2 * time.Minute
	resp, err := patient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(b)
}
