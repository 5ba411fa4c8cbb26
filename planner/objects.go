package planner

import "hostctl/schema"

// Targets of objects, by kind:
//
//	network, volume, container, agent                a Docker host ("host-1")
//	secret, user, runtime, vhost, cron               a node ("web-1-0")
//	webroot                                          a web shard ("web-1"), applied through any ready node of it
//	database, databaseuser                           a database shard ("db-1"), applied through the node that takes writes
//	valkey, valkeyuser                               a Valkey shard ("valkey-1"), applied through its node
//	catalog, zone, rrset                             the DNS of a cluster ("eu-1-dns"), applied through any ready dns node
//	cert, backend, server, route                     a load-balancer node ("eu-1-lb-0")

// Network is a Docker bridge network, one per cluster and host. Name: the cluster.
type Network struct {
	Meta
	Subnet string `json:"subnet"` // IPv4 CIDR
}

// Ref implements Object.
func (o Network) Ref() Ref { return o.ref(KindNetwork) }

// Volume is a Docker volume. Deleting its container keeps it. Names: "<node>" (the node's own: agent and its state),
// "<shard>-files" (a web shard's sites), "<node>-data" (a service database), "<node>-mysql" (a database shard),
// "<node>-valkey" (a Valkey shard).
type Volume struct {
	Meta
	Data bool `json:"data,omitempty"` // holds what can't be made again: kept, never deleted
	Kept bool `json:"kept,omitempty"` // nobody declares it any more; its data stays
}

// Ref implements Object.
func (o Volume) Ref() Ref { return o.ref(KindVolume) }

// Container is a node: a container on a Docker host. Name: the node. Replacing it loses what is in its filesystem and
// keeps what is on its volumes.
type Container struct {
	Meta
	Role         schema.Role       `json:"role"`
	Cluster      string            `json:"cluster"`
	Image        string            `json:"image"`             // the tag that the profile names
	ImageID      string            `json:"imageId,omitempty"` // sha256:…; "" where no engine was asked: such a plan can't be applied
	Network      string            `json:"network"`           // name of the Network on the same target
	Address      string            `json:"address"`           // IPv4 in the network
	Env          map[string]string `json:"env,omitempty"`     // never secrets
	Mounts       []Mount           `json:"mounts,omitempty"`
	Ports        []PublishedPort   `json:"ports,omitempty"`
	Memory       int64             `json:"memory,omitempty"`   // bytes; 0 no limit
	NanoCPUs     int64             `json:"nanoCpus,omitempty"` // 1e-9 cores; 0 no limit
	Pids         int64             `json:"pids,omitempty"`     // 0 no limit
	Capabilities []string          `json:"capabilities,omitempty"`
	Health       []string          `json:"health,omitempty"` // argv run inside; empty: /opt/hostctl/healthy
}

// Ref implements Object.
func (o Container) Ref() Ref { return o.ref(KindContainer) }

// Mount puts a volume of the same target into a container.
type Mount struct {
	Volume string `json:"volume"`
	Path   string `json:"path"` // absolute, in the container
}

// PublishedPort makes a container's port reachable on its host.
type PublishedPort struct {
	Name      string `json:"name"`
	Container int    `json:"container"`
	Address   string `json:"address"` // of the host
	Host      int    `json:"host"`
	Protocol  string `json:"protocol"` // tcp or udp
}

// AgentPort is where every node's agent listens (gRPC over mutual TLS), published under the name "agent".
const AgentPort = 9443

// Agent is the node-agent program in the volume of a node. Name: the node. It is not part of the image, so a new agent
// replaces no node.
type Agent struct {
	Meta
	Binary string `json:"binary"` // SHA-256 of the program, hex
	Volume string `json:"volume"` // the node's own volume, that holds bin/node-agent
}

// Ref implements Object.
func (o Agent) Ref() Ref { return o.ref(KindAgent) }

// User is a tenant's Unix user on a node. Name: the tenant.
type User struct {
	Meta
	Login  string   `json:"login"`            // derived from the tenant's name, never the raw name
	UID    int      `json:"uid"`              // also the gid of its own group
	Locked bool     `json:"locked,omitempty"` // no way in, and nothing runs as it
	Keys   []string `json:"keys,omitempty"`   // that log it in by SFTP, as schema.ParseSSHKey returns them; sorted
	Limits Limits   `json:"limits,omitzero"`  // of all that the tenant has on the node
}

// Ref implements Object.
func (o User) Ref() Ref { return o.ref(KindUser) }

// Webroot is a site's folder on the shard's shared volume: TenantsRoot/<tenant>/<site>. Name: "<tenant>.<webroot>".
// Data-bearing: it is deleted only when it was kept for long enough, or is marked with Purge.
type Webroot struct {
	Meta
	Tenant       string               `json:"tenant"`
	Site         string               `json:"site"` // the Webroot resource's name
	UID          int                  `json:"uid"`
	DocumentRoot string               `json:"documentRoot,omitempty"` // relpath
	Files        []schema.ContentFile `json:"files,omitempty"`        // put in place; empty: a placeholder into an empty folder only
	Kept         bool                 `json:"kept,omitempty"`         // nobody declares it any more; its data stays, nothing serves it
	Purge        bool                 `json:"purge,omitempty"`        // deletionPolicy: Delete; where nobody declares it any more it is deleted with its data
	MovesTo      string               `json:"movesTo,omitempty"`      // the shard whose nodes may bring it there
	CopyOf       *Copy                `json:"copyOf,omitempty"`       // it is being brought from another shard, and nothing leads to it yet
}

// Copy says where the files of a webroot are brought from.
type Copy struct {
	Shard string `json:"shard"`
	Nodes []Peer `json:"nodes"` // that have them, the ones to be asked first in front
}

// Peer is a node as another one reaches its agent.
type Peer struct {
	Node    string `json:"node"`
	Address string `json:"address"` // host:port
}

// Ref implements Object.
func (o Webroot) Ref() Ref { return o.ref(KindWebroot) }

// TenantsRoot is where a web shard's shared volume is mounted in its nodes. The folder of a site below it is
// <tenant>/<site>: TenantsRoot and <tenant> are root's, <site> is the tenant's user's, and so is all in it.
const TenantsRoot = "/srv/tenants"

// Runtime is what runs a site's code on a node: a PHP-FPM pool, or a service of its own. Name:
// "<tenant>.<webroot>/<type>-<version>".
type Runtime struct {
	Meta
	Tenant      string             `json:"tenant"`
	Site        string             `json:"site"`
	Type        schema.RuntimeType `json:"type"`
	Version     string             `json:"version"`
	Login       string             `json:"login"`
	Env         map[string]string  `json:"env,omitempty"`
	Secrets     map[string]Held    `json:"secrets,omitempty"` // variables that are secrets of the same node
	INI         map[string]string  `json:"ini,omitempty"`
	FPM         schema.FPM         `json:"fpm"`
	MemoryLimit int64              `json:"memoryLimit,omitempty"` // bytes, of each process
	TaskLimit   int64              `json:"taskLimit,omitempty"`   // processes and threads of the tenant's user; 0: what is usual
	Command     []string           `json:"command,omitempty"`     // of a service; empty: what is usual for the runtime
	Health      string             `json:"health,omitempty"`      // path that a service answers below 500; "" is /
	Code        string             `json:"code,omitempty"`        // of a service: hash of the webroot's files, which it reads at its start
}

// Ref implements Object.
func (o Runtime) Ref() Ref { return o.ref(KindRuntime) }

// Vhost is an nginx server block on a node. Name: "<tenant>.<webroot>".
type Vhost struct {
	Meta
	Tenant       string             `json:"tenant"`
	Site         string             `json:"site"`
	Hostnames    []string           `json:"hostnames"` // sorted
	DocumentRoot string             `json:"documentRoot,omitempty"`
	Type         schema.RuntimeType `json:"type"`
	Version      string             `json:"version,omitempty"` // of the runtime that it passes requests to
	Redirects    []schema.Redirect  `json:"redirects,omitempty"`
	Serving      schema.Serving     `json:"serving,omitzero"`
	Front        []string           `json:"front,omitempty"`     // addresses of load balancers, whose word on who the client is counts; !network: all of private networks but that one; empty: all; sorted
	Suspended    bool               `json:"suspended,omitempty"` // all is answered with 503, by the web server alone
	Quiet        bool               `json:"quiet,omitempty"`     // requests that may write are answered with 503: its files are just leaving
}

// Ref implements Object.
func (o Vhost) Ref() Ref { return o.ref(KindVhost) }

// Zone is a zone in PowerDNS. Name: the domain without trailing dot. SOA and NS are RRsets made with it; NS follows
// Nameservers. The serial is PowerDNS's business.
type Zone struct {
	Meta
	Nameservers []string `json:"nameservers"` // sorted, without trailing dots
	Hostmaster  string   `json:"hostmaster"`  // SOA RNAME in mailbox form, hostmaster@example.com
	TTL         int      `json:"ttl"`         // of SOA and NS
	// Signed asks for DNSSEC. The name servers make the key when that is applied, so the key and its DS are no content.
	Signed bool `json:"signed,omitempty"`
	Kept   bool `json:"kept,omitempty"` // nobody declares it any more; it is empty, and its keys stay

	Transfer *Transfer `json:"transfer,omitempty"` // nil: nobody copies it
}

// Ref implements Object.
func (o Zone) Ref() Ref { return o.ref(KindZone) }

// RRset is one RRset. Name: "<zone>/<owner name>/<type>", without trailing dots.
type RRset struct {
	Meta
	Zone   string   `json:"zone"`
	FQDN   string   `json:"fqdn"`
	Type   string   `json:"type"`
	TTL    int      `json:"ttl"`
	Values []string `json:"values"` // canonical presentation form, sorted
}

// Ref implements Object.
func (o RRset) Ref() Ref { return o.ref(KindRRset) }

// Backend is an HAProxy backend, one per web shard. Name: the shard.
type Backend struct {
	Meta
	Balance string `json:"balance"` // "host": consistent hashing on the host name
}

// Ref implements Object.
func (o Backend) Ref() Ref { return o.ref(KindBackend) }

// ServerState is how much traffic a server gets.
type ServerState string

// The states of a server: in rotation, finishing what it has, out.
const (
	ServerReady ServerState = "ready"
	ServerDrain ServerState = "drain"
	ServerMaint ServerState = "maint"
)

// Server is a server of a backend. Name: "<backend>/<node>".
type Server struct {
	Meta
	Backend string      `json:"backend"`
	Node    string      `json:"node"`
	Address string      `json:"address"` // host:port
	State   ServerState `json:"state"`
}

// Ref implements Object.
func (o Server) Ref() Ref { return o.ref(KindServer) }
