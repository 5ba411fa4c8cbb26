package web

import (
	"github.com/prometheus/client_golang/prometheus"

	"hostctl/reconciler"
)

// nodeCollector tells what nodes have told of themselves.
type nodeCollector struct{ l *reconciler.Loop }

var (
	nodeReported = nodeMetric("reported_timestamp_seconds", "When a node has last told how it stands.", "node")
	nodeHealthy  = nodeMetric("part_healthy", "1 when a part of a node is well: a service, a disk, its memory.", "node", "part")
	nodeDrift    = nodeMetric("drift_objects", "Objects of a node that differ and that it hasn't put right.", "node")
	tenantMemory = nodeMetric("tenant_memory_bytes", "Resident memory of a tenant's processes.", "node", "tenant")
	tenantCount  = nodeMetric("tenant_processes", "A tenant's processes.", "node", "tenant")
	tenantDisk   = nodeMetric("tenant_disk_bytes", "Space that a tenant's files take on the shard, as a node of it sees them.", "node", "tenant")
)

func nodeMetric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("hostctl_node_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (nodeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{nodeReported, nodeHealthy, nodeDrift, tenantMemory, tenantCount, tenantDisk} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c nodeCollector) Collect(ch chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for node, r := range c.l.NodeReports() {
		tell(nodeReported, float64(r.At.UnixMilli())/1000, node)
		for _, p := range r.Health {
			healthy := 0.0
			if p.OK {
				healthy = 1
			}
			tell(nodeHealthy, healthy, node, p.Name)
		}
		left := 0
		for _, d := range r.Drift {
			if !d.Healed {
				left++
			}
		}
		tell(nodeDrift, float64(left), node)
		for _, u := range r.Usage {
			tell(tenantMemory, float64(u.Memory), node, u.Tenant)
			tell(tenantCount, float64(u.Processes), node, u.Tenant)
			if u.Disk >= 0 {
				tell(tenantDisk, float64(u.Disk), node, u.Tenant)
			}
		}
	}
}
