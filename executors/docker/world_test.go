package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"hostctl/executors"
	"hostctl/executors/docker"
	"hostctl/planner"
	"hostctl/schema"
)

const target = "host-1"

// tiny is what the tests share: the image of a node and two agent programs.
var tiny struct {
	sync.Once
	err     error
	tag, id string
	agents  map[string][]byte // by SHA-256
	sums    [2]string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if tiny.tag != "" {
		c, err := docker.Dial(schema.Docker{Endpoint: client.DefaultDockerHost})
		if err == nil {
			_, err = c.ImageRemove(context.Background(), tiny.tag, image.RemoveOptions{Force: true})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "remove the test image:", err)
		}
	}
	os.Exit(code)
}

// world is one instance of hostctl on the machine's engine, with a free subnet.
type world struct {
	*docker.Executor
	engine   *client.Client
	instance string
	subnet   netip.Prefix
}

// newWorld needs Docker: without it tests fail, unless they are the short ones.
func newWorld(t *testing.T, change ...func(*docker.Options)) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Docker")
	}
	engine, err := docker.Dial(schema.Docker{Endpoint: client.DefaultDockerHost})
	if err != nil {
		t.Fatal(err)
	}
	tiny.Do(func() { tiny.err = buildTiny(engine) })
	if tiny.err != nil {
		t.Fatal("needs a Docker engine: ", tiny.err)
	}
	w := &world{engine: engine, instance: random(16)}
	w.subnet = w.freeSubnet(t)
	o := docker.Options{Target: target, Instance: w.instance, Files: files, AgentBinary: agentBinary, Healthy: 30 * time.Second}
	for _, c := range change {
		c(&o)
	}
	w.Executor = docker.New(engine, o)
	t.Cleanup(func() { w.clean(t) })
	return w
}

func random(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) //nolint:errcheck // it never fails
	return hex.EncodeToString(b)
}

func files(planner.Container) (map[string]docker.File, error) {
	return map[string]docker.File{
		"/etc/hostctl/tls/ca.crt":   {Mode: 0o444, Content: []byte("the certificate of the CA")},
		"/etc/hostctl/tls/node.key": {Mode: 0o400, Content: []byte("canary-key")},
	}, nil
}

func agentBinary(sum string) (io.ReadCloser, int64, error) {
	b, ok := tiny.agents[sum]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

// buildTiny builds the node's program twice, and imports the first one as an image.
func buildTiny(engine *client.Client) error {
	if _, err := engine.Ping(context.Background()); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "node")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
	tiny.agents = map[string][]byte{}
	var program []byte
	for i := range tiny.sums {
		out := filepath.Join(folder, "node")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", fmt.Sprintf("-s -w -X main.version=%d", i), "-o", out, "./testdata/node")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the test node: %w\n%s", err, text)
		}
		if program, err = os.ReadFile(out); err != nil {
			return err
		}
		tiny.sums[i] = fmt.Sprintf("%x", sha256.Sum256(program))
		tiny.agents[tiny.sums[i]] = program
	}
	tag := "hostctl-docker-test:" + random(8)
	r, err := engine.ImageImport(context.Background(), image.ImportSource{Source: tinyRoot(program), SourceName: "-"}, tag,
		image.ImportOptions{Changes: []string{`ENTRYPOINT ["/init"]`, "ENV PATH=/bin", "ENV FROM_IMAGE=yes"}})
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	tiny.tag = tag
	img, err := engine.ImageInspect(context.Background(), tag)
	tiny.id = img.ID
	return errors.Join(err, r.Close())
}

// tinyRoot is a root file system: one program under all its names.
func tinyRoot(program []byte) io.Reader {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "init", Mode: 0o755, Size: int64(len(program))}))
	_, err := w.Write(program)
	must(err)
	for _, name := range []string{"opt/hostctl/healthy", "bin/s6-svc", "bin/sha256sum", "bin/mv", "bin/rm", "bin/touch"} {
		must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: "init", Mode: 0o755}))
	}
	must(w.Close())
	return &b
}

// freeSubnet returns a subnet that no network of the engine overlaps.
func (w *world) freeSubnet(t *testing.T) netip.Prefix {
	t.Helper()
	all, err := w.engine.NetworkList(t.Context(), network.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		b := make([]byte, 2)
		rand.Read(b) //nolint:errcheck // it never fails
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 128 + b[0]%100, b[1], 0}), 24)
		free := true
		for _, n := range all {
			for _, c := range n.IPAM.Config {
				other, err := netip.ParsePrefix(c.Subnet)
				free = free && (err != nil || !other.Overlaps(p))
			}
		}
		if free {
			return p
		}
	}
	t.Fatal("no free subnet")
	return netip.Prefix{}
}

// address returns the n-th address of the world's subnet.
func (w *world) address(n int) string {
	a := w.subnet.Addr().As4()
	a[3] += byte(n)
	return netip.AddrFrom4(a).String()
}

// clean removes everything of the instance, and nothing else.
func (w *world) clean(t *testing.T) {
	ctx := context.Background()
	ours := filters.NewArgs(filters.Arg("label", "hostctl.instance="+w.instance))
	cs, err := w.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: ours})
	for _, c := range cs {
		err = errors.Join(err, w.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	ns, nerr := w.engine.NetworkList(ctx, network.ListOptions{Filters: ours})
	for _, n := range ns {
		err = errors.Join(err, w.engine.NetworkRemove(ctx, n.ID))
	}
	vs, verr := w.engine.VolumeList(ctx, volume.ListOptions{Filters: ours})
	for _, v := range vs.Volumes {
		err = errors.Join(err, w.engine.VolumeRemove(ctx, v.Name, true))
	}
	if err := errors.Join(err, nerr, verr, w.Close()); err != nil {
		t.Errorf("clean up: %v", err)
	}
}

// inDocker is what an object is called there.
func (w *world) inDocker(name string) string { return name + "." + w.instance[:8] }

// inspect returns what the engine says of node 0.
func (w *world) inspect(t *testing.T) container.InspectResponse {
	t.Helper()
	c, err := w.engine.ContainerInspect(t.Context(), w.inDocker("web-1-0"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run runs a tool in a node.
func (w *world) run(t *testing.T, name string, argv ...string) {
	t.Helper()
	x, err := w.engine.ContainerExecCreate(t.Context(), w.inDocker(name), container.ExecOptions{Cmd: argv, AttachStdout: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.engine.ContainerExecAttach(t.Context(), x.ID, container.ExecAttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := io.Copy(io.Discard, s.Reader); err != nil {
		t.Fatal(err)
	}
	if r, err := w.engine.ContainerExecInspect(t.Context(), x.ID); err != nil || r.ExitCode != 0 {
		t.Fatalf("%v: %v, exit status %d", argv, err, r.ExitCode)
	}
}

// The objects of a world.

func meta(name string) planner.Meta {
	return planner.Meta{Target: target, Name: name, From: planner.Owner{Kind: "Shard", Name: name}}
}

func (w *world) network() planner.Network {
	return planner.Network{Meta: meta("eu-1"), Subnet: w.subnet.String()}
}

func vol(name string) planner.Volume { return planner.Volume{Meta: meta(name)} }

// node is a container with a volume of its own.
func (w *world) node(n int, change ...func(*planner.Container)) planner.Container {
	const firstAddress = 10
	name := fmt.Sprintf("web-1-%d", n)
	c := planner.Container{
		Meta: meta(name), Role: schema.RoleWeb, Cluster: "eu-1", Image: tiny.tag, ImageID: tiny.id,
		Network: "eu-1", Address: w.address(firstAddress + n),
		Mounts: []planner.Mount{{Volume: name, Path: "/var/lib/hostctl"}},
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func agentOf(n, version int) planner.Agent {
	name := fmt.Sprintf("web-1-%d", n)
	return planner.Agent{Meta: meta(name), Binary: tiny.sums[version], Volume: name}
}

// apply applies changes one after the other and returns the error of the last one; the others must succeed.
func (w *world) apply(t *testing.T, cs ...planner.Change) error {
	t.Helper()
	for i, c := range cs {
		err := w.Apply(t.Context(), []planner.Change{c})[0]
		if i == len(cs)-1 {
			return err
		}
		if err != nil {
			t.Fatalf("%s %s: %v", c.Action, c.Ref(), err)
		}
	}
	return nil
}

func create(o planner.Object) planner.Change {
	return planner.Change{Action: planner.Create, New: o}
}

func update(from, to planner.Object) planner.Change {
	return planner.Change{Action: planner.Update, Old: from, New: to}
}

func remove(o planner.Object) planner.Change { return planner.Change{Action: planner.Delete, Old: o} }

// started applies the network, a node's volume and the node.
func (w *world) started(t *testing.T, c planner.Container) error {
	t.Helper()
	return w.apply(t, create(w.network()), create(vol(c.Name)), create(c))
}

// observed returns what is observed under a ref, nil for nothing.
func (w *world) observed(t *testing.T, r planner.Ref) planner.Object {
	t.Helper()
	objects, err := w.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.Ref() == r {
			return o
		}
	}
	return nil
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it only found a port
	return l.Addr().(*net.TCPAddr).Port
}

var _ executors.Executor = (*docker.Executor)(nil)
