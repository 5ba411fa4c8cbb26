package schema

// linkValkey fills in the shards of Valkey instances, and resolves references.
func (c *catalog) linkValkey(orphans map[string]bool) {
	for _, d := range c.instances.list {
		c.tenantOf(&d.origin, orphans)
		if d.v.Shard != "" {
			c.shardOf(&d.origin, "spec.shard", d.v.Shard, RoleValkey)
			continue
		}
		t := c.tenants.get(d.meta.Tenant, d.meta.Tenant)
		if t == nil || t.broken || d.broken {
			continue
		}
		if d.v.Shard = t.v.ValkeyShard; d.v.Shard == "" {
			c.fail(&d.origin, "", "tenant %s (%s) has no shard for Valkey; add spec.shards.valkey there, or spec.shard here", d.meta.Tenant, t.meta.Position)
		}
	}
	for _, d := range c.valkeyUsers.list {
		c.tenantOf(&d.origin, orphans)
		c.refer(&d.origin, "spec.instance", KindValkeyInstance, d.v.Instance, find(&c.instances, d.meta.Tenant, d.v.Instance))
	}
}

// checkValkey refuses what this version can't do, more than one node, and instances that together have more memory than
// their tenant's plan gives.
func (c *catalog) checkValkey() {
	for _, s := range c.shards.sound() {
		if s.v.Role == RoleValkey && s.v.NodeCount > 1 {
			c.fail(&s.origin, "spec.nodeCount", "is %d, and this version of hostctl doesn't replicate instances: write 1, or declare a Shard for each node", s.v.NodeCount)
		}
	}
	sum := map[string]int64{}
	for _, d := range c.instances.sound() {
		plan := c.plan(d.meta.Tenant)
		if plan == nil || plan.v.Limits.ValkeyMemory == 0 {
			continue
		}
		limit, before := plan.v.Limits.ValkeyMemory, sum[d.meta.Tenant]
		sum[d.meta.Tenant] = before + d.v.MaxMemory
		if before <= limit && before+d.v.MaxMemory > limit {
			c.fail(&d.origin, "spec.maxMemory", "the HostingPlan %s (%s) gives tenant %s %d MiB for Valkey, and with this instance it is %d; lower one, or choose a larger plan",
				plan.meta.Name, plan.meta.Position, d.meta.Tenant, limit>>20, (before+d.v.MaxMemory)>>20)
		}
	}
}
