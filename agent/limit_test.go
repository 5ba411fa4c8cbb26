package agent_test

import (
	"strconv"
	"testing"

	"hostctl/planner"
	"hostctl/schema"
)

// Programs of a site that start others without end, and that take memory without end.
const (
	greedyPython = `
import subprocess
def app(env, start):
    start("200 OK", [])
    if env["PATH_INFO"] == "/fork":
        started = []
        try:
            while len(started) < 400:
                started.append(subprocess.Popen(["sleep", "300"]))
        except OSError:
            pass
        for p in started:
            p.kill()
            p.wait()
        return [str(len(started)).encode()]
    if env["PATH_INFO"] == "/memory":
        try:
            return [b"has %d" % len(bytearray(2 << 30))]
        except MemoryError:
            return [b"refused"]
    return [b"well"]
`
	greedyPHP = `<?php
if ($_SERVER["REQUEST_URI"] === "/fork") {
	$started = [];
	while (count($started) < 400 && ($p = @proc_open(["sleep", "300"], [], $pipes))) $started[] = $p;
	foreach ($started as $p) { proc_terminate($p, 9); }
	foreach ($started as $p) { proc_close($p); }
	echo count($started);
} elseif ($_SERVER["REQUEST_URI"] === "/memory") {
	echo shell_exec("python3 -c 'print(len(bytearray(2 << 30)))' 2>&1 | grep -q MemoryError && echo -n refused");
} else {
	echo "well";
}
`
)

// A site that starts programs, or takes memory, without end gets as much as its plan has. The uids are no other test's: the
// kernel counts a user's processes in all containers together.
func TestLimits(t *testing.T) {
	n := startNode(t)
	python := n.newService(schema.RuntimePython, "3.13", 21771, n.files.add("app.py", greedyPython))
	php := n.newSite("greedy", 21772, true, n.files.add("public/index.php", greedyPHP))
	for _, r := range []*planner.Runtime{&python.runtime, &php.runtime} {
		r.MemoryLimit, r.TaskLimit = 64<<20, 60
	}
	n.create(python.objects()...)
	n.create(php.objects()...)
	for _, host := range []string{python.host(), php.host()} {
		if status, body := n.get(host, "/fork"); status != 200 || count(body) < 10 || count(body) > 60 {
			t.Errorf("%s: %d %q, want as many processes as 60 leave", host, status, body)
		} else {
			t.Logf("%s: %s processes more", host, body)
		}
		if status, body := n.get(host, "/memory"); status != 200 || body != "refused" {
			t.Errorf("%s: 2 GiB of memory: %d %q", host, status, body)
		}
		if status, body := n.get(host, "/"); status != 200 || body != "well" {
			t.Errorf("%s, after that: %d %q", host, status, body)
		}
	}
	for what, check := range map[string]string{
		"the service":   `grep -qx 500 /proc/$(pgrep -o -U t-python-1)/oom_score_adj`,
		"PHP's master":  `grep -qx 500 /proc/$(pgrep -o -x php-fpm8.4)/oom_score_adj`,
		"nginx, spared": `grep -qx 0 /proc/$(pgrep -o -x nginx)/oom_score_adj`,
	} {
		if out, ok := n.said(check); !ok {
			t.Errorf("what the kernel ends first: %s: %s", what, out)
		}
	}
}

func count(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}
