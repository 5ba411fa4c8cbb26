package agent_test

import (
	"slices"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// A tenant puts something else where the agent is about to write (B58). The agent refuses, and what lies behind it is
// untouched.
func TestTenantInTheWay(t *testing.T) {
	n := startNode(t)
	acme := n.newSite("acme", 20001, false, n.files.add("public/index.html", "index"))
	victim := n.newSite("victim", 20002, false, n.files.add("public/index.html", "victim's"))
	n.create(acme.objects()...)
	n.create(victim.objects()...)
	n.script(`echo root > /root/target; chmod 600 /root/target`)
	const site = "/srv/tenants/acme/shop"
	want := acme.webroot
	want.Files = []schema.ContentFile{n.files.add("public/index.html", "next"), n.files.add("public/x/y.txt", "deep")}

	for name, attack := range map[string]string{
		"symlink to a file of root":         `ln -s /root/target public/x/y.txt`,
		"symlink that leads nowhere":        `ln -s /srv/tenants/victim/shop/public/new public/x/y.txt`,
		"folder is a symlink":               `rmdir public/x; ln -s /srv/tenants/victim/shop/public public/x`,
		"folder is a symlink up":            `rmdir public/x; ln -s ../../../victim/shop/public public/x`,
		"document root is a symlink":        `rm -r public; ln -s /srv/tenants/victim/shop/public public`,
		"document root is a symlink to etc": `rm -r public; ln -s /etc public`,
		"symlink to itself":                 `ln -s y.txt public/x/y.txt`,
		"through /proc":                     `rmdir public/x; ln -s /proc/self/root public/x`,
		"FIFO":                              `mkfifo public/x/y.txt`,
		"hard link":                         `echo mine > other; ln other public/x/y.txt`,
		"folder where a file goes":          `mkdir public/x/y.txt`,
		"file where a folder goes":          `rmdir public/x; echo file > public/x`,
		"device":                            "",
		"socket":                            "",
	} {
		n.script("cd " + site + " && find . -mindepth 1 -delete && install -d -o t-acme -g www-data -m 2750 public public/x")
		switch name {
		case "device": // only root can make one; a restored backup might
			n.script("mknod " + site + "/public/x/y.txt c 1 3")
		case "socket":
			n.exec("runuser", "-u", "t-acme", "--", "php", "-r", `stream_socket_server("unix://`+site+`/public/x/y.txt");`)
		default:
			n.exec("runuser", "-u", "t-acme", "--", "sh", "-euc", "cd "+site+"; "+attack)
		}
		err := n.tryCreate(want)[0]
		if executors.KindOf(err) != executors.Refused {
			t.Errorf("%s: %v (%s), want it refused", name, err, executors.KindOf(err))
		}
		if out := n.script("cat /root/target; ls -lR /srv/tenants/victim | md5sum; ls /srv/tenants/victim/shop/public; cat /srv/tenants/victim/shop/public/index.html"); !strings.HasPrefix(out, "root\n") || !strings.HasSuffix(out, "index.html\nvictim's") {
			t.Errorf("%s: reached what it should not:\n%s", name, out)
		}
		if out := n.script("find " + site + " -name '.hostctl-*'"); out != "" {
			t.Errorf("%s: left behind %s", name, out)
		}
	}
	n.script("cd " + site + " && find . -mindepth 1 -delete")
	n.create(want)
	if _, body := n.get("acme.example", "/x/y.txt"); body != "deep" {
		t.Errorf("once nothing is in the way: %q", body)
	}
}

// While files are put in place over and over, the tenant swaps the folder for a symlink over and over. Nothing is ever
// written behind it.
func TestTenantRaces(t *testing.T) {
	n := startNode(t)
	acme := n.newSite("acme", 20001, false, n.files.add("public/x/y.txt", "first"))
	victim := n.newSite("victim", 20002, false, n.files.add("public/index.html", "victim's"))
	n.create(slices.Concat(acme.objects(), victim.objects())...)
	n.script(`cat > /tmp/race.php <<'E'
<?php chdir("/srv/tenants/acme/shop/public"); $end = microtime(true) + 6;
while (microtime(true) < $end) { @rename("x", "real"); @symlink("/srv/tenants/victim/shop/public", "x"); usleep(50); @unlink("x"); @rename("real", "x"); usleep(50); }
E
chmod 644 /tmp/race.php`)
	docker(t, "exec", "--detach", n.container, "runuser", "-u", "t-acme", "--", "php", "/tmp/race.php")
	refused, done := 0, 0
	for i := range 150 {
		w := acme.webroot
		w.Files = []schema.ContentFile{n.files.add("public/x/y.txt", strings.Repeat("z", i+1))}
		if err := n.tryCreate(w)[0]; err != nil {
			refused++
		} else {
			done++
		}
	}
	t.Logf("%d writes done, %d refused", done, refused)
	if out := n.script("ls -A /srv/tenants/victim/shop/public; find /srv/tenants/victim -user t-acme"); out != "index.html\n" {
		t.Errorf("written into another tenant's site:\n%s", out)
	}
}

// What a tenant has, nginx doesn't hand out for another: symlinks lead nowhere but to the tenant's own (B14).
func TestSymlinksServed(t *testing.T) {
	n := startNode(t)
	acme := n.newSite("acme", 20001, true, n.files.add("public/own.txt", "own"), n.files.add("secret/.env", "env"), n.files.add("public/code.PHP", "<?php source"))
	victim := n.newSite("victim", 20002, false, n.files.add("public/index.html", "victim's"))
	n.create(acme.user, victim.user)
	n.create(acme.webroot, victim.webroot)
	n.create(acme.runtime)
	n.create(acme.vhost, victim.vhost)
	n.exec("runuser", "-u", "t-acme", "--", "sh", "-euc", `cd /srv/tenants/acme/shop/public
ln -s own.txt ok.txt; ln -s /srv/tenants/victim/shop/public/index.html other.txt; ln -s /etc/passwd passwd.txt
ln -s /srv/tenants/victim/shop/public dir; ln -s /etc/hostctl/tls/node.key key.txt; mkdir -p .git .well-known; echo x > .git/config; echo y > .well-known/z; echo h > .htaccess; echo '<?php' > .well-known/p.php
mkfifo fifo.txt fifo.php; ln -s ../../../victim/shop/public/index.html up.php; mkdir up; echo '<?php echo "ran";' > up/load.txt`)
	for path, want := range map[string]int{
		"/own.txt": 200, "/ok.txt": 200, "/other.txt": 404, "/passwd.txt": 404, "/dir/index.html": 404, "/key.txt": 404,
		"/.git/config": 404, "/.htaccess": 404, "/.well-known/z": 200, "/.well-known/p.php": 404, "/code.PHP": 404,
		"/up/load.txt/x.php": 404, "/../secret/.env": 400, "/%2e%2e/secret/.env": 400, "/up.php": 404, "/fifo.txt": 404,
	} {
		if status, body := n.get("acme.example", path); status != want || strings.Contains(body, "victim's") {
			t.Errorf("%s: %d %q, want %d", path, status, body, want)
		}
	}
	n.exec("runuser", "-u", "t-acme", "--", "sh", "-euc", `cd /srv/tenants/acme/shop; mv public was; ln -s /srv/tenants/victim/shop/public public`)
	if status, body := n.get("acme.example", "/index.html"); status == 200 {
		t.Errorf("document root is a symlink to another tenant's: %d %q", status, body)
	}
}

// What the agent is sent it checks again, whoever sends it.
func TestSentNonsense(t *testing.T) {
	n := startNode(t)
	good := n.newSite("acme", 20001, false, n.files.add("public/index.html", "x"))
	n.create(good.objects()...)
	user := func(f func(*planner.User)) planner.Object { u := good.user; f(&u); return u }
	root := func(f func(*planner.Webroot)) planner.Object { w := good.webroot; f(&w); return w }
	vhost := func(f func(*planner.Vhost)) planner.Object { v := good.vhost; f(&v); return v }
	file := n.files.add("x", "x")
	for name, o := range map[string]planner.Object{
		"user id of root":      user(func(u *planner.User) { u.UID = 0 }),
		"user id of nobody":    user(func(u *planner.User) { u.UID = 65534 }),
		"login of the system":  user(func(u *planner.User) { u.Login = "www-data" }),
		"option as a login":    user(func(u *planner.User) { u.Login = "t--p" }),
		"line in a login":      user(func(u *planner.User) { u.Login = "t-a\nroot" }),
		"another node":         user(func(u *planner.User) { u.Target = "web-1-1" }),
		"another shard":        root(func(w *planner.Webroot) { w.Target = "web" }),
		"path upwards":         root(func(w *planner.Webroot) { file.Path = "../x"; w.Files = []schema.ContentFile{file} }),
		"absolute path":        root(func(w *planner.Webroot) { file.Path = "/etc/x"; w.Files = []schema.ContentFile{file} }),
		"document root":        root(func(w *planner.Webroot) { w.DocumentRoot = "a/../../b" }),
		"site of another":      root(func(w *planner.Webroot) { w.Tenant = "other" }),
		"site with a slash":    root(func(w *planner.Webroot) { w.Site, w.Name = "a/b", "acme.a/b" }),
		"vhost's root":         vhost(func(v *planner.Vhost) { v.DocumentRoot = "public; include /etc/passwd" }),
		"name with directives": vhost(func(v *planner.Vhost) { v.Hostnames = []string{"a.example; return 200"} }),
		"name not normalised":  vhost(func(v *planner.Vhost) { v.Hostnames = []string{"A.example"} }),
		"redirect to script":   vhost(func(v *planner.Vhost) { v.Redirects = []schema.Redirect{{From: "/a", To: "javascript:x", Status: 301}} }),
		"redirect breaks out":  vhost(func(v *planner.Vhost) { v.Redirects = []schema.Redirect{{From: `/a" { }`, To: "/", Status: 301}} }),
		"redirect's status":    vhost(func(v *planner.Vhost) { v.Redirects = []schema.Redirect{{From: "/a", To: "/b", Status: 200}} }),
		"unknown type":         vhost(func(v *planner.Vhost) { v.Type = "perl" }),
		"name of another site": vhost(func(v *planner.Vhost) { v.Site, v.Name = "blog", "acme.blog" }),
	} {
		if err := n.tryCreate(o)[0]; executors.KindOf(err) != executors.Refused {
			t.Errorf("%s: %v (%s), want it refused", name, err, executors.KindOf(err))
		}
	}
	if err := n.tryCreate(user(func(u *planner.User) { u.UID = 20009 }))[0]; executors.KindOf(err) != executors.Conflict {
		t.Errorf("login with another id: %v, want a conflict", err)
	}
	if status, body := n.get("acme.example", "/"); status != 200 || body != "x" {
		t.Errorf("after that the site says %d %q", status, body)
	}
}
