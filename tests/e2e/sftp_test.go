package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// upload lets a tenant in by SFTP, and sees what it uploads on its site. It is refused until its key is in the repository.
func (s *site) upload(t *testing.T) {
	s = s.sub(t)
	key, err := s.SSHKey(t.Context())
	s.must(err)
	if out, err := s.SFTP(t.Context(), "web-1-0", "acme", "ls"); err == nil || !strings.Contains(out, "Permission denied (publickey)") {
		t.Errorf("before it may: %v\n%s", err, out)
	}
	s.edit("  contact: webmaster@acme.test\n", "  contact: webmaster@acme.test\n  shell: sftp\n  sshKeys:\n    - "+key+"\n")
	printed := s.push("acme: SFTP")
	if !strings.Contains(printed, "ssh-ed25519 SHA256:") || strings.Contains(printed, strings.Fields(key)[1]) {
		t.Errorf("the push tells the key otherwise than by its fingerprint:\n%s", printed)
	}
	file := filepath.Join(s.Dir, "uploaded.txt")
	s.must(os.WriteFile(file, []byte("by SFTP"), 0o644))
	s.uploads("web-1-0", "put "+file+" /shop/public/")
	if code, body, err := s.at.FetchPath(t.Context(), "shop.acme.test", "/uploaded.txt"); err != nil || code != 200 || body != "by SFTP" {
		t.Errorf("what was uploaded: %d %q, %v", code, body, err)
	}
	if out := s.uploads("web-1-1", "ls /shop/public"); !strings.Contains(out, "uploaded.txt") {
		t.Errorf("the other node shows\n%s", out)
	}
	s.wantNoChanges()
}

// uploads runs a batch by SFTP as acme, which must succeed.
func (s *site) uploads(node, batch string) string {
	s.t.Helper()
	out, err := s.SFTP(s.t.Context(), node, "acme", batch)
	s.must(err)
	return out
}

// attacker is a page that tells which ports answer at the addresses that it is given, and what it gets from those that a
// tenant has no business with.
const attacker = `<?php
set_time_limit(240);
header("Content-Type: text/plain");
foreach (explode(",", $_GET["at"]) as $at) {
	foreach ([...range(1, 2048), 2375, 2376, 3306, 5000, 5432, 6379, 6432, 8000, 8080, 8081, 8404, 9090, 9443, 10050] as $port) {
		if ($s = @stream_socket_client("tcp://$at:$port", $e, $m, 5)) { echo "$at $port\n"; fclose($s); }
	}
	$tls = stream_context_create(["ssl" => ["verify_peer" => false, "verify_peer_name" => false, "alpn_protocols" => "h2"]]);
	if ($s = @stream_socket_client("tls://$at:9443", $e, $m, 5, STREAM_CLIENT_CONNECT, $tls)) {
		@fwrite($s, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0");
		if (($got = @fread($s, 9)) !== "" && $got !== false) echo "$at: the agent answers\n";
	}
	foreach (["postgres", "pdns"] as $user) foreach (["require", "disable"] as $mode) {
		if (@pg_connect("host=$at user=$user dbname=pdns sslmode=$mode connect_timeout=5")) echo "$at: the service database lets $user in\n";
	}
}
echo "done\n";
`

// attacks runs a page of a tenant's against all nodes of the platform and the machine that they run on: each has the ports
// open that it is for, and none does anything for a tenant.
func (s *site) attacks(t *testing.T) {
	s = s.sub(t)
	file := filepath.Join(s.Dir, "attack.php")
	s.must(os.WriteFile(file, []byte(attacker), 0o644))
	s.uploads("web-1-0", "put "+file+" /shop/public/")
	open := map[string][]string{"lb": {"80", "443", "9443"}, "dns": {"53", "9443"}, "db": {"5432", "9443"}, "web": {"22", "80", "9443"}}
	var addresses, want []string
	for _, name := range s.containers() {
		address := strings.TrimSpace(s.docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", s.container(name)))
		addresses = append(addresses, address)
		role := strings.TrimPrefix(name[:strings.LastIndexByte(name, '-')], "eu-1-")
		if strings.HasPrefix(name, "web") {
			role = "web"
		}
		if open[role] == nil {
			t.Fatalf("nobody has said what is open at %s", name)
		}
		for _, port := range open[role] {
			want = append(want, address+" "+port)
		}
	}
	page := "http://127.0.0.1/attack.php?at=" + strings.Join(addresses, ",")
	got := strings.Split(strings.TrimSpace(s.docker("exec", s.container("web-1-0"), "curl", "-sS", "-m", "300", "-H", "Host: shop.acme.test", page)), "\n")
	want = append(want, "done")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("from a tenant's site:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s.uploads("web-1-0", "rm /shop/public/attack.php")
}
