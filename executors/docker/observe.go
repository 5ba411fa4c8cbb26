package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"hostctl/executors"
	"hostctl/planner"
	"hostctl/schema"
)

// Observe implements executors.Observer.
func (e *Executor) Observe(ctx context.Context) ([]planner.Object, error) {
	if ctx.Err() != nil {
		return nil, executors.NotTried(ctx)
	}
	var all []planner.Object
	for _, of := range []struct {
		kind    planner.Kind
		observe func(context.Context) ([]planner.Object, error)
	}{
		{planner.KindNetwork, e.observeNetworks},
		{planner.KindVolume, e.observeVolumes},
		{planner.KindContainer, e.observeNodes},
	} {
		objects, err := of.observe(ctx)
		if err != nil {
			return nil, executors.Errorf(kind(err), "observe the %ss of %s: %w", of.kind, e.o.Target, err)
		}
		all = append(all, objects...)
	}
	slices.SortFunc(all, func(a, b planner.Object) int { return a.Ref().Compare(b.Ref()) })
	return all, nil
}

func (e *Executor) observeNetworks(ctx context.Context) ([]planner.Object, error) {
	ns, err := e.engine.NetworkList(ctx, network.ListOptions{Filters: e.ours()})
	if err != nil {
		return nil, err
	}
	var objects []planner.Object
	for _, n := range ns {
		if m, ok := e.meta(n.Labels); ok {
			objects = append(objects, planner.Network{Meta: m, Subnet: subnet(n)})
		}
	}
	return objects, nil
}

func (e *Executor) observeVolumes(ctx context.Context) ([]planner.Object, error) {
	notes, err := e.engine.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", labelInstance+"="+e.o.Instance), filters.Arg("label", labelKept))})
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
	for _, n := range notes.Volumes {
		kept[n.Labels[labelKept]] = true
	}
	vs, err := e.engine.VolumeList(ctx, volume.ListOptions{Filters: e.ours()})
	if err != nil {
		return nil, err
	}
	var objects []planner.Object
	for _, v := range vs.Volumes {
		if m, ok := e.meta(v.Labels); ok {
			objects = append(objects, planner.Volume{Meta: m, Data: holdsData(*v), Kept: kept[v.Labels[labelRef]]})
		}
	}
	return objects, nil
}

// observeNodes returns the containers that are up and the agents that answer in them.
func (e *Executor) observeNodes(ctx context.Context) ([]planner.Object, error) {
	cs, err := e.engine.ContainerList(ctx, container.ListOptions{Filters: e.ours()}) // without All: those that run
	if err != nil {
		return nil, err
	}
	nodes := make([][]planner.Object, len(cs))
	errs := make([]error, len(cs))
	var all sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, c := range cs {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			nodes[i], errs[i] = e.observeNode(ctx, c.ID)
		})
	}
	all.Wait()
	return slices.Concat(nodes...), errors.Join(errs...)
}

func (e *Executor) observeNode(ctx context.Context, id string) ([]planner.Object, error) {
	c, err := e.engine.ContainerInspect(ctx, id)
	if cerrdefs.IsNotFound(err) {
		return nil, nil // it went since it was listed
	}
	if err != nil {
		return nil, err
	}
	if _, ok := e.meta(c.Config.Labels); !ok || !isUp(c) {
		return nil, nil
	}
	node, err := e.observeContainer(ctx, c)
	if err != nil {
		return nil, err
	}
	agent, err := e.observeAgent(ctx, c)
	switch {
	case err != nil && kind(err) == executors.Conflict:
		return nil, nil // it stopped since it was listed
	case err != nil:
		return nil, err
	case agent == nil:
		return []planner.Object{node}, nil
	}
	return []planner.Object{node, agent}, nil
}

// observeContainer reads a container object from what the engine says of a running container.
func (e *Executor) observeContainer(ctx context.Context, c container.InspectResponse) (planner.Object, error) {
	m, ok := e.meta(c.Config.Labels)
	if !ok {
		return nil, fmt.Errorf("container %s: no such object on %s: %q", c.Name, e.o.Target, c.Config.Labels[labelRef])
	}
	d, err := parseDeclared(c.Config.Labels[labelDeclared])
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", c.Name, err)
	}
	o := planner.Container{
		Meta: m, Role: schema.Role(d.Role), Cluster: d.Cluster, Image: d.Image, ImageID: c.Image,
		Memory: max(c.HostConfig.Memory, 0), NanoCPUs: max(c.HostConfig.NanoCPUs, 0),
		Mounts: e.observedMounts(c), Ports: observedPorts(c, d),
	}
	o.Network, o.Address = e.observedAddress(c)
	if c.HostConfig.PidsLimit != nil {
		o.Pids = max(*c.HostConfig.PidsLimit, 0)
	}
	for _, capability := range c.HostConfig.CapAdd {
		o.Capabilities = append(o.Capabilities, strings.TrimPrefix(capability, "CAP_"))
	}
	if h := c.Config.Healthcheck; h != nil && len(h.Test) > 0 {
		if argv := h.Test[1:]; d.Health || !slices.Equal(argv, []string{defaultHealth}) {
			o.Health = argv
		}
	}
	o.Env, err = e.observedEnv(ctx, c, d)
	return o, err
}

// observedEnv is a container's environment without what comes from its image.
func (e *Executor) observedEnv(ctx context.Context, c container.InspectResponse, d declared) (map[string]string, error) {
	img, err := e.engine.ImageInspect(ctx, c.Image)
	if err != nil && !cerrdefs.IsNotFound(err) {
		return nil, err
	}
	fromImage := map[string]bool{envInstance + "=" + e.o.Instance: true}
	if img.Config != nil {
		for _, kv := range img.Config.Env {
			fromImage[kv] = true
		}
	}
	env := map[string]string{}
	for _, kv := range c.Config.Env {
		k, v, _ := strings.Cut(kv, "=")
		if slices.Contains(d.Env, k) || !fromImage[kv] {
			env[k] = v
		}
	}
	if len(env) == 0 {
		return nil, nil
	}
	return env, nil
}

// observedMounts are a container's mounts in the order they were asked for, and then what else is mounted.
func (e *Executor) observedMounts(c container.InspectResponse) []planner.Mount {
	there := map[string]planner.Mount{}
	for _, m := range c.Mounts {
		if m.Type == mount.TypeVolume {
			there[m.Destination] = planner.Mount{Volume: e.object(m.Name), Path: m.Destination}
		} else {
			there[m.Destination] = planner.Mount{Volume: m.Source, Path: m.Destination}
		}
	}
	var ms []planner.Mount
	for _, m := range c.HostConfig.Mounts {
		if is, ok := there[m.Target]; ok {
			ms = append(ms, is)
			delete(there, m.Target)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(there)) {
		if !anonymous(c, path) {
			ms = append(ms, there[path])
		}
	}
	return ms
}

// anonymous reports whether what is mounted at path is a volume that the image asked for.
func anonymous(c container.InspectResponse, path string) bool {
	_, ok := c.Config.Volumes[path]
	return ok
}

// observedPorts are the ports that are bound: those that were asked for in their order, and then others.
func observedPorts(c container.InspectResponse, d declared) []planner.PublishedPort {
	bound := map[planner.PublishedPort]bool{}
	if c.NetworkSettings != nil {
		for port, bindings := range c.NetworkSettings.Ports {
			for _, b := range bindings {
				host, err := strconv.Atoi(b.HostPort)
				if err != nil {
					continue
				}
				bound[planner.PublishedPort{Container: port.Int(), Protocol: port.Proto(), Address: b.HostIP, Host: host}] = true
			}
		}
	}
	var ps []planner.PublishedPort
	for _, p := range d.Ports {
		key := p
		key.Name = ""
		if bound[key] {
			ps = append(ps, p)
			delete(bound, key)
			if net.ParseIP(p.Address).IsUnspecified() { // the engine binds the other family too
				key.Address = "::"
				delete(bound, key)
			}
		}
	}
	others := slices.Collect(maps.Keys(bound))
	slices.SortFunc(others, func(a, b planner.PublishedPort) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return append(ps, others...)
}

// observedAddress returns the network of the instance that a container is in, and its address there.
func (e *Executor) observedAddress(c container.InspectResponse) (name, address string) {
	if c.NetworkSettings == nil {
		return "", ""
	}
	for _, n := range slices.Sorted(maps.Keys(c.NetworkSettings.Networks)) {
		if own := e.object(n); own != n {
			return own, c.NetworkSettings.Networks[n].IPAddress
		}
	}
	return "", ""
}
