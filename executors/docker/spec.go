package docker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"hostctl/executors"
	"hostctl/planner"
)

// Names inside a node.
const (
	envInstance   = "HOSTCTL_INSTANCE"
	defaultHealth = "/opt/hostctl/healthy"
)

// The engine's own health check is for Observe, and for people; Apply doesn't wait for its interval. A node that it calls
// unhealthy is made anew, so it takes a minute of failures: a busy machine is slow to answer, and services are restarted
// by s6 and left out by the load balancers long before.
const (
	healthInterval = 10 * time.Second
	healthTimeout  = 10 * time.Second
	healthStart    = 30 * time.Second
	healthRetries  = 6
)

// Logs of a container on its host.
const (
	logSize  = "10m"
	logFiles = "3"
)

// spec lowers a container to the engine's terms.
func (e *Executor) spec(o planner.Container) (*container.Config, *container.HostConfig, *network.NetworkingConfig, error) {
	if slices.Contains(o.Capabilities, "ALL") {
		return nil, nil, nil, executors.Errorf(executors.Refused, "%s: the capability ALL is as good as privileged; name those that are needed", o.Ref())
	}
	exposed, bindings, err := ports(o)
	if err != nil {
		return nil, nil, nil, err
	}
	d := declared{Role: string(o.Role), Cluster: o.Cluster, Image: o.Image, Ports: o.Ports, Health: len(o.Health) > 0}
	d.Env = slices.Sorted(maps.Keys(o.Env))
	labels := e.labels(o)
	labels[labelDeclared] = d.label()
	config := &container.Config{
		Hostname:     o.Name,
		Image:        o.ImageID,
		Env:          e.environment(o),
		Labels:       labels,
		ExposedPorts: exposed,
		Healthcheck: &container.HealthConfig{
			Test:     append([]string{"CMD"}, healthArgv(o)...),
			Interval: healthInterval, Timeout: healthTimeout, StartPeriod: healthStart, Retries: healthRetries,
		},
	}
	host := &container.HostConfig{
		NetworkMode:   container.NetworkMode(e.name(o.Network)),
		PortBindings:  bindings,
		Mounts:        e.mounts(o),
		CapAdd:        o.Capabilities,
		Resources:     firstLimits(o),
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
		LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": logSize, "max-file": logFiles}},
	}
	net := &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
		e.name(o.Network): {
			IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: o.Address},
			Aliases:    []string{o.Name},
		},
	}}
	return config, host, net, nil
}

func healthArgv(o planner.Container) []string {
	if len(o.Health) > 0 {
		return o.Health
	}
	return []string{defaultHealth}
}

// environment is what a container is given, sorted.
func (e *Executor) environment(o planner.Container) []string {
	env := []string{envInstance + "=" + e.o.Instance}
	for k, v := range o.Env {
		env = append(env, k+"="+v)
	}
	slices.Sort(env)
	return env
}

func (e *Executor) mounts(o planner.Container) []mount.Mount {
	var ms []mount.Mount
	for _, m := range o.Mounts {
		ms = append(ms, mount.Mount{Type: mount.TypeVolume, Source: e.name(m.Volume), Target: m.Path})
	}
	return ms
}

func ports(o planner.Container) (nat.PortSet, nat.PortMap, error) {
	exposed, bindings := nat.PortSet{}, nat.PortMap{}
	for _, p := range o.Ports {
		port, err := nat.NewPort(p.Protocol, strconv.Itoa(p.Container))
		if err != nil {
			return nil, nil, executors.Errorf(executors.Refused, "%s: port %s: %w", o.Ref(), p.Name, err)
		}
		exposed[port] = struct{}{}
		bindings[port] = append(bindings[port], binding(p))
	}
	return exposed, bindings, nil
}

func binding(p planner.PublishedPort) nat.PortBinding {
	return nat.PortBinding{HostIP: p.Address, HostPort: fmt.Sprint(p.Host)}
}

// firstLimits are the limits of a new container. Swap is given none beyond memory: a node that swaps is slow for all.
func firstLimits(o planner.Container) container.Resources {
	r := container.Resources{Memory: o.Memory, MemorySwap: o.Memory, NanoCPUs: o.NanoCPUs}
	if o.Pids > 0 {
		r.PidsLimit = &o.Pids
	}
	return r
}

// newLimits are changes of a container's limits. For the engine 0 means no change, but for pids, where it means no limit.
func newLimits(o planner.Container) container.Resources {
	return container.Resources{Memory: o.Memory, MemorySwap: o.Memory, NanoCPUs: o.NanoCPUs, PidsLimit: &o.Pids}
}
