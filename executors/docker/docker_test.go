package docker_test

import (
	"testing"

	"github.com/docker/docker/api/types/container"

	"hostctl/executors"
	"hostctl/executors/docker"
	"hostctl/executors/executorstest"
	"hostctl/planner"
)

// The conformance suite makes samples before there is a world, so the worlds of one suite share a subnet: they follow
// each other, and each is gone before the next one comes.
func TestExecutor(t *testing.T) {
	first := newWorld(t)
	var w *world
	port := freePort(t)
	small := func(c *planner.Container) {
		c.Memory, c.NanoCPUs, c.Pids = 64<<20, 5e8, 100
		c.Env = map[string]string{"FROM_IMAGE": "yes", "GREETING": "good morning = hi"} // the first as the image has it
		c.Health = []string{"/opt/hostctl/healthy", "-v"}
		c.Capabilities = []string{"NET_ADMIN"}
		c.Ports = []planner.PublishedPort{
			{Name: "http", Container: 8080, Address: "127.0.0.1", Host: port, Protocol: "tcp"},
			{Name: "dns", Container: 53, Address: "127.0.0.1", Host: port, Protocol: "udp"},
		}
	}
	large := func(c *planner.Container) { small(c); c.Memory, c.NanoCPUs, c.Pids = 96<<20, 1e9, 0 }
	changed := func(c *planner.Container) { c.Env = map[string]string{"GREETING": "good evening"} }
	data := planner.Volume{Meta: meta("web-1-files"), Data: true}
	kept := data
	kept.Kept = true
	bad := func(n int, change func(*planner.Container)) planner.Container {
		c := first.node(n, change)
		c.Mounts = nil
		return c
	}
	executorstest.Test(t, executorstest.Harness{
		New: func(t *testing.T) executors.Executor {
			w = newWorld(t)
			w.subnet = first.subnet
			return w
		},
		Kinds: []planner.Kind{planner.KindNetwork, planner.KindVolume, planner.KindContainer, planner.KindAgent},
		Samples: []executorstest.Sample{
			{Create: first.network()},
			{Create: vol("web-1-0")},
			{Create: vol("web-1-1")},
			{Create: data, Update: kept, Keeps: true},
			{Create: first.node(0, small), Update: first.node(0, large)},
			{Create: first.node(1), Update: first.node(1, changed), Replaces: true},
			{Create: agentOf(0, 0), Update: agentOf(0, 1)},
			{Create: agentOf(1, 0)},
		},
		Bad: []planner.Object{
			bad(2, func(c *planner.Container) { c.ImageID = "" }),
			bad(3, func(c *planner.Container) {
				c.ImageID = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
			}),
			bad(4, func(c *planner.Container) { c.Memory = 1 }),
			bad(5, func(c *planner.Container) { c.Capabilities = []string{"ALL"} }),
			planner.Network{Meta: meta("eu-2"), Subnet: "10.0.0.0/99"},
		},
		Damage: map[string]func(*testing.T, executors.Executor){
			"container removed": func(t *testing.T, e executors.Executor) {
				fatal(t, w.engine.ContainerRemove(t.Context(), w.inDocker("web-1-0"), container.RemoveOptions{Force: true}))
			},
			"container stopped": func(t *testing.T, e executors.Executor) {
				fatal(t, w.engine.ContainerStop(t.Context(), w.inDocker("web-1-1"), container.StopOptions{}))
			},
			"limit changed": func(t *testing.T, e executors.Executor) {
				_, err := w.engine.ContainerUpdate(t.Context(), w.inDocker("web-1-0"), container.UpdateConfig{Resources: container.Resources{Memory: 80 << 20, MemorySwap: 80 << 20}})
				fatal(t, err)
			},
			"network disconnected": func(t *testing.T, e executors.Executor) {
				fatal(t, w.engine.NetworkDisconnect(t.Context(), w.inDocker("eu-1"), w.inDocker("web-1-1"), true))
			},
			"agent's program lost": func(t *testing.T, e executors.Executor) {
				w.run(t, "web-1-0", "rm", "/var/lib/hostctl/bin/node-agent")
			},
		},
		Swap: &[2]planner.Object{swapped(first, "web-1-8", port), swapped(first, "web-1-9", port)},
	})
}

// swapped are containers of one address and one port.
func swapped(w *world, name string, port int) planner.Container {
	const udp = 54
	c := w.node(9)
	c.Meta = meta(name)
	c.Mounts = nil
	c.Ports = []planner.PublishedPort{{Name: "x", Container: udp, Address: "127.0.0.2", Host: port, Protocol: "udp"}}
	return c
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var _ executors.Observer = (*docker.Executor)(nil)
