package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hostctl/tests/platform"
)

const failingJob = `apiVersion: hosting/v1
kind: CronJob
metadata: {name: fails}
spec: {webroot: shop, schedule: "0 0 29 2 1", argv: [sh, -c, "echo $COLOR; exit 3"]}
`

// jobNode returns the node that has acme's job, "" where none has.
func (s *site) jobNode() (node string) {
	s.t.Helper()
	for _, n := range []string{"web-1-0", "web-1-1"} {
		if exec.CommandContext(s.t.Context(), "docker", "exec", s.container(n), "test", "-e", "/etc/hostctl/cron/acme.shop.fails.json").Run() != nil {
			continue
		}
		if node != "" {
			s.t.Error("two nodes have the job")
		}
		node = n
	}
	return node
}

// failJob pushes a job that fails, and lets it run as often as it may.
func (s *site) failJob() {
	s.t.Helper()
	s.must(os.WriteFile(filepath.Join(s.Clone(), "tenants/acme/job.yaml"), []byte(failingJob), 0o644))
	s.push("acme: a job that fails")
	s.wantNoChanges()
	node := s.jobNode()
	if node == "" {
		s.t.Fatal("no node has the job")
	}
	due := time.Now().Add(-time.Hour).Unix()
	for i := range 6 { // the agent does so when it is due
		s.docker("exec", s.container(node), "/var/lib/hostctl/bin/node-agent", "job", "acme.shop.fails", strconv.FormatInt(due+int64(i), 10))
	}
	if log := s.docker("exec", s.container(node), "cat", "/var/log/sites/acme.shop.cron.log"); strings.Count(log, "job fails begins") != 5 {
		s.t.Errorf("a job that fails is run five times; its log:\n%s", log)
	}
}

// wantJobTold waits until the status says that the job isn't run any more, and then lets it run again.
func (s *site) wantJobTold() {
	s.t.Helper()
	const says = "cron/acme.shop/fails: isn't run any more: it failed 5 times in a row"
	s.must(platform.Until(s.t.Context(), 3*time.Minute, func() error {
		if out, err := s.Hostctl(s.t.Context(), "status"); err != nil || !strings.Contains(out, says) {
			return fmt.Errorf("the status doesn't tell of the job (%w):\n%s", err, out)
		}
		return nil
	}))
	out, err := s.Hostctl(s.t.Context(), "converge", "-C", s.Clone(), "cron/"+s.jobNode()+"/acme.shop/fails")
	if err != nil {
		s.t.Fatalf("converge: %v\n%s", err, out)
	}
	s.must(platform.Until(s.t.Context(), 3*time.Minute, func() error {
		if out, err := s.Hostctl(s.t.Context(), "status"); err != nil || strings.Contains(out, says) {
			return fmt.Errorf("the status still tells of the job (%w):\n%s", err, out)
		}
		return nil
	}))
}
