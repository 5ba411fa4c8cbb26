package agent_test

import (
	"context"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"hostctl/agent"
	"hostctl/agent/agentpb"
	"hostctl/agent/beneath"
	"hostctl/agent/blobs"
	"hostctl/agent/identity"
	"hostctl/agent/transfer"
	"hostctl/agent/webroots"
	"hostctl/executors"
	"hostctl/planner"
)

const (
	movedUID = 21017
	webGID   = 33
)

// place is the part of a web node that has to do with folders of sites: its agent, reached over mutual TLS, and a disk.
type place struct {
	t       *testing.T
	node    string
	root    string // the sites
	tls     string // the node's certificate
	address string
	sites   *webroots.Manager
}

func newPlace(t *testing.T, ca *identity.CA, node string) *place {
	t.Helper()
	p := &place{t: t, node: node, root: t.TempDir(), tls: t.TempDir()}
	if err := os.Chmod(p.root, 0o755); err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Node(node, "web", instance, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"ca.crt": ca.PEM(), "node.crt": cert, "node.key": key} {
		if err := os.WriteFile(p.file(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.sites = webroots.New(webroots.Options{Root: p.root, GID: webGID, Blobs: files{}, Pull: transfer.Puller{Instance: instance, TLS: p.tls}.Pull})
	p.serve()
	return p
}

func (p *place) file(name string) string { return filepath.Join(p.tls, name) }

func (p *place) serve() {
	p.t.Helper()
	store, err := agent.OpenStore(filepath.Join(p.t.TempDir(), "state.db"), instance)
	if err != nil {
		p.t.Fatal(err)
	}
	folder, err := blobs.Open(p.t.TempDir())
	if err != nil {
		p.t.Fatal(err)
	}
	a := agent.New(agent.Options{
		Node: p.node, Role: "web", Instance: instance, Store: store, Blobs: folder, Sites: p.sites,
		Executors: map[planner.Kind]executors.Executor{planner.KindWebroot: p.sites},
	})
	secure, err := identity.ServerTLS(p.file("ca.crt"), p.file("node.crt"), p.file("node.key"), instance, true)
	if err != nil {
		p.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.address = l.Addr().String()
	s := a.Server(secure)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l) // it ends when it is stopped
	}()
	p.t.Cleanup(func() {
		s.Stop()
		<-ended
		_ = store.Close()
	})
}

// apply takes a webroot from one content to another.
func (p *place) apply(old, now planner.Webroot) error {
	c := planner.Change{ID: 1, Action: planner.Update, Old: old, New: now}
	if old.Name == "" {
		c = planner.Change{ID: 1, Action: planner.Create, New: now}
	}
	return p.sites.Apply(p.t.Context(), []planner.Change{c})[0]
}

func (p *place) must(old, now planner.Webroot) {
	p.t.Helper()
	if err := p.apply(old, now); err != nil {
		p.t.Fatal(err)
	}
}

// sh runs a shell in the site's folder.
func (p *place) sh(script string) string {
	p.t.Helper()
	c := exec.Command("sh", "-euc", script)
	c.Dir = filepath.Join(p.root, "acme", "shop")
	out, err := c.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// tree lists what is in the site's folder: type, mode, owner, size, when it was modified, where it leads, and what is in it.
func (p *place) tree() string {
	p.t.Helper()
	return p.sh(`find . -mindepth 1 -type f -printf '%p %y %m %U:%G %s %T@\n' -o -printf '%p %y %m %U:%G %l\n' | LC_ALL=C sort; find . -type f -exec sha256sum {} + | LC_ALL=C sort -k2`)
}

func movedSite(shard string) planner.Webroot {
	return planner.Webroot{Meta: planner.Meta{Target: shard, Name: "acme.shop"}, Tenant: "acme", Site: "shop", UID: movedUID, DocumentRoot: "public"}
}

func copyFrom(p *place) *planner.Copy {
	return &planner.Copy{Shard: "web-1", Nodes: []planner.Peer{{Node: "web-1-7", Address: "127.0.0.1:1"}, {Node: p.node, Address: p.address}}}
}

// A site's folder is brought to another shard with all that is in it, twice, and nothing else.
func TestSiteMoves(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test needs root: files of several users are made")
	}
	ca, err := identity.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	from, to := newPlace(t, ca, "web-1-0"), newPlace(t, ca, "web-2-0")
	was := movedSite("web-1")
	from.must(planner.Webroot{}, was)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("root's own"), 0o600); err != nil {
		t.Fatal(err)
	}
	from.sh(`
		mkdir -p public/uploads/2026 'a name with
a line' private; chmod 700 private
		head -c 700000 /dev/urandom > public/uploads/2026/large.bin
		printf 'x' > public/small.txt; printf 'kept' > public/uploads/touched; touch -d 2001-02-03 public/uploads/touched
		: > public/empty; printf 'y' > 'a name with
a line/f'
		ln -s uploads/2026 public/latest; ln -s ` + secret + ` public/outside; ln -s nowhere dangling
		ln public/small.txt public/second-name; mkfifo pipe
		printf '#!/bin/sh' > run; chmod 6755 run
		chown -R -h 21017:33 .; chown 21017:21017 public/small.txt; chown 4711:4711 run
		ln ` + secret + ` public/stolen`)
	open := was
	open.MovesTo = "web-2"

	coming := movedSite("web-2")
	coming.CopyOf = copyFrom(from)
	if err := to.apply(planner.Webroot{}, coming); err == nil || !strings.Contains(err.Error(), "doesn't move to the shard") {
		t.Errorf("a site that doesn't move was brought: %v", err)
	}
	from.must(was, open)
	to.must(planner.Webroot{}, coming)
	for _, refused := range []string{"public/stolen", "pipe"} {
		if _, err := os.Lstat(filepath.Join(to.root, "acme/shop", refused)); !os.IsNotExist(err) {
			t.Errorf("%s came: %v", refused, err)
		}
	}
	from.sh("rm pipe public/stolen; chmod 755 run; chown 21017:33 run")
	if a, b := from.tree(), to.tree(); a != b {
		t.Errorf("it was\n%s\nand is\n%s", a, b)
	}

	from.sh(`printf 'changed, and longer' > public/small.txt; rm -r private; rm public/latest; mkdir public/latest; printf 1 > public/latest/now; rm -r public/uploads; printf 'a file now' > public/uploads; chown -R -h 21017:33 public`)
	to.must(coming, movedSite("web-2"))
	if a, b := from.tree(), to.tree(); a != b {
		t.Errorf("at the end it was\n%s\nand is\n%s", a, b)
	}
	if found, err := to.sites.Present(t.Context(), []planner.Ref{coming.Ref()}); err != nil || found[coming.Ref()].(planner.Webroot).CopyOf != nil {
		t.Errorf("%+v, %v", found, err)
	}
	kept := open
	kept.Kept, kept.MovesTo = true, ""
	from.must(open, kept)
	if err := to.apply(coming, coming); err == nil {
		t.Error("it is open still, though it is only kept")
	}
}

// A copy that was cut off goes on: what has come is there whole, and isn't asked for again. One that nobody wants any more
// goes, and only such a one.
func TestSiteMoveIsCutOff(t *testing.T) {
	ca, err := identity.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	from, to := newPlace(t, ca, "web-1-0"), newPlace(t, ca, "web-2-0")
	was := movedSite("web-1")
	from.must(planner.Webroot{}, was)
	open := was
	open.MovesTo = "web-2"
	from.must(was, open)
	from.sh(`for i in $(seq 40); do head -c 3000000 /dev/zero > public/$i; done; chown -R 21017:33 .`)
	coming := movedSite("web-2")
	coming.CopyOf = copyFrom(from)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- to.sites.Apply(ctx, []planner.Change{{ID: 1, Action: planner.Create, New: coming}})[0] }()
	public := filepath.Join(to.root, "acme/shop/public")
	for deadline := time.Now().Add(time.Minute); ; {
		if entries, _ := os.ReadDir(public); len(entries) > 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing comes")
		}
	}
	cancel()
	if err := <-done; err == nil {
		t.Fatal("it wasn't cut off")
	}
	first, err := os.Lstat(filepath.Join(public, firstWhole(t, public)))
	if err != nil {
		t.Fatal(err)
	}
	to.must(coming, coming)
	again, err := os.Lstat(filepath.Join(public, first.Name()))
	if err != nil || inode(first) != inode(again) {
		t.Errorf("%s came a second time: %v", first.Name(), err)
	}
	from.sh("rm -f public/.hostctl-*")
	if a, b := from.tree(), to.tree(); a != b {
		t.Errorf("it was\n%s\nand is\n%s", a, b)
	}
	if err := to.sites.Apply(t.Context(), []planner.Change{{ID: 1, Action: planner.Delete, Old: coming}})[0]; err != nil {
		t.Errorf("the copy: %v", err)
	}
	if err := from.sites.Apply(t.Context(), []planner.Change{{ID: 1, Action: planner.Delete, Old: open}})[0]; err == nil {
		t.Error("a site that is served was deleted")
	}
}

func firstWhole(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if i, err := e.Info(); err == nil && e.Name()[0] != '.' && i.Size() == 3000000 {
			return e.Name()
		}
	}
	t.Fatalf("nothing has come whole: %v", entries)
	return ""
}

func inode(i fs.FileInfo) uint64 { return i.Sys().(*syscall.Stat_t).Ino }

// A node may ask another one for sites that move to its shard, and for nothing else; the controller has no use for them.
func TestNodesMayBringSitesAlone(t *testing.T) {
	ca, err := identity.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	from, other := newPlace(t, ca, "web-1-0"), newPlace(t, ca, "web-3-0")
	was := movedSite("web-1")
	was.MovesTo = "web-2"
	from.must(planner.Webroot{}, was)
	secure, err := identity.NodeTLS(other.file("ca.crt"), other.file("node.crt"), other.file("node.key"), instance, "web-1-0")
	if err != nil {
		t.Fatal(err)
	}
	node := dial(t, from.address, credentials.NewTLS(secure))
	code := status.Code
	_, err = node.Hello(t.Context(), &agentpb.HelloRequest{})
	if code(err) != codes.PermissionDenied {
		t.Errorf("Hello: %v", err)
	}
	if _, err = node.Apply(t.Context(), &agentpb.ApplyRequest{Instance: instance}); code(err) != codes.PermissionDenied {
		t.Errorf("Apply: %v", err)
	}
	observe, err := node.Observe(t.Context(), &agentpb.ObserveRequest{})
	if err == nil {
		_, err = observe.Recv()
	}
	if code(err) != codes.PermissionDenied {
		t.Errorf("Observe: %v", err)
	}
	for _, site := range []string{"acme.shop", "acme.none", "../../etc.x", "acme", ""} {
		entries, err := node.Entries(t.Context(), &agentpb.EntriesRequest{Site: site})
		if err == nil {
			_, err = entries.Recv()
		}
		if code(err) != codes.FailedPrecondition {
			t.Errorf("site %q: %v", site, err)
		}
		contents, err := node.Contents(t.Context(), &agentpb.ContentsRequest{Site: site, Paths: [][]byte{[]byte("../../../etc/shadow")}})
		if err == nil {
			_, err = contents.Recv()
		}
		if code(err) != codes.FailedPrecondition {
			t.Errorf("contents of %q: %v", site, err)
		}
	}
	cert, err := ca.Controller(instance)
	if err != nil {
		t.Fatal(err)
	}
	asController, err := ca.ClientTLS(cert, instance, "web-1-0")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := dial(t, from.address, credentials.NewTLS(asController)).Entries(t.Context(), &agentpb.EntriesRequest{Site: "acme.shop"})
	if err == nil {
		_, err = entries.Recv()
	}
	if code(err) != codes.PermissionDenied {
		t.Errorf("the controller: %v", err)
	}
	dir, _, err := from.sites.Leaving("acme.shop", "web-2-0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	var odd *beneath.NotPlain
	if f, _, err := dir.FileOf("../../../etc/shadow", movedUID); err == nil {
		_ = f.Close()
		t.Error("a file beside the site was opened")
	} else if !asNotPlain(err, &odd) {
		t.Errorf("%v", err)
	}
}

func asNotPlain(err error, odd **beneath.NotPlain) bool {
	e, ok := err.(*beneath.NotPlain) //nolint:errorlint // as it is returned
	*odd = e
	return ok
}

func dial(t *testing.T, address string, c credentials.TransportCredentials) agentpb.AgentClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return agentpb.NewAgentClient(conn)
}
