package schema

// linkDatabases fills in the shards of databases, and resolves references.
func (c *catalog) linkDatabases(orphans map[string]bool) {
	for _, d := range c.databases.list {
		c.tenantOf(&d.origin, orphans)
		if d.v.Shard != "" {
			c.shardOf(&d.origin, "spec.shard", d.v.Shard, RoleDatabase)
			continue
		}
		t := c.tenants.get(d.meta.Tenant, d.meta.Tenant)
		if t == nil || t.broken || d.broken {
			continue
		}
		if d.v.Shard = t.v.DatabaseShard; d.v.Shard == "" {
			c.fail(&d.origin, "", "tenant %s (%s) has no shard for databases; add spec.shards.database there, or spec.shard here", d.meta.Tenant, t.meta.Position)
		}
	}
	for _, d := range c.databases.list {
		if t := d.meta.Tenant; d.meta.Name == "schema" && (t == "information" || t == "performance") {
			c.fail(&d.origin, "metadata.name", "would make it %s_schema, which is MySQL's own; choose another name", t)
		}
	}
	for _, d := range c.users.list {
		c.tenantOf(&d.origin, orphans)
		c.refer(&d.origin, "spec.database", KindDatabase, d.v.Database, find(&c.databases, d.meta.Tenant, d.v.Database))
	}
}

// shardOf checks that a shard is there and of a role.
func (c *catalog) shardOf(o *origin, field, name string, role Role) {
	s := c.shards.get("", name)
	if !c.refer(o, field, KindShard, name, find(&c.shards, "", name)) || s.broken || o.broken {
		return
	}
	if s.v.Role != role {
		c.fail(o, field, "the Shard %q (%s) is of role %s; name one of role %s", name, s.meta.Position, s.v.Role, role)
	}
}

// checkDatabaseShards refuses what this version can't do: more than one node.
func (c *catalog) checkDatabaseShards() {
	for _, s := range c.shards.sound() {
		if s.v.Role == RoleDatabase && s.v.NodeCount > 1 {
			c.fail(&s.origin, "spec.nodeCount", "is %d, and this version of hostctl doesn't replicate databases: write 1, or declare a Shard for each node", s.v.NodeCount)
		}
	}
}
