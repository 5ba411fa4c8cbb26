package planner

import (
	"maps"
	"slices"
)

// equal reports whether two objects of one reference have the same content: the same answer as comparing their HashOf,
// without encoding them.
func equal(a, b Object) bool {
	switch a := a.(type) {
	case Network:
		b, ok := b.(Network)
		return ok && a.Subnet == b.Subnet
	case Volume:
		b, ok := b.(Volume)
		return ok && a.Data == b.Data && a.Kept == b.Kept
	case Agent:
		b, ok := b.(Agent)
		return ok && a.Binary == b.Binary && a.Volume == b.Volume
	case Secret:
		b, ok := b.(Secret)
		return ok && a.Tenant == b.Tenant && a.Cipher == b.Cipher && a.Generated == b.Generated && a.Generation == b.Generation
	case User:
		b, ok := b.(User)
		return ok && a.Login == b.Login && a.UID == b.UID && a.Locked == b.Locked && a.Limits == b.Limits && slices.Equal(a.Keys, b.Keys)
	case Webroot:
		b, ok := b.(Webroot)
		return ok && a.Tenant == b.Tenant && a.Site == b.Site && a.UID == b.UID && a.DocumentRoot == b.DocumentRoot &&
			a.Kept == b.Kept && a.Purge == b.Purge && a.MovesTo == b.MovesTo && sameCopy(a.CopyOf, b.CopyOf) && slices.Equal(a.Files, b.Files)
	case Runtime:
		b, ok := b.(Runtime)
		return ok && a.Tenant == b.Tenant && a.Site == b.Site && a.Type == b.Type && a.Version == b.Version &&
			a.Login == b.Login && a.FPM == b.FPM && a.MemoryLimit == b.MemoryLimit && a.TaskLimit == b.TaskLimit && maps.Equal(a.Env, b.Env) && maps.Equal(a.Secrets, b.Secrets) &&
			maps.Equal(a.INI, b.INI) &&
			a.Health == b.Health && a.Code == b.Code && slices.Equal(a.Command, b.Command)
	case Vhost:
		b, ok := b.(Vhost)
		return ok && a.Tenant == b.Tenant && a.Site == b.Site && a.DocumentRoot == b.DocumentRoot && a.Type == b.Type &&
			a.Version == b.Version && slices.Equal(a.Hostnames, b.Hostnames) && slices.Equal(a.Redirects, b.Redirects) &&
			a.Serving.Equal(b.Serving) && a.Suspended == b.Suspended && slices.Equal(a.Front, b.Front) && a.Quiet == b.Quiet
	case Database:
		b, ok := b.(Database)
		return ok && a.Tenant == b.Tenant && a.Schema == b.Schema && a.Charset == b.Charset && a.Collation == b.Collation &&
			a.Kept == b.Kept && a.Purge == b.Purge && a.Adopt == b.Adopt && a.MovedTo == b.MovedTo && samePointed(a.Source, b.Source)
	case DatabaseUser:
		b, ok := b.(DatabaseUser)
		return ok && a.Tenant == b.Tenant && a.Account == b.Account && a.Schema == b.Schema && a.Privileges == b.Privileges &&
			a.PasswordHash == b.PasswordHash && a.Password == b.Password && a.Limits == b.Limits && a.Locked == b.Locked && a.Adopt == b.Adopt && a.Retains == b.Retains &&
			slices.Equal(a.Hosts, b.Hosts)
	case Valkey:
		b, ok := b.(Valkey)
		return ok && a.Tenant == b.Tenant && a.Instance == b.Instance && a.Port == b.Port && a.MaxMemory == b.MaxMemory &&
			a.Policy == b.Policy && a.Persistence == b.Persistence && a.Kept == b.Kept && a.Purge == b.Purge && a.Adopt == b.Adopt &&
			a.MovedTo == b.MovedTo && samePointed(a.Source, b.Source)
	case ValkeyUser:
		b, ok := b.(ValkeyUser)
		return ok && a.Tenant == b.Tenant && a.User == b.User && a.Instance == b.Instance && a.PasswordHash == b.PasswordHash &&
			a.Password == b.Password && a.Retains == b.Retains && a.Locked == b.Locked && a.Adopt == b.Adopt &&
			slices.Equal(a.Keys, b.Keys) && slices.Equal(a.Channels, b.Channels) && slices.Equal(a.Commands, b.Commands)
	case Cron:
		b, ok := b.(Cron)
		return ok && a.Tenant == b.Tenant && a.Site == b.Site && a.Job == b.Job && a.Login == b.Login && a.Type == b.Type && a.Version == b.Version &&
			maps.Equal(a.Env, b.Env) && maps.Equal(a.Secrets, b.Secrets) && a.MemoryLimit == b.MemoryLimit && a.TaskLimit == b.TaskLimit &&
			a.Schedule == b.Schedule && a.Timezone == b.Timezone && slices.Equal(a.Argv, b.Argv) && a.Timeout == b.Timeout && a.Concurrency == b.Concurrency
	case Catalog:
		b, ok := b.(Catalog)
		return ok && sameCatalog(a, b)
	case Zone:
		b, ok := b.(Zone)
		return ok && sameTransfer(a.Transfer, b.Transfer) && a.Hostmaster == b.Hostmaster && a.TTL == b.TTL && a.Signed == b.Signed && a.Kept == b.Kept && slices.Equal(a.Nameservers, b.Nameservers)
	case RRset:
		b, ok := b.(RRset)
		return ok && a.Zone == b.Zone && a.FQDN == b.FQDN && a.Type == b.Type && a.TTL == b.TTL &&
			slices.Equal(a.Values, b.Values)
	case Cert:
		b, ok := b.(Cert)
		return ok && a.SelfSigned == b.SelfSigned && a.Chain == b.Chain && samePointed(a.Key, b.Key)
	case Backend:
		b, ok := b.(Backend)
		return ok && a.Balance == b.Balance
	case Server:
		b, ok := b.(Server)
		return ok && a.Backend == b.Backend && a.Node == b.Node && a.Address == b.Address && a.State == b.State
	case Route:
		b, ok := b.(Route)
		return ok && a.Backend == b.Backend && a.Redirect == b.Redirect && a.Code == b.Code && a.ForceHTTPS == b.ForceHTTPS && samePointed(a.HSTS, b.HSTS)
	}
	return HashOf(a) == HashOf(b)
}

func sameCopy(a, b *Copy) bool {
	return a == b || a != nil && b != nil && a.Shard == b.Shard && slices.Equal(a.Nodes, b.Nodes)
}

// samePointed compares what may be absent.
func samePointed[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// InPlace reports whether an object can go from one content to another without being made anew. Only containers can't, but
// for their limits: an engine changes these while a container runs, and can't take a limit of memory or of CPUs away from
// one (Docker Engine API, ContainerUpdate: 0 means unchanged; 0 pids means none).
func InPlace(old, now Object) bool {
	a, ok := old.(Container)
	if !ok {
		return true
	}
	b, ok := now.(Container)
	if !ok || a.Memory != 0 && b.Memory == 0 || a.NanoCPUs != 0 && b.NanoCPUs == 0 {
		return false
	}
	a.Memory, a.NanoCPUs, a.Pids = b.Memory, b.NanoCPUs, b.Pids
	return equal(a, b)
}
