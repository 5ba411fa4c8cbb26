package docker_test

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"hostctl/executors"
	"hostctl/executors/docker"
	"hostctl/planner"
	"hostctl/schema"
)

// wantError checks an error's kind, and that its text tells all of these.
func wantError(t *testing.T, err error, k executors.Kind, texts ...string) {
	t.Helper()
	if executors.KindOf(err) != k {
		t.Fatalf("%v (%q), want kind %q", err, executors.KindOf(err), k)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q doesn't say %q", err, text)
		}
	}
}

// file returns the header and content of a file in a node.
func (w *world) file(t *testing.T, name, path string) (*tar.Header, string) {
	t.Helper()
	r, _, err := w.engine.CopyFromContainer(t.Context(), w.inDocker(name), path)
	fatal(t, err)
	defer r.Close() //nolint:errcheck // it was only read
	a := tar.NewReader(r)
	h, err := a.Next()
	fatal(t, err)
	b, err := io.ReadAll(a)
	fatal(t, err)
	return h, string(b)
}

func TestNodeAsItIsInDocker(t *testing.T) {
	w := newWorld(t)
	fatal(t, w.started(t, w.node(0)))
	c := w.inspect(t)
	if c.Config.Hostname != "web-1-0" || c.HostConfig.Privileged || c.HostConfig.RestartPolicy.Name != container.RestartPolicyUnlessStopped {
		t.Errorf("host name %q, privileged %v, restart %q", c.Config.Hostname, c.HostConfig.Privileged, c.HostConfig.RestartPolicy.Name)
	}
	if c.HostConfig.LogConfig.Config["max-size"] == "" {
		t.Errorf("log without bounds: %v", c.HostConfig.LogConfig)
	}
	for label, want := range map[string]string{
		"hostctl.instance": w.instance, "hostctl.ref": "container/host-1/web-1-0", "hostctl.hash": string(planner.HashOf(w.node(0))),
	} {
		if got := c.Config.Labels[label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	if !strings.Contains(strings.Join(c.Config.Env, " "), "HOSTCTL_INSTANCE="+w.instance) {
		t.Errorf("env %v", c.Config.Env)
	}
	key, content := w.file(t, "web-1-0", "/etc/hostctl/tls/node.key")
	if key.Mode&0o777 != 0o400 || key.Uid != 0 || content != "canary-key" {
		t.Errorf("key: mode %o, uid %d, %q", key.Mode, key.Uid, content)
	}
	if folder, _ := w.file(t, "web-1-0", "/etc/hostctl/tls"); folder.Mode&0o777 != 0o755 {
		t.Errorf("folder of the key: mode %o", folder.Mode)
	}
	if b, err := json.Marshal(c); err != nil || strings.Contains(string(b), "canary") {
		t.Errorf("the key is in what docker inspect shows (%v)", err)
	}
}

func TestHalfMadeIsMadeAnew(t *testing.T) {
	for _, point := range []string{"created", "copied", "running", "stopped"} {
		t.Run(point, func(t *testing.T) {
			w := newWorld(t)
			killed := errors.New("killed")
			var fail func(planner.Container) (map[string]docker.File, error)
			switch point {
			case "created":
				fail = func(planner.Container) (map[string]docker.File, error) { return nil, killed }
			case "copied":
				fail = func(planner.Container) (map[string]docker.File, error) { panic(killed) }
			default:
				fail = files
			}
			first := docker.New(w.engine, docker.Options{Target: target, Instance: w.instance, Files: fail})
			fatal(t, w.apply(t, create(w.network()), create(vol("web-1-0"))))
			err := first.Apply(t.Context(), []planner.Change{create(w.node(0))})[0]
			if broken := point == "created" || point == "copied"; broken != (err != nil) {
				t.Fatalf("%v", err)
			}
			before := w.inspect(t).ID
			if point == "stopped" {
				fatal(t, w.engine.ContainerKill(t.Context(), before, "KILL"))
			}
			if o := w.observed(t, w.node(0).Ref()); (o != nil) != (point == "running") {
				t.Errorf("observed %v", o)
			}
			fatal(t, w.apply(t, create(w.node(0))))
			after := w.inspect(t)
			if (after.ID == before) != (point == "running") {
				t.Errorf("container %.8s became %.8s", before, after.ID)
			}
			if _, content := w.file(t, "web-1-0", "/etc/hostctl/tls/node.key"); content != "canary-key" {
				t.Error("it runs without its key")
			}
		})
	}
}

func TestOthersThingsAreNotTouched(t *testing.T) {
	w := newWorld(t)
	other := docker.New(w.engine, docker.Options{Target: target, Instance: w.instance[:8] + random(12)})
	for _, o := range []planner.Object{w.network(), vol("web-1-0"), w.node(0)} {
		fatal(t, w.apply(t, create(o)))
		for _, c := range []planner.Change{create(o), update(o, o), remove(o)} {
			err := other.Apply(t.Context(), []planner.Change{c})[0]
			wantError(t, err, executors.Conflict, o.Ref().String(), "belongs to the hostctl instance "+w.instance)
		}
	}
	if objects, err := other.Observe(t.Context()); err != nil || len(objects) > 0 {
		t.Errorf("the other instance observes %v, %v", objects, err)
	}
	if w.observed(t, w.node(0).Ref()) == nil {
		t.Error("the node is gone")
	}
	elsewhere := docker.New(w.engine, docker.Options{Target: "host-2", Instance: w.instance})
	node := w.node(0)
	node.Target = "host-2"
	wantError(t, elsewhere.Apply(t.Context(), []planner.Change{remove(node)})[0], executors.Conflict, "two hosts must not share an engine")
}

func TestThingsWithoutLabelsAreNotTouched(t *testing.T) {
	w := newWorld(t)
	_, err := w.engine.VolumeCreate(t.Context(), volume.CreateOptions{Name: w.inDocker("web-1-0")})
	fatal(t, err)
	t.Cleanup(func() { _ = w.engine.VolumeRemove(context.Background(), w.inDocker("web-1-0"), true) })
	wantError(t, w.apply(t, create(vol("web-1-0"))), executors.Conflict, "hostctl did not make")
	wantError(t, w.apply(t, remove(vol("web-1-0"))), executors.Conflict, "hostctl did not make")
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	w := newWorld(t)
	fatal(t, w.started(t, w.node(0)))

	overlapping := planner.Network{Meta: meta("eu-2"), Subnet: w.subnet.String()}
	wantError(t, w.apply(t, create(overlapping)), executors.Refused, "network/host-1/eu-2", "overlaps with Docker's network "+w.inDocker("eu-1"), "choose another Cluster network.subnet")
	wantError(t, w.apply(t, remove(w.network())), executors.Conflict, "still has containers: "+w.inDocker("web-1-0"))

	noVolume := w.node(1)
	wantError(t, w.apply(t, create(noVolume)), executors.Conflict, "volume web-1-1", "plan again")
	noImage := w.node(1, func(c *planner.Container) { c.Image, c.ImageID = "hostctl/web:v9", ""; c.Mounts = nil })
	wantError(t, w.apply(t, create(noImage)), executors.Refused, "image hostctl/web:v9 isn't on host-1: build or pull it")

	port := freePort(t)
	published := func(n int) planner.Container {
		return w.node(n, func(c *planner.Container) {
			c.Mounts = nil
			c.Ports = []planner.PublishedPort{{Name: "http", Container: 80, Address: "127.0.0.1", Host: port, Protocol: "tcp"}}
		})
	}
	wantError(t, w.apply(t, create(published(2)), create(published(3))), executors.Conflict, "container/host-1/web-1-3", "in use")
	if _, err := w.engine.ContainerInspect(t.Context(), w.inDocker("web-1-3")); err == nil {
		t.Error("a container that couldn't be started is left over")
	}

	noAgent := agentOf(0, 0)
	noAgent.Binary = "00"
	wantError(t, w.apply(t, create(noAgent)), executors.Refused, "agent/host-1/web-1-0")
	wantError(t, w.apply(t, create(agentOf(5, 0))), executors.Conflict, "web-1-5 doesn't run")

	data := planner.Volume{Meta: meta("web-1-files"), Data: true}
	wantError(t, w.apply(t, create(data), remove(planner.Volume{Meta: meta("web-1-files")})), executors.Refused, "holds data, and nobody has said that it may go")
}

// A volume with data goes only where it was kept before, and is noted to be (G10). The note goes with it, also where somebody
// has removed the volume by hand.
func TestG10_OnlyKeptVolumesAreDeleted(t *testing.T) {
	w := newWorld(t)
	data := planner.Volume{Meta: meta("web-1-files"), Data: true}
	kept := data
	kept.Kept = true
	there := func() (volume, note bool) {
		_, err := w.engine.VolumeInspect(t.Context(), w.inDocker("web-1-files"))
		_, err2 := w.engine.VolumeInspect(t.Context(), w.inDocker("web-1-files")+".kept")
		return err == nil, err2 == nil
	}
	for _, old := range []planner.Volume{data, kept} { // kept as the plan has it, and not as the host does
		wantError(t, w.apply(t, create(data), remove(old)), executors.Refused, "holds data, and nobody has said that it may go")
	}
	fatal(t, w.apply(t, update(data, kept)))
	wantError(t, w.apply(t, remove(data)), executors.Refused, "holds data, and nobody has said that it may go")
	if volume, note := there(); !volume || !note {
		t.Fatalf("the volume is there: %t, the note: %t", volume, note)
	}
	fatal(t, w.apply(t, remove(kept)))
	if volume, note := there(); volume || note {
		t.Errorf("after it was deleted, the volume is there: %t, the note: %t", volume, note)
	}
	fatal(t, w.apply(t, remove(kept)))
	fatal(t, w.apply(t, create(kept)))
	if err := errors.Join(w.engine.VolumeRemove(t.Context(), w.inDocker("web-1-files"), false), w.apply(t, remove(kept))); err != nil {
		t.Fatal(err)
	}
	if _, note := there(); note {
		t.Error("the note that the volume is kept is left over")
	}
}

func TestContainerThatEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	broken := w.node(0, func(c *planner.Container) { c.Env = map[string]string{"MODE": "exit"} })
	wantError(t, w.started(t, broken), executors.Unknown, "container/host-1/web-1-0", "the container ended", "as soon as it was started", "the database can't be opened")
	if c := w.inspect(t); c.State.Running || c.State.Restarting {
		t.Error("it starts again and again")
	}
	fatal(t, w.apply(t, create(w.node(0))))
}

func TestContainerThatNeverBecomesHealthy(t *testing.T) {
	w := newWorld(t, func(o *docker.Options) { o.Healthy = time.Second })
	sick := w.node(0, func(c *planner.Container) { c.Env = map[string]string{"MODE": "sick"} })
	wantError(t, w.started(t, sick), executors.Unknown, "not healthy after 1s", "the listener doesn't answer", "node 1 is up")
}

func TestUpdateInPlace(t *testing.T) {
	w := newWorld(t)
	limits := func(memory, cpus, pids int64) planner.Container {
		return w.node(0, func(c *planner.Container) { c.Memory, c.NanoCPUs, c.Pids = memory, cpus, pids })
	}
	was := limits(64<<20, 5e8, 100)
	fatal(t, w.started(t, was))
	id := w.inspect(t).ID
	for _, to := range []planner.Container{limits(128<<20, 1e9, 50), limits(32<<20, 25e7, 0)} {
		fatal(t, w.apply(t, update(was, to)))
		if got := w.observed(t, to.Ref()); planner.HashOf(got) != planner.HashOf(to) {
			t.Errorf("observed %s\nwant     %s", planner.Encode(got), planner.Encode(to))
		}
		was = to
	}
	if w.inspect(t).ID != id {
		t.Error("it was made anew")
	}
	for _, less := range []planner.Container{limits(32<<20, 0, 0), limits(0, 25e7, 0)} {
		wantError(t, w.apply(t, update(was, less)), executors.Conflict, "no memory or CPU limit away")
		if planner.InPlace(was, less) {
			t.Errorf("a plan takes a limit away in place, and Docker doesn't: %s", planner.Encode(less))
		}
	}
	other := was
	other.Env = map[string]string{"A": "b"}
	wantError(t, w.apply(t, update(was, other)), executors.Conflict, "more than its limits")
}

// What can't be changed in place is seen to be so, and made anew as what it was: a node that somebody has given a limit,
// another address, or another network.
func TestWhatCannotBeChangedBackIsReplaced(t *testing.T) {
	w := newWorld(t)
	n := w.node(0)
	fatal(t, w.started(t, n))
	name, other := w.inDocker("web-1-0"), planner.Network{Meta: meta("eu-2"), Subnet: w.freeSubnet(t).String()}
	fatal(t, w.apply(t, create(other)))
	move := func(to, address string) {
		t.Helper()
		for net := range w.inspect(t).NetworkSettings.Networks {
			fatal(t, w.engine.NetworkDisconnect(t.Context(), net, name, true))
		}
		e := &network.EndpointSettings{}
		if address != "" {
			e.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: address}
		}
		fatal(t, w.engine.NetworkConnect(t.Context(), w.inDocker(to), name, e))
	}
	for what, damage := range map[string]func(){
		"a limit": func() {
			_, err := w.engine.ContainerUpdate(t.Context(), name, container.UpdateConfig{Resources: container.Resources{Memory: 64 << 20, MemorySwap: 64 << 20}})
			fatal(t, err)
		},
		"another address": func() { move("eu-1", w.address(200)) },
		"another network": func() { move("eu-2", "") },
	} {
		damage()
		is := w.observed(t, n.Ref())
		if is == nil || planner.HashOf(is) == planner.HashOf(n) || planner.InPlace(is, n) {
			t.Fatalf("%s: observed as %v, which can't be changed back in place", what, is)
		}
		if err := w.apply(t, update(n, n)); executors.KindOf(err) != executors.Conflict {
			t.Errorf("%s: changed in place: %v; want a conflict", what, err)
		}
		fatal(t, w.apply(t, create(n)))
		if is := w.observed(t, n.Ref()); planner.HashOf(is) != planner.HashOf(n) {
			t.Errorf("%s: made anew it is %s, want %s", what, planner.Encode(is), planner.Encode(n))
		}
	}
}

func TestUnhealthyIsNotObserved(t *testing.T) {
	w := newWorld(t)
	fatal(t, w.started(t, w.node(0)))
	id := w.inspect(t).ID
	paused := w.node(0)
	fatal(t, w.engine.ContainerPause(t.Context(), id))
	if o := w.observed(t, paused.Ref()); o != nil {
		t.Errorf("paused, and observed as %v", o)
	}
	fatal(t, w.apply(t, create(paused)))
	if w.observed(t, paused.Ref()) == nil || w.inspect(t).ID == id {
		t.Error("it wasn't made anew")
	}
}

// A node that was taken out of its network is taken for gone, and made anew when it is created again.
func TestNodeWithoutNetwork(t *testing.T) {
	w := newWorld(t)
	n := w.node(0)
	fatal(t, w.started(t, n))
	fatal(t, w.engine.NetworkDisconnect(t.Context(), w.inDocker("eu-1"), w.inDocker("web-1-0"), true))
	if o := w.observed(t, n.Ref()); o != nil {
		t.Errorf("observed: %s", planner.Encode(o))
	}
	fatal(t, w.apply(t, create(n)))
	if o := w.observed(t, n.Ref()); planner.HashOf(o) != planner.HashOf(n) {
		t.Errorf("made anew it is %s, want %s", planner.Encode(o), planner.Encode(n))
	}
}

func TestDriftIsSeen(t *testing.T) {
	w := newWorld(t)
	fatal(t, w.started(t, w.node(0)))
	other, err := w.engine.NetworkCreate(t.Context(), "elsewhere."+w.instance[:8], network.CreateOptions{Labels: map[string]string{"hostctl.instance": w.instance}})
	fatal(t, err)
	fatal(t, w.engine.NetworkDisconnect(t.Context(), w.inDocker("eu-1"), w.inDocker("web-1-0"), true))
	fatal(t, w.engine.NetworkConnect(t.Context(), other.ID, w.inDocker("web-1-0"), nil))
	got, _ := w.observed(t, w.node(0).Ref()).(planner.Container)
	if got.Network != "elsewhere" || got.Address == w.node(0).Address {
		t.Errorf("moved to another network, and observed in %q as %s", got.Network, got.Address)
	}
}

func TestImageIDs(t *testing.T) {
	w := newWorld(t)
	ids, err := w.ImageIDs(t.Context(), []string{tiny.tag, "hostctl-docker-test:no-such-tag"})
	if err != nil || len(ids) != 1 || ids[tiny.tag] != tiny.id {
		t.Errorf("%v, %v", ids, err)
	}
}

func TestWatch(t *testing.T) {
	w, stranger := newWorld(t), newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	changes := make(chan struct{}, 100)
	ended := make(chan error, 1)
	go func() { ended <- w.Watch(ctx, func() { changes <- struct{}{} }) }()
	fatal(t, stranger.started(t, stranger.node(0)))
	fatal(t, stranger.apply(t, remove(stranger.node(0))))
	fatal(t, w.started(t, w.node(0)))
	if len(changes) > 0 {
		t.Error("told of what isn't its own, or of a container that is well")
	}
	fatal(t, w.engine.ContainerKill(t.Context(), w.inDocker("web-1-0"), "KILL"))
	select {
	case <-changes:
	case <-ctx.Done():
		t.Error("not told that a container died")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch: %v", err)
	}
}

func TestNoEngine(t *testing.T) {
	engine, err := docker.Dial(schema.Docker{Endpoint: "unix://" + t.TempDir() + "/docker.sock"})
	fatal(t, err)
	e := docker.New(engine, docker.Options{Target: target, Instance: "00000000"})
	w := &world{Executor: e}
	for _, o := range []planner.Object{vol("web-1-0"), planner.Network{Meta: meta("eu-1"), Subnet: "10.0.0.0/24"}, planner.Container{Meta: meta("web-1-0"), ImageID: "sha256:0"}} {
		wantError(t, w.apply(t, create(o)), executors.Unreachable, o.Ref().String())
	}
	_, err = e.Observe(t.Context())
	wantError(t, err, executors.Unreachable, target)
	_, err = e.ImageIDs(t.Context(), []string{"hostctl/web:v1"})
	wantError(t, err, executors.Unreachable, target)
}
