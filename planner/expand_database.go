package planner

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"hostctl/schema"
)

// Database is a MySQL database on a shard of role database, on which changes go to the node that takes writes. Name:
// "<tenant>.<database>". Data-bearing: it is dropped only when it was kept for long enough, or is marked with Purge.
type Database struct {
	Meta
	Tenant    string `json:"tenant"`
	Schema    string `json:"schema"` // its name in MySQL
	Charset   string `json:"charset"`
	Collation string `json:"collation"`
	Kept      bool   `json:"kept,omitempty"`  // nobody declares it any more; its data stays, and nobody has a way in
	Purge     bool   `json:"purge,omitempty"` // deletionPolicy: Delete; where nobody declares it any more it is dropped

	Adopt bool `json:"adopt,omitempty"` // one that is there already is taken over

	MovedTo string      `json:"movedTo,omitempty"` // node that may copy it, or has: it is read-only
	Source  *CopySource `json:"source,omitempty"`  // it is a copy, and read-only
}

// Ref implements Object.
func (o Database) Ref() Ref { return o.ref(KindDatabase) }

// DatabaseUser is a MySQL user on the same shard: an account for each of its networks, with privileges on one database.
// Name: "<tenant>.<user>".
type DatabaseUser struct {
	Meta
	Tenant       string            `json:"tenant"`
	Account      string            `json:"account"` // its name in MySQL
	Schema       string            `json:"schema"`  // of the database
	Privileges   schema.Privileges `json:"privileges"`
	Hosts        []string          `json:"hosts"` // IPv4 networks, CIDR, sorted
	PasswordHash string            `json:"passwordHash,omitempty"`
	Password     Held              `json:"password,omitzero"` // on the node that takes writes; where it is set there is no PasswordHash
	Retains      bool              `json:"retains,omitempty"` // the password of before is valid as well
	Limits       schema.UserLimits `json:"limits"`
	Locked       bool              `json:"locked,omitempty"`
	Adopt        bool              `json:"adopt,omitempty"` // one that is there already is taken over
}

// Ref implements Object.
func (o DatabaseUser) Ref() Ref { return o.ref(KindDatabaseUser) }

func (o Database) standing() standing { return standing{o.Kept, o.MovedTo, o.Source} }

func (o Database) with(m Meta, s standing) movable {
	o.Meta, o.Kept, o.MovedTo, o.Source = m, s.kept, s.movedTo, s.source
	return o
}

func (o Database) seated(*expansion) movable { return o }

func (o Database) staying(at movable) movable {
	if was, ok := at.(Database); ok && was.MovedTo != "" { // nothing of it can be changed while it is read-only
		o.Charset, o.Collation = was.Charset, was.Collation
	}
	return o
}

func (o Database) resource() string { return "database " + o.From.Name }

// maxPrefix is how long a tenant's part of a name in MySQL may be: with a user's own name of 16 and the underscore between
// them it is MySQL's 32.
const maxPrefix = 15

// mysqlPrefix is a tenant's part of the names of its databases and users, in front of the first underscore, which no name
// of a tenant or of a resource holds. One that is too long is cut and hashed; the second underscore keeps it from being
// the prefix of another tenant.
func mysqlPrefix(tenant string) string {
	if len(tenant) <= maxPrefix {
		return tenant
	}
	sum := sha256.Sum256([]byte(tenant))
	return tenant[:6] + "_" + hex.EncodeToString(sum[:4])
}

func mysqlName(tenant, name string) string { return mysqlPrefix(tenant) + "_" + name }

// expandDatabases makes databases and their users.
func (x *expansion) expandDatabases() {
	prefixes := map[string]string{}
	homes := make(map[string]Database, len(x.m.Databases))
	for i := range x.m.Databases {
		db := &x.m.Databases[i]
		if other, taken := prefixes[mysqlPrefix(db.Tenant)]; taken && other != db.Tenant {
			x.problemf("tenants %s and %s: the names of their databases would begin alike; rename one", other, db.Tenant)
		}
		prefixes[mysqlPrefix(db.Tenant)] = db.Tenant
		g := x.shards[db.Shard]
		if g == nil || g.role != schema.RoleDatabase {
			x.problemf("%s: database %s of tenant %s: there is no shard %q for databases", db.Position, db.Name, db.Tenant, db.Shard)
			continue
		}
		o := Database{
			Meta:   Meta{Target: g.name, Name: siteName(db.Tenant, db.Name), From: ownerOf(db.Meta), On: g.databaseNeeds()},
			Tenant: db.Tenant, Schema: mysqlName(db.Tenant, db.Name), Charset: db.Charset, Collation: db.Collation,
			Purge: db.Deletion == schema.Delete, Adopt: db.Adopt,
		}
		homes[o.Name], _ = x.house(o).(Database)
	}
	for i := range x.m.DatabaseUsers {
		x.expandDatabaseUser(&x.m.DatabaseUsers[i], homes)
	}
}

func (x *expansion) expandDatabaseUser(u *schema.DatabaseUser, homes map[string]Database) {
	db, ok := homes[siteName(u.Tenant, u.Database)]
	if !ok {
		return // its database can't be made, which was said
	}
	hosts := u.Hosts
	if len(hosts) == 0 {
		hosts = []string{x.shards[db.Target].cluster.Subnet}
	}
	o := DatabaseUser{
		Meta:   Meta{Target: db.Target, Name: siteName(u.Tenant, u.Name), From: ownerOf(u.Meta), On: []Ref{db.Ref()}},
		Tenant: u.Tenant, Account: mysqlName(u.Tenant, u.Name), Schema: db.Schema,
		Privileges: u.Privileges, Hosts: hosts, PasswordHash: u.PasswordHash, Limits: u.Limits,
		Locked: x.isSuspended(u.Tenant), Adopt: u.Adopt,
	}
	if best := x.shards[db.Target].best; u.Password != nil && len(best) > 0 {
		var ref Ref
		ref, o.Password = x.secret(best[0], o.From, schema.KindDatabaseUser, "password", *u.Password)
		o.On = append(o.On, ref)
		sortRefs(o.On)
	}
	x.add(o)
}

// adopts reports whether an object may take the place of one that nobody here has made.
func adopts(o Object) bool {
	switch o := o.(type) {
	case Database:
		return o.Adopt
	case DatabaseUser:
		return o.Adopt
	case Valkey:
		return o.Adopt
	case ValkeyUser:
		return o.Adopt
	}
	return false
}

// databaseNeeds returns what a database needs: the volume that it is on, and the agent that makes it.
func (g *group) databaseNeeds() []Ref {
	if len(g.best) == 0 {
		return nil
	}
	n := g.best[0]
	return append([]Ref{{KindVolume, n.host.Name, g.dataVolume()}}, n.ready...)
}

// keepDatabase keeps a database that nobody declares any more where it is, unless its time is over.
func (x *expansion) keepDatabase(o Database) {
	g := x.shards[o.Target]
	if g != nil && (x.abandoned(o) || x.purgesDatabase(o)) {
		return
	}
	var needs []Ref
	if g != nil && g.role == schema.RoleDatabase {
		needs = g.databaseNeeds()
	}
	x.add(x.putAway(o, needs))
}

// purgesDatabase reports whether a database that isn't declared is dropped, and says so in the plan.
func (x *expansion) purgesDatabase(o Database) bool {
	_, due := slices.BinarySearchFunc(x.live.Due, o.Ref(), Ref.Compare)
	_, name, _ := strings.Cut(o.Name, ".")
	switch {
	case o.Kept && due && o.MovedTo != "":
		x.notef("what database %s of tenant %s has left on %s is dropped: it moved away %s ago; a dump of it stays in the trash there", name, o.Tenant, o.Target, days(x.live.Memory.KeepOf(KindDatabase)))
	case o.Kept && due:
		x.notef("database %s of tenant %s is dropped: nobody has declared it for %s; a dump of it stays in the trash of %s", name, o.Tenant, days(x.live.Memory.KeepOf(KindDatabase)), o.Target)
	case o.Purge && !o.Kept:
		x.notef("database %s of tenant %s is dropped, and at once: its deletionPolicy is Delete; a dump of it stays in the trash of %s", name, o.Tenant, o.Target)
	default:
		return false
	}
	return true
}
