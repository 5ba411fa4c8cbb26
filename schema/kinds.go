package schema

import "time"

// Kind is the kind of a resource, as written in its `kind:` key.
type Kind string

// The kinds a person can declare.
const (
	KindPlatform       Kind = "Platform"
	KindHostingPlan    Kind = "HostingPlan"
	KindRegion         Kind = "Region"
	KindCluster        Kind = "Cluster"
	KindLBAddress      Kind = "LBAddress"
	KindNodeProfile    Kind = "NodeProfile"
	KindHost           Kind = "Host"
	KindShard          Kind = "Shard"
	KindTenant         Kind = "Tenant"
	KindWebroot        Kind = "Webroot"
	KindFQDN           Kind = "FQDN"
	KindCertificate    Kind = "Certificate"
	KindDatabase       Kind = "Database"
	KindDatabaseUser   Kind = "DatabaseUser"
	KindValkeyInstance Kind = "ValkeyInstance"
	KindValkeyUser     Kind = "ValkeyUser"
	KindCronJob        Kind = "CronJob"
	KindZone           Kind = "Zone"
	KindZoneRecord     Kind = "ZoneRecord"
)

// APIVersion is the only `apiVersion:` there is.
const APIVersion = "hosting/v1"

// Position is a place in a file of the repository; lines and columns count from 1.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// Meta is what every resource has.
type Meta struct {
	Kind        Kind              `json:"kind"`
	Name        string            `json:"name"`
	Tenant      string            `json:"tenant,omitempty"` // the tenant whose folder it stands in; "" in the platform's own folders
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Protected   bool              `json:"protected,omitempty"` // a plan that deletes or replaces it is refused
	FormerName  string            `json:"formerName,omitempty"`
	Deletion    DeletionPolicy    `json:"deletionPolicy,omitempty"` // "" stands for Retain where the kind holds data
	Position    Position          `json:"-"`                        // of its first line
}

// Manifest is all resources of the repository at one commit, checked: every reference in it leads somewhere, every host
// name is normalised and unique. Each slice is sorted by tenant and name.
type Manifest struct {
	Commit          string // the commit it was read from; "" for a folder
	Platform        Platform
	Plans           []HostingPlan
	Regions         []Region
	Clusters        []Cluster
	LBAddresses     []LBAddress
	NodeProfiles    []NodeProfile
	Hosts           []Host
	Shards          []Shard
	Tenants         []Tenant
	Webroots        []Webroot
	FQDNs           []FQDN
	Certificates    []Certificate
	Databases       []Database
	DatabaseUsers   []DatabaseUser
	ValkeyInstances []ValkeyInstance
	ValkeyUsers     []ValkeyUser
	CronJobs        []CronJob
	Zones           []Zone
	Records         []ZoneRecord

	EmailDomains     []EmailDomain
	EmailAccounts    []EmailAccount
	EmailAliases     []EmailAlias
	EmailForwards    []EmailForward
	EmailAutoreplies []EmailAutoreply

	Frozen   []Frozen  // tenants that are as an earlier commit had them, sorted
	Warnings []Warning // what is allowed and probably not meant, in order of position

	// Parts tells by tenant ("" is the platform) which files its resources were read from. Where both the part of a tenant
	// and that of the platform are the same in two manifests, so are the tenant's resources. Nil where that isn't known.
	Parts map[string]Part
}

// Part is the SHA-256 of the paths, modes and blobs of files.
type Part [32]byte

// Warning is a finding that refuses nothing; the plan shows it.
type Warning struct {
	Position Position `json:"position"`
	Text     string   `json:"text"`
}

// Platform holds the defaults of everything. There is exactly one.
type Platform struct {
	Meta
	Guardrails  Guardrails
	Keep        map[Kind]time.Duration // how long data outlives its resource; DefaultKeep for kinds that aren't in it
	Drift       DriftPolicy            // what becomes of what differs from what was applied
	Domain      string                 // the platform's own domain, an fqdn; no tenant may use it or a name below it
	Nameservers []string               // at least two fqdns
	Hostmaster  string                 // mail address; SOA RNAME
	MailServers []string               // host names that take mail for EmailDomains that name none; the first preferred
	TTL         int                    // seconds, for records that name none
	UIDs        Range                  // Unix user ids given to tenants
	Unmanaged   UnmanagedPolicy        // of Zones that don't say
	Signing     []SigningRule          // whose signatures commits must carry
	Approvals   []ApprovalRule         // who must have approved commits

	Notifications []Notification // in the order of the file
}

// Range is an inclusive range of numbers: First to Last.
type Range struct {
	First int `json:"first"`
	Last  int `json:"last"`
}

// HostingPlan is what a tenant has bought.
type HostingPlan struct {
	Meta
	Limits    Limits
	Resources Resources
}

// Limits are counts of resources a tenant may declare; 0 means none, -1 unlimited.
type Limits struct {
	Webroots, FQDNs, Zones, Records, Databases, DatabaseUsers, CronJobs int
	EmailDomains, EmailAccounts, EmailAliases, EmailForwards            int
	ValkeyInstances, ValkeyUsers                                        int
	ValkeyMemory                                                        int64 // bytes, of all instances together; 0: no limit
}

// Resources limit what runs. Zero means no limit.
type Resources struct {
	Memory int64   // bytes
	CPU    float64 // cores
	Pids   int64
	Disk   int64 // bytes
	Inodes int64
}

// Region says what Webroots may ask for.
type Region struct {
	Meta
	DisplayName string
	Runtimes    []RuntimeOffer
}

// RuntimeOffer is one runtime with the versions a region offers. A static runtime has none.
type RuntimeOffer struct {
	Type     RuntimeType
	Versions []string
}

// RuntimeType is what serves a Webroot.
type RuntimeType string

// The runtimes.
const (
	RuntimePHP    RuntimeType = "php"
	RuntimeNode   RuntimeType = "node"
	RuntimePython RuntimeType = "python"
	RuntimeRuby   RuntimeType = "ruby"
	RuntimeStatic RuntimeType = "static"
)

// Service reports whether a site of the runtime is a service of its own, behind the web server.
func (t RuntimeType) Service() bool {
	return t == RuntimeNode || t == RuntimePython || t == RuntimeRuby
}

// Cluster is a network with the infrastructure that serves it. Its nodes are named <cluster>-lb-<n>, <cluster>-dns-<n>
// and <cluster>-db-0.
type Cluster struct {
	Meta
	Region    string
	Subnet    string         // IPv4 CIDR, /16 to /28
	HAProxy   Infrastructure // role lb
	PowerDNS  Infrastructure // role dns
	ServiceDB Infrastructure // role servicedb; Count is 1

	Transfer         *Transfer         // of the zones on PowerDNS; nil: to nobody
	ExternalPowerDNS *ExternalPowerDNS // in place of PowerDNS
	ExternalHAProxy  *ExternalHAProxy  // in place of HAProxy
}

// Infrastructure is one managed part of a cluster: Count nodes made from a profile. Count 0 means the cluster has none.
type Infrastructure struct {
	Profile string // a NodeProfile of the matching role
	Count   int
}

// LBAddress is an address that reaches a cluster's load balancers.
type LBAddress struct {
	Meta
	Cluster   string
	Address   string // IPv4 or IPv6, canonical
	Published bool   // it appears in automatic A/AAAA records
}

// Role is what a node is for.
type Role string

// The roles of nodes.
const (
	RoleWeb       Role = "web"
	RoleDatabase  Role = "database"
	RoleDNS       Role = "dns"
	RoleValkey    Role = "valkey"
	RoleEmail     Role = "email"
	RoleLB        Role = "lb"
	RoleServiceDB Role = "servicedb"
)

// NodeProfile is the template of a node container.
type NodeProfile struct {
	Meta
	Role         Role
	Image        string // name:tag, never :latest
	Env          map[string]string
	Ports        []Port
	Resources    Resources
	Capabilities []string // without CAP_, from an allow-list
	HealthCheck  []string // argv; empty means the image's own
}

// Port publishes a port of a node on its host.
type Port struct {
	Name      string `json:"name"`
	Container int    `json:"container"`
	Host      int    `json:"host,omitempty"` // 0: allocated from the host's range
	Protocol  string `json:"protocol"`       // tcp or udp
}

// Host is a machine with a Docker engine.
type Host struct {
	Meta
	Cluster   string
	Address   string // where published ports are bound and reached
	Docker    Docker
	PortRange Range
	Capacity  int // nodes; 0 means no limit
	Roles     []Role
	Cordoned  bool // gets no new nodes
	Drain     bool // gets no new nodes, and those that hold no data leave it, one after the other
	Lost      bool // is no more: its engine isn't asked again, and what holds no data is made elsewhere
}

// Docker is how hostctl reaches an engine: unix:///… or tcp://host:port with TLS.
type Docker struct {
	Endpoint string
	TLS      *DockerTLS
}

// DockerTLS names files on the machine that runs hostctl, not in the repository.
type DockerTLS struct {
	CA, Cert, Key string
}

// Shard is a set of equal nodes, <shard>-0 and up, that share its tenants.
type Shard struct {
	Meta
	Cluster      string
	Role         Role
	NodeCount    int
	Profile      string
	HostSelector map[string]string // labels a Host must carry
	Drain        bool              // its routes are taken away, its nodes stay
}

// Tenant is a customer: a Unix user on every node of its web shard.
type Tenant struct {
	Meta
	Plan          string
	WebShard      string
	DatabaseShard string // of those Databases that name none
	ValkeyShard   string // of those ValkeyInstances that name none
	Contact       string
	Suspended     bool   // nothing of it runs or lets anybody in, and nothing of it is lost; its sites answer that
	SuspendReason string // for people who run the platform
	Shell         Shell
	SSHKeys       []string // as ParseSSHKey returns them, sorted
}

// Shell is what a tenant gets who logs in to a web node.
type Shell string

// The shells.
const (
	ShellNone Shell = "none"
	ShellSFTP Shell = "sftp" // transfer of files, below the tenant's own folder
)

// Webroot is a site: files, a runtime, a virtual host.
type Webroot struct {
	Meta
	Runtime      Runtime
	DocumentRoot string        // relpath below the webroot; "" is the webroot itself
	Content      []ContentFile // the files of content.path, sorted by path; empty means the tenant brings them
	Env          map[string]string
	SecretEnv    map[string]Secret // variables whose values the repository doesn't hold in clear; none is in Env too
	PHP          PHP
	Command      []string // argv of a service; empty means what is usual for the runtime
	Serving      Serving
	Health       string // path that a service answers below 500 once it is ready; "" means /
	Redirects    []Redirect
}

// Runtime is what serves a webroot, as its region offers it.
type Runtime struct {
	Type    RuntimeType
	Version string // "" for static
}

// ContentFile is one file that the repository brings to a webroot.
type ContentFile struct {
	Path string `json:"path"` // relpath below the webroot
	Blob BlobID `json:"blob"`
	Size int64  `json:"size"` // bytes
}

// PHP holds the settings of a PHP webroot.
type PHP struct {
	INI map[string]string // allow-listed settings
	FPM FPM
}

// FPM sizes a webroot's pool. Zero values mean the defaults of the node.
type FPM struct {
	MaxChildren        int `json:"maxChildren,omitempty"`
	IdleTimeoutSeconds int `json:"idleTimeoutSeconds,omitempty"`
	MaxRequests        int `json:"maxRequests,omitempty"`
}

// Redirect answers a path of a webroot with another place.
type Redirect struct {
	From   string `json:"from"`   // exact path, begins with /
	To     string `json:"to"`     // path, or http(s) URL
	Status int    `json:"status"` // 301, 302, 307 or 308
}

// FQDN is a host name that leads to a webroot.
type FQDN struct {
	Meta
	Hostname    string // normalised: lower case, A-labels, no trailing dot
	Webroot     string // of the same tenant; "" where Redirect sends all requests elsewhere
	Redirect    *HostRedirect
	TLS         bool   // it is served with TLS too
	Certificate string // that names it; "" with TLS means a self-signed one
	ForceHTTPS  bool   // a request without TLS is sent to the same place with it
	HSTS        *HSTS  // only with ForceHTTPS
	ManageDNS   bool   // A/AAAA RRsets are made where the zone is ours; default true
	TTL         int    // seconds; 0 means the platform's
	HostnameAt  Position
}

// Zone is a DNS zone that the platform serves. A zone may belong to a tenant or to the platform.
type Zone struct {
	Meta
	Cluster     string   // whose PowerDNS serves it
	Domain      string   // normalised fqdn
	Nameservers []string // the platform's where the resource names none
	TTL         int      // seconds; default of its records
	DNSSEC      bool     // it is signed
	Unmanaged   UnmanagedPolicy
	Adopt       bool // one that is on the name servers already is taken over, with the records that are declared
}

// ZoneRecord is one RRset: the RRset is the unit, never the single record.
type ZoneRecord struct {
	Meta
	Zone   string   // name of the Zone resource
	FQDN   string   // normalised owner name without trailing dot; may begin with *. or hold underscores
	Type   string   // A, AAAA, CNAME, MX, TXT, SRV, CAA, NS, PTR, …
	TTL    int      // seconds; resolved, never 0
	Values []string // RDATA in canonical presentation form (RFC 1035 5.1), names absolute with trailing dot, TXT quoted and split; sorted
}
