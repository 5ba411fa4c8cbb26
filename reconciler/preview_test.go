package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/reconciler"
	"hostctl/schema"
)

// TestPreviewWithMemo: what is remembered of one plan isn't taken for what another one starts from.
func TestPreviewWithMemo(t *testing.T) {
	w := newWorld(t)
	w.rec.Memo, w.rec.Cache = &planner.Memo{}, schema.NewCache()
	c := firstConfig(minimal(t))
	tree := c.tree(t)
	for i := range 8 {
		name := fmt.Sprintf("tenant-%d", i)
		tree["tenants/"+name+"/tenant.yaml"] = document("Tenant", name, "plan: small", "shards: {web: web-1}") + "---\n" +
			document("Webroot", "www", `runtime: {type: php, version: "8.3"}`, "php: {ini: {memory_limit: 64M}}", "fqdns: [www."+name+".test]")
	}
	w.applied(tree)
	more := func(tree schema.MapTree, tenant string) schema.MapTree {
		tree = maps.Clone(tree)
		file := "tenants/" + tenant + "/tenant.yaml"
		tree[file] = strings.Replace(tree[file], "64M", "128M", 1)
		return tree
	}
	base := w.push(more(tree, "tenant-1"))
	head := w.push(more(more(tree, "tenant-1"), "tenant-2"))
	v, err := w.rec.Preview(context.Background(), base, head)
	w.must(err)
	if len(v.Now.Changes) == 0 || len(v.Change.Changes) == 0 {
		t.Fatal("nothing is to be changed")
	}
	for _, c := range v.Change.Changes {
		if owner := c.Owner().Tenant; owner != "tenant-2" {
			t.Errorf("it says that the change changes %s of tenant %q, and that is another's", c.Ref(), owner)
		}
	}
}

// sites is a platform of eight tenants with a site each.
func sites(t *testing.T) schema.MapTree {
	tree := firstConfig(minimal(t)).tree(t)
	for i := range 8 {
		name := fmt.Sprintf("tenant-%d", i)
		tree["tenants/"+name+"/tenant.yaml"] = document("Tenant", name, "plan: small", "shards: {web: web-1}") + "---\n" +
			document("Webroot", "www", `runtime: {type: php, version: "8.3"}`, "fqdns: [www."+name+".test]")
	}
	return tree
}

// TestProposalIsJudgedByItsBase: a proposal can't raise the budget that it goes over, also where its base isn't applied yet.
func TestProposalIsJudgedByItsBase(t *testing.T) {
	w := newWorld(t)
	w.rec.Policy.AllowDestroy = nil
	tree := sites(t)
	w.applied(tree)
	for _, base := range []schema.MapTree{tree, withFile(tree, "tenants/acme/more.yaml", document("Webroot", "more", "runtime: {type: static}"))} {
		from := w.push(base)
		head := maps.Clone(base)
		head["platform/platform.yaml"] += "  guardrails: {maxDeletePercent: 100, maxDataDeletes: 100}\n"
		for i := range 8 {
			file := fmt.Sprintf("tenants/tenant-%d/tenant.yaml", i)
			head[file], _, _ = strings.Cut(head[file], "---\n")
		}
		_, err := w.rec.Propose(t.Context(), from, w.push(head))
		if !asType[*planner.RefusedError](err) {
			t.Errorf("8 sites go, with the budget raised in the same change: %v", err)
		}
	}
}

// TestBaseIsNotBlamedOnTheProposal: what is wrong with the base is said to be; a proposal that mends it can be planned.
func TestBaseIsNotBlamedOnTheProposal(t *testing.T) {
	w := newWorld(t)
	tree := sites(t)
	w.applied(tree)
	broken := withFile(tree, "platform/plans/broken.yaml", "kind: [\n")
	base := w.push(broken)
	var wrong *reconciler.BaseError
	v, err := w.rec.Propose(t.Context(), base, w.push(withFile(broken, "tenants/acme/more.yaml", document("Webroot", "more", "runtime: {type: static}"))))
	if !errors.As(err, &wrong) || wrong.Head == nil || len(v.Now.Changes) > 0 {
		t.Errorf("a proposal on a broken base: %v", err)
	}
	_, err = w.rec.Propose(t.Context(), base, w.push(tree))
	if !errors.As(err, &wrong) || wrong.Head != nil || !strings.Contains(err.Error(), "which the change starts from: platform/plans/broken.yaml:2:1:") {
		t.Errorf("a proposal that mends its base: %v", err)
	}

	mistake := withFile(tree, "tenants/tenant-1/bad.yaml", document("Webroot", "bad", "runtime: {type: cobol}"))
	base = w.push(mistake)
	shifted := withFile(mistake, "tenants/tenant-1/bad.yaml", "# a comment\n"+mistake["tenants/tenant-1/bad.yaml"])
	if v, err = w.rec.Propose(t.Context(), base, w.push(shifted)); err != nil || len(v.Change.Frozen) != 1 {
		t.Errorf("a mistake that was there before: %v", err)
	}
	var brought *reconciler.FrozenError
	_, err = w.rec.Propose(t.Context(), base, w.push(withFile(mistake, "tenants/tenant-2/bad.yaml", mistake["tenants/tenant-1/bad.yaml"])))
	if !errors.As(err, &brought) || len(brought.Frozen) != 1 || !strings.HasPrefix(brought.Frozen[0].Errors[0], "tenants/tenant-2/bad.yaml:6:") {
		t.Errorf("a mistake of the proposal: %v", err)
	}
}

// TestNowIsAdvice: that the branch can't be applied as things are says nothing of the change.
func TestNowIsAdvice(t *testing.T) {
	w := newWorld(t)
	w.rec.Policy.AllowDestroy = nil
	tree := sites(t)
	w.applied(tree)
	base := w.push(withFile(tree, "tenants/acme/more.yaml", document("Webroot", "more", "runtime: {type: static}")))
	head := w.push(withFile(tree, "tenants/acme/more.yaml", document("Webroot", "more", "runtime: {type: static}")+"---\n"+document("Webroot", "again", "runtime: {type: static}")))
	v, err := w.rec.Propose(t.Context(), base, head)
	w.must(err)
	var b strings.Builder
	w.must(v.Markdown(&b, 0))
	if len(v.Change.Changes) == 0 || len(v.Now.Changes) <= len(v.Change.Changes) || !strings.Contains(b.String(), "### What applying it now would do\n") {
		t.Errorf("two parts are wanted:\n%s", b.String())
	}
	v.Refused = errors.New("no room for ``` it")
	b.Reset()
	w.must(v.Markdown(&b, 0))
	if !strings.HasSuffix(b.String(), "### Applied now, it would be refused\n\n````text\nno room for ``` it\n````\n") {
		t.Errorf("it ends with %q", b.String()[max(0, b.Len()-200):])
	}
}

// TestProposalCallsNobody: neither a name server nor an engine that a proposal names is called, nor a key opened.
func TestProposalCallsNobody(t *testing.T) {
	w, tree, far := externalWorld(t)
	empty := w.push(with(t, tree, "domain: acme.test", "domain: acme2.test"))
	head := w.push(tree)
	v, err := w.rec.Propose(t.Context(), empty, head)
	w.must(err)
	_, err = w.rec.PlanProposed(t.Context(), head)
	w.must(err)
	_, err = w.rec.Answer(t.Context(), reconciler.Ask{Commit: head, AgentBinary: w.rec.Policy.AgentBinary, Proposed: true})
	w.must(err)
	if far.asked > 0 {
		t.Errorf("the name servers were asked %d times", far.asked)
	}
	if notes := strings.Join(v.Now.Notes, "\n"); !strings.Contains(notes, "nobody is asked for what is only proposed") {
		t.Errorf("nothing says that they weren't: %q", notes)
	}

	w = newWorld(t)
	tree = minimal(t)
	base := w.applied(tree)
	var called []string
	w.rec.Connect = func(target planner.Target, s reconciler.Session) (executors.Executor, error) {
		called = append(called, target.Docker.Endpoint)
		return w.far.connect(target, s)
	}
	tree = with(t, tree, "image: hostctl/web:v1", "image: hostctl/web:v2")
	tree["clusters/eu-1/host-2.yaml"] = document("Host", "host-2",
		"address: 127.0.0.2", "docker: {endpoint: 'unix:///run/secret.sock'}", "portRange: {first: 20000, last: 20999}")
	_, err = w.rec.Propose(t.Context(), base, w.push(tree))
	w.must(err)
	if len(called) == 0 || slices.Contains(called, "unix:///run/secret.sock") {
		t.Errorf("called: %q; want engines that are ours, and no other", called)
	}
}
