package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/miekg/dns"

	"hostctl/planner"
	"hostctl/tests/platform"
)

// The tenant that leaves and comes back, its site, and the file that somebody has uploaded to it.
const (
	leaver     = "globex"
	leaverHost = "www.globex.test"
	upload     = planner.TenantsRoot + "/globex/www/uploaded.html"
	uploadPath = "/uploaded.html"
)

// leave deletes a tenant's folder: the push is refused; with the trailer that it names the tenant goes; a revert brings it
// back with what was uploaded.
func (d demo) leave(ctx context.Context, at platform.Endpoints) error {
	left, err := exec.CommandContext(ctx, "git", "-C", d.Clone(), "log", "--oneline", "--grep", "^"+leaver+" leaves$").Output()
	if err != nil {
		return fmt.Errorf("read the clone's history: %w", err)
	}
	if len(left) > 0 {
		say("The tenant %s has left and come back in an earlier demo", leaver)
		return nil
	}
	if err := d.uploadFile(ctx); err != nil {
		return err
	}
	say("Somebody has uploaded %s to %s", uploadPath, leaverHost)
	if err := d.show(ctx, at, http.StatusOK, true); err != nil {
		return err
	}

	say("The folder of %s deleted and pushed: refused, with the way to say that it is meant", leaver)
	if err := d.Git(ctx, "rm", "-r", "--quiet", "tenants/"+leaver); err != nil {
		return err
	}
	if err := d.Push(ctx, leaver+" leaves"); err == nil {
		return fmt.Errorf("the push that deletes %s was not refused", leaver)
	}
	if err := d.show(ctx, at, http.StatusOK, true); err != nil {
		return err
	}

	say("The same with the trailer: gone from HAProxy and DNS, its files kept")
	if err := d.Git(ctx, "commit", "--quiet", "--amend", "-m", leaver+" leaves", "-m", "Allow-Destroy: Tenant/"+leaver); err != nil {
		return err
	}
	if err := d.Git(ctx, "push", "--quiet", "origin", "main"); err != nil {
		return err
	}
	if err := d.show(ctx, at, http.StatusMisdirectedRequest, false); err != nil {
		return err
	}
	kept, err := d.Hostctl(ctx, "trash")
	if err != nil {
		return err
	}
	fmt.Printf("    $ hostctl trash\n%s", kept)

	say("git revert: back, with what was uploaded")
	if err := d.Git(ctx, "revert", "--no-edit", "HEAD"); err != nil {
		return err
	}
	if err := d.Git(ctx, "push", "--quiet", "origin", "main"); err != nil {
		return err
	}
	return d.show(ctx, at, http.StatusOK, true)
}

// uploadFile puts a file into the tenant's site, as the tenant would.
func (d demo) uploadFile(ctx context.Context) error {
	node, err := d.container(ctx, "web-1-0")
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, "docker", "exec", "--interactive", "--user", "20001", node, "tee", upload)
	c.Stdin = strings.NewReader("<p>uploaded by globex\n")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("upload: %w: %s", err, out)
	}
	return nil
}

// show waits until the tenant's uploaded file answers with a status and its name resolves or doesn't, and prints both.
func (d demo) show(ctx context.Context, at platform.Endpoints, want int, resolves bool) error {
	return platform.Until(ctx, time.Minute, func() error {
		code, body, err := at.FetchPath(ctx, leaverHost, uploadPath)
		if err != nil {
			return err
		}
		answer, err := at.Resolve(ctx, leaverHost, dns.TypeA)
		if err != nil {
			answer = err.Error()
		}
		if code != want || (err == nil) != resolves {
			return fmt.Errorf("%s answers %d, PowerDNS: %s", leaverHost, code, answer)
		}
		fmt.Printf("    %-24s %d  %s\n    PowerDNS: %s\n", leaverHost, code, firstWords(body), answer)
		return nil
	})
}
