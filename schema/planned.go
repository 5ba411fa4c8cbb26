package schema

import (
	"fmt"
	"strings"
)

// plannedKinds are kinds of later versions.
var plannedKinds = map[string]bool{}

// tenantMeta are keys of metadata that a Tenant alone has.
var tenantMeta = map[string]bool{"metadata.suspended": true, "metadata.suspendReason": true}

// plannedFields are keys of a kind that later versions serve.
var plannedFields = map[Kind]map[string]bool{
	KindPlatform: {"spec.acme": true},
	KindCluster: {
		"spec.infrastructure.serviceDB.external": true,
	},
	KindNodeProfile: {"spec.volumes": true, "spec.update": true, "spec.resources.disk": true, "spec.resources.inodes": true},
	KindWebroot:     {"spec.command": true, "spec.httpAuth": true},
}

// refusedFields are keys that no version will serve.
var refusedFields = map[Kind]map[string]string{
	KindNodeProfile: {
		"spec.privileged": "privileged containers are never made; name the capabilities that the node needs",
		"spec.hostPath":   "folders of the host are never mounted into a node",
		"spec.mounts":     "folders of the host are never mounted into a node",
	},
}

// plannedField says why a key that isn't in the schema isn't, or "".
func plannedField(kind Kind, field string) string {
	if text := refusedFields[kind][field]; text != "" {
		return text
	}
	if tenantMeta[field] {
		return "only a Tenant is suspended, with all that it has; take it out"
	}
	if field == "metadata.adopt" {
		return "only a Database, a ValkeyInstance, one of their users or a Zone is taken over from what is there already; take it out"
	}
	if plannedFields[kind][field] {
		return "isn't supported by this version of hostctl; take it out"
	}
	return ""
}

// plannedValue says why a value that isn't in the schema isn't, or "".
func plannedValue(kind Kind, path, value string) string {
	role := path == "spec.role" || kind == KindHost && strings.HasPrefix(path, "spec.roles")
	switch Role(value) {
	case RoleEmail:
		if role {
			return fmt.Sprintf("nodes of role %s aren't supported by this version of hostctl", value)
		}
	case RoleLB, RoleDNS, RoleServiceDB:
		if role && kind == KindShard {
			return fmt.Sprintf("nodes of role %s are made by Cluster.spec.infrastructure, not by a Shard", value)
		}
	}
	return ""
}
