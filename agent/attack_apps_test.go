package agent_test

import (
	"slices"
	"strings"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

// attacks is what a site's program tries on others. It prints a line for what it reaches, and that it reaches its own.
const attacks = `
try() { what=$1; shift; if "$@" >/dev/null 2>&1; then echo "reached: $what"; fi; }
connect() { python3 -c 'import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "$1"; }
environ() { cat /proc/[0-9]*/environ 2>/dev/null | grep -aq canary; }
agent() { python3 -c '
import socket, ssl
c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE; c.set_alpn_protocols(["h2"])
s = c.wrap_socket(socket.create_connection(("127.0.0.1", 9443), 5))
s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
assert s.recv(9)
'; }
victim=/run/apps/victim.shop/node-20
try "its own file" test -r /srv/tenants/$TENANT/shop/own.txt
try "its own home" touch $HOME/x
try "another's file" cat /srv/tenants/victim/shop/public/secret.txt
try "another's folder" ls /srv/tenants/victim/shop
try "another's home" ls /var/lib/apps/victim.shop/home
try "its own temporary file" sh -c 'echo x > $TMPDIR/x && cat $TMPDIR/x'
try "shared memory of its own" python3 -c 'import multiprocessing; multiprocessing.Lock()'
try "another's temporary files" ls /var/lib/apps/victim.shop/tmp
try "what others have in folders for all" sh -c 'ls /tmp || ls /var/tmp || ls /dev/shm || ls /run/lock'
try "another's file in a folder for all" cat /tmp/of-victim
try "another's file in a folder for all, removed" sh -c 'rm -f /tmp/of-victim || mv /tmp/of-victim /tmp/x'
try "another's log" cat /var/log/sites/victim.shop.app.log
try "another's sessions" ls /var/lib/php/hostctl/pool.shop/sessions
try "another's session" ls /var/lib/php/hostctl/victim.shop/sessions
try "another's socket" connect $victim/current/sock
try "another's pool" connect /run/php/8.4/current/pool.shop.sock
try "another's environment" environ
try "another's process" pkill -0 -u t-victim
try "what is to run" grep -r canary /etc/hostctl
try "what is to run, listed" ls /etc/hostctl/apps
try "what jobs run" ls /etc/hostctl/cron
try "how jobs went" ls /srv/tenants/.hostctl
try "runs of jobs" ls /run/cron
try "another's home of jobs" ls /var/lib/cron/victim.shop/home
try "another's log of jobs" cat /var/log/sites/victim.shop.cron.log
try "its own log of jobs" sh -c "echo x >> /var/log/sites/$TENANT.shop.cron.log"
try "the agent's folder" ls /var/lib/hostctl
try "the agent's socket" connect /run/hostctl/agent.sock
try "the agent's key" cat /etc/hostctl/tls/node.key
try "the agent" agent
try "the list of sites" ls /run/apps
try "its socket's place" touch $OWN/x
try "its own socket is there" test -S $OWN/sock
try "its own socket, connected" connect $OWN/sock
try "its socket, removed" rm $OWN/sock
try "its socket, another's" ln -sfn $victim/1 $OWN
try "the supervisor" s6-svc -d /run/service/nginx
try "services" touch /run/service/x
try "users of sites" ls /etc/nginx/hostctl-users
try "nginx's sites" ls /etc/nginx/hostctl/current
try "passwords" cat /etc/shadow
try "being root" setpriv --reuid 0 true
try "being another" setpriv --reuid 20031 --clear-groups true
try "a raised limit" prlimit --nofile=100000:100000 true
try "more processes" prlimit --nproc=100000:100000 true
try "more memory" prlimit --data=unlimited:unlimited true
try "being spared" sh -c 'echo -1000 > /proc/self/oom_score_adj'
try "a file beside its site" touch /srv/tenants/$TENANT/x
try "its site's folder" mv /srv/tenants/$TENANT/shop /srv/tenants/$TENANT/shop2
try "the list of tenants" ls /srv/tenants/.hostctl
try "sshd's key" cat /srv/tenants/.hostctl-ssh/ssh_host_ed25519_key
try "another's keys" cat /etc/hostctl/ssh/t-victim
try "another's keys, listed" ls /etc/hostctl/ssh
try "its own keys, written" sh -c "echo x >> /etc/hostctl/ssh/t-$TENANT"
try "its own keys, replaced" sh -c "echo x > /etc/hostctl/ssh/.x; mv /etc/hostctl/ssh/.x /etc/hostctl/ssh/t-$TENANT"
try "another's folder, by hard link" ln /srv/tenants/victim/shop/public/secret.txt /srv/tenants/$TENANT/shop/h1
try "the node's users, by hard link" ln /etc/shadow /srv/tenants/$TENANT/shop/h2
try "another's file, by symlink" sh -c "ln -sfn /srv/tenants/victim/shop/public /srv/tenants/$TENANT/shop/s1 && cat /srv/tenants/$TENANT/shop/s1/secret.txt"
try "a device" mknod /srv/tenants/$TENANT/shop/d c 1 3
try "a disk" sh -c 'for d in /dev/[svx]d* /dev/nvme* /dev/mem /dev/kmsg; do head -c 1 $d && exit; done; exit 1'
try "a program that is root's" sh -c 'find / -xdev -type f -perm /6000 2>/dev/null | grep .'
try "a mount" mount -t tmpfs none /mnt
try "namespaces" unshare --user --map-root-user true
try "more than root's groups" setpriv --init-groups --reuid 33 true
try "the kernel's settings" sh -c 'echo 1 > /proc/sys/vm/drop_caches'
try "the kernel's keys" sh -c 'echo b > /proc/sysrq-trigger'
try "control groups" sh -c 'mkdir /sys/fs/cgroup/x || mkdir /sys/fs/cgroup/pids/x || mkdir /sys/fs/cgroup/unified/x'
try "the engine" sh -c 'ls /var/run/docker.sock || ls /run/containerd'
try "the agent's program" sh -c 'head -c 1 /var/lib/hostctl/bin/node-agent'
try "PID 1" kill -0 1
try "the agent, stopped" pkill -0 node-agent
try "the images' programs" touch /opt/hostctl/x
try "web server's settings" sh -c 'echo >> /etc/nginx/nginx.conf'
try "sshd's settings" sh -c 'echo >> /etc/ssh/sshd_config'
try "PHP's settings" sh -c 'echo >> /etc/php/8.4/fpm/php.ini; ls /etc/php/hostctl/8.4/current'
try "folders for all" touch /run/x /etc/x /srv/x /var/x /x
echo done
`

// attacker returns a site of a runtime whose program runs the attacks for each request.
func (n *node) attacker(kind schema.RuntimeType, version string, uid int) site {
	text := map[schema.RuntimeType]schema.ContentFile{
		schema.RuntimeNode: n.files.add("server.js", `require('http').createServer((q, r) => require('child_process').execFile('sh', ['attacks'], (e, out, err) => r.end(out + err))).listen(process.env.PORT)`),
		schema.RuntimePython: n.files.add("app.py", `
import subprocess
def app(env, start):
    start("200 OK", [])
    return [subprocess.run(["sh", "attacks"], capture_output=True).stdout]
`),
		schema.RuntimeRuby: n.files.add("config.ru", `require 'open3'
run ->(env) { [200, {}, [Open3.capture2e('sh', 'attacks').first]] }`),
	}[kind]
	s := n.newService(kind, version, uid, text, n.files.add("attacks", attacks), n.files.add("own.txt", "own"))
	s.runtime.Env["TENANT"], s.runtime.Env["OWN"] = s.user.Name, "/run/apps/"+s.runtime.Name+"/current"
	s.runtime.MemoryLimit = 128 << 20
	s.runtime.Health = "/" // the attacks are over when it is up
	return s
}

// A site's own program reaches nothing of another tenant, of the agent, or of the node.
func TestServicesIsolated(t *testing.T) {
	n := startNode(t)
	victim := n.newSite("victim", 20031, false, n.files.add("server.js", services[0].text), n.files.add("public/secret.txt", "canary"))
	victim.runtime = planner.Runtime{
		Meta: planner.Meta{Target: nodeName, Name: "victim.shop/node-20", From: victim.vhost.From}, Tenant: "victim", Site: "shop",
		Type: schema.RuntimeNode, Version: "20", Login: "t-victim", Env: map[string]string{"V": "canary"},
	}
	victim.vhost.Type, victim.vhost.Version = schema.RuntimeNode, "20"
	pool := n.newSite("pool", 20032, true, n.files.add("public/index.php", "<?php echo 1;"))
	victimJob := victim.job("tidy", "echo", "canary")
	victimJob.Env = map[string]string{"V": "canary"}
	n.create(append(slices.Concat(victim.objects(), pool.objects()), victimJob)...)
	n.runs(victim).run("tidy")
	n.script("chmod -R 777 /srv/tenants/victim/shop") // as people do
	n.script("runuser -u t-victim -- sh -c 'umask 027; echo canary > /tmp/of-victim'")
	for i, v := range services {
		s := n.attacker(v.kind, v.version, 20021+i)
		n.create(s.objects()...)
		_, body := n.get(s.host(), "/")
		if body != "reached: its own file\nreached: its own home\nreached: its own temporary file\nreached: shared memory of its own\nreached: its own socket is there\ndone\n" {
			t.Errorf("%s:\n%s", v.kind, body)
		}
		job := s.job("attack", "sh", "attacks")
		job.Env = s.runtime.Env
		n.create(job)
		said := n.runs(s).run("attack")
		if !strings.Contains(said, "begins\nreached: its own file\nreached: its own home\nreached: its own temporary file\nreached: shared memory of its own\nreached: its own socket is there\ndone\n") {
			t.Errorf("a job of %s:\n%s", v.kind, said)
		}
	}
	if status, body := n.get("victim.example", "/v"); status != 200 || body != "canary" {
		t.Errorf("the victim says %d %q", status, body)
	}
	if out := n.script("ps axww -o args | grep canary | grep -v grep || true"); strings.TrimSpace(out) != "" {
		t.Errorf("a variable is in an argument list: %s", out)
	}
}
