package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/miekg/dns"

	"hostctl/schema"
	"hostctl/tests/platform"
)

// prove fetches each site through HAProxy and asks PowerDNS for each name.
func (d demo) prove(ctx context.Context, at platform.Endpoints) error {
	tree, err := schema.Dir(d.Clone())
	if err != nil {
		return err
	}
	m, err := schema.Load(tree, nil)
	if err != nil {
		return err
	}
	say("Each site, fetched through HAProxy at %s", at.HTTP)
	suspended := map[string]bool{}
	for _, t := range m.Tenants {
		suspended[t.Name] = t.Suspended
	}
	for _, f := range m.FQDNs {
		code, body, err := at.Fetch(ctx, f.Hostname)
		if err != nil {
			return err
		}
		fmt.Printf("    %-24s %d  %s\n", f.Hostname, code, firstWords(body))
		want := http.StatusOK
		if suspended[f.Tenant] {
			want = http.StatusServiceUnavailable
		}
		if code != want {
			return fmt.Errorf("%s answers %d, want %d", f.Hostname, code, want)
		}
	}
	code, _, err := at.Fetch(ctx, "nobody.example")
	if err != nil {
		return err
	}
	fmt.Printf("    %-24s %d  an unknown host\n", "nobody.example", code)

	say("Each name, asked of PowerDNS at %s", at.DNS)
	for _, f := range m.FQDNs {
		answer, err := at.Resolve(ctx, f.Hostname, dns.TypeA)
		if err != nil {
			return err
		}
		fmt.Printf("    %s\n", answer)
	}
	return nil
}

// firstWords returns the first line with words of a page.
func firstWords(body string) string {
	for line := range strings.Lines(markup.ReplaceAllString(body, "")) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

// markup is what of a page isn't words to read.
var markup = regexp.MustCompile(`(?s)<title>.*?</title>|<[^>]*>`)

// edited is the file that the demo edits, the words of the line below which it adds one, and what it adds.
const (
	editedFile = "tenants/acme/shop.yaml"
	afterName  = "www.shop.acme.test"
	addedName  = "new.shop.acme.test"
)

// edit adds a host name to a site, pushes, and tells how soon HAProxy and PowerDNS know it.
func (d demo) edit(ctx context.Context, at platform.Endpoints) error {
	file := filepath.Join(d.Clone(), editedFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if strings.Contains(string(text), addedName) {
		say("The edit was made by an earlier demo: %s is in %s", addedName, editedFile)
		return nil
	}
	added, err := addLine(string(text), afterName, addedName)
	if err != nil {
		return fmt.Errorf("%s: %w", editedFile, err)
	}
	say("One line edited: %s gets the host name %s", editedFile, addedName)
	if err := os.WriteFile(file, []byte(added), 0o644); err != nil {
		return err
	}
	live := make(chan error, 1)
	var took platform.Live
	began := time.Now()
	go func() {
		var err error
		took, err = at.WaitLive(ctx, addedName, began)
		live <- err
	}()
	if err := d.Push(ctx, "acme: one more host name for the shop"); err != nil {
		return err
	}
	pushed := time.Since(began)
	if err := <-live; err != nil {
		return err
	}
	fmt.Printf("    %s was live in HAProxy %s and in DNS %s after 'git commit' had begun;\n    the push returned after %s, so that is %s and %s after its return.\n",
		addedName, ms(took.HTTP), ms(took.DNS), ms(pushed), ms(max(0, took.HTTP-pushed)), ms(max(0, took.DNS-pushed)))
	return nil
}

// addLine repeats the line that holds old, with new in its place, below it.
func addLine(text, old, with string) (string, error) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, old) {
			return strings.Replace(text, line, line+strings.Replace(line, old, with, 1), 1), nil
		}
	}
	return "", fmt.Errorf("no line holds %q", old)
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
